"""What the card shows of the documents themselves: what was removed and why, and near-duplicates side by side."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from contracts.documents import ChatExample, PreferencePair, read_jsonl
from contracts.reports import CurationCard
from data_curation.dataset import ROW_GROUP
from data_curation.trace import FILE

REJECTS_READ = 100_000
SAMPLE_CHARS = 700
PAIRS = 6
A_REASON = 2
Run = tuple[bool, str]
"""Whether the words are the other text's too, and the words."""


@dataclass(frozen=True)
class Removed:
    """One removed document."""

    id: str
    source: str
    reason: str
    detail: str
    text: str


@dataclass(frozen=True)
class Alike:
    """Two near-duplicates; each text in runs of words."""

    kept: str
    removed: str
    jaccard: float
    kept_runs: list[Run]
    removed_runs: list[Run]


@dataclass(frozen=True)
class Shown:
    """A sample of something made: a title and its text."""

    title: str
    text: str


def rejects(folder: Path, card: CurationCard) -> tuple[list[Removed], list[Alike]]:
    """Two documents a source and reason, and the least alike near-duplicates whose texts are at hand."""
    wanted = {removed: (kept, jaccard) for kept, removed, jaccard in card.duplicate_samples[:PAIRS]}
    seen: Counter[tuple[str, str]] = Counter()
    samples: list[Removed] = []
    texts: dict[str, str] = {}
    with (folder / "rejected.jsonl").open(encoding="utf-8") as lines:
        for line in islice(lines, REJECTS_READ):
            told = json.loads(line)
            if told["id"] in wanted and told["stage"] == "duplicates":
                texts[told["id"]] = told["text"]
            seen[told["source"], told["reason"]] += 1
            if seen[told["source"], told["reason"]] <= A_REASON:
                text = told["text"][:SAMPLE_CHARS]
                samples.append(Removed(told["id"], told["source"], told["reason"], told["detail"], text))
    kept = texts_of(folder, [wanted[removed][0] for removed in texts])
    pairs = [
        _alike(wanted[removed][0], removed, wanted[removed][1], kept[wanted[removed][0]], text)
        for removed, text in texts.items()
        if wanted[removed][0] in kept
    ]
    return sorted(samples, key=lambda one: (one.reason, one.source)), sorted(pairs, key=lambda one: one.jaccard)


def texts_of(folder: Path, ids: Iterable[str]) -> dict[str, str]:
    """The texts of accepted documents, each from its shard's row group."""
    wanted = pc.field("id").isin(pa.array(sorted(set(ids)), pa.string())) & (pc.field("outcome") == "accepted")
    found: list[dict[str, Any]] = ds.dataset(folder / FILE).to_table(["id", "shard", "row"], filter=wanted).to_pylist()
    return {
        one["id"]: pq.ParquetFile(folder / one["shard"])
        .read_row_group(one["row"] // ROW_GROUP, ["text"])["text"][one["row"] % ROW_GROUP]
        .as_py()
        for one in found
    }


def cluster_sizes(folder: Path) -> dict[int, int]:
    """Documents in a cluster, the kept one among them, to the number of such near-duplicate clusters."""
    near = pc.starts_with(pc.field("reason"), "near_duplicate")
    table = ds.dataset(folder / FILE).to_table(["kept"], filter=near)
    fallen = Counter(table["kept"].to_pylist())
    return dict(sorted(Counter(count + 1 for count in fallen.values()).items()))


def made(folder: Path) -> list[Shown]:
    """One example a task and file, one pair a fault."""
    shown: dict[str, Shown] = {}
    for name in ("train", "eval", "general"):
        for example in read_jsonl(folder / f"{name}.jsonl", ChatExample):
            title = f"{name}: {example.task}"
            if title not in shown:
                asked = example.prompt[-1]["content"][: 2 * SAMPLE_CHARS]
                shown[title] = Shown(title, f"{asked}\n\n-> {example.completion}")
    for pair in read_jsonl(folder / "pairs.jsonl", PreferencePair):
        title = f"pair: {pair.task}, {pair.fault}"
        if title not in shown:
            shown[title] = Shown(title, f"chosen    {pair.chosen}\nrejected  {pair.rejected}")
    return list(shown.values())


def _alike(kept: str, removed: str, jaccard: float, one: str, other: str) -> Alike:
    first, second = (re.findall(r"\S+\s*", text[: 2 * SAMPLE_CHARS]) for text in (one, other))
    bare, other_bare = ([word.strip() for word in words] for words in (first, second))
    blocks = difflib.SequenceMatcher(None, bare, other_bare, autojunk=False).get_matching_blocks()
    return Alike(kept, removed, jaccard, _runs(first, [(b.a, b.size) for b in blocks]),
                 _runs(second, [(b.b, b.size) for b in blocks]))  # fmt: skip


def _runs(words: list[str], same: list[tuple[int, int]]) -> list[Run]:
    """Words in runs: those that stand in the other text too, and those between them."""
    runs: list[Run] = []
    place = 0
    for start, size in same:
        runs += [(False, "".join(words[place:start]))] if start > place else []
        runs += [(True, "".join(words[start : start + size]))] if size else []
        place = start + size
    return runs
