"""What a card shows of the documents themselves, as data: what was removed and why, near-duplicates and clusters side
by side, evaluation texts where they were found, and what was made.

They lie beside the card as ``samples.json``, so that the card of an inbox can show those of all its layers without a
look at their documents.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from contracts.curation_report import CurationCard
from contracts.documents import ChatExample, PreferencePair, read_jsonl
from data_curation.dataset import ROW_GROUP
from data_curation.trace import FILE

SAMPLES = "samples.json"
SAMPLE_CHARS = 700
SIDE_CHARS = 1_400
AROUND_CHARS = 160
PAIRS = 6
CLUSTERS = 3
MEMBERS = 3
LEAKS = 6
A_REASON = 2
JSON_TEXT = rb'"((?:[^"\\]|\\.)*)"'
HEAD = re.compile(rb'\{"id": %s, "source": %s, "stage": %s, "reason": %s' % ((JSON_TEXT,) * 4))
"""How a line of rejected.jsonl begins: the others need no parsing."""
NEAR = "near_duplicate"
"""How the reasons of near-duplicates begin."""
MATCH = re.compile(r"(\d+%) of (.+) \((\d+) n-grams\): (.*)", re.DOTALL)
"""How a document that holds an evaluation text tells of it (``shards.told_of``)."""


class Part(BaseModel):
    """Base of all samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Removed(Part):
    """One removed document."""

    id: str
    source: str
    reason: str
    detail: str
    text: str


class Alike(Part):
    """Two near-duplicates. The text of one that lies in an earlier layer is empty."""

    kept: str
    removed: str
    jaccard: float
    kept_text: str = ""
    removed_text: str = ""


class Cluster(Part):
    """The document that stayed, and the first of those that fell beside it."""

    kept: str
    documents: int
    """In all, the kept one among them."""
    kept_text: str = ""
    fell: list[tuple[str, str]] = Field(default_factory=list)
    """Id and text."""
    sources: list[str] = Field(default_factory=list)
    """Of all its documents; of an earlier layer's, where that keeps the one that stayed, none is told."""


class Gathered(NamedTuple):
    """A cluster as the table of all documents tells of it: ids of some that fell, and the sources of all."""

    documents: int
    members: list[str]
    sources: list[str]


class Leak(Part):
    """A document that held an evaluation text."""

    id: str
    source: str
    item: str
    share: str
    """Of the item's own n-grams, in per cent."""
    ngrams: int
    before: str
    span: str
    """From the first to the last n-gram that matches, cut to 300 characters."""
    after: str
    item_text: str = ""
    answer: str = ""


class Shown(Part):
    """A sample of something made: a title and its text."""

    title: str
    text: str


class Samples(Part):
    """All that a card shows of the documents."""

    removed: list[Removed] = Field(default_factory=list)
    pairs: list[Alike] = Field(default_factory=list)
    clusters: list[Cluster] = Field(default_factory=list)
    sizes: dict[int, int] = Field(default_factory=dict)
    """Documents in a cluster of near-duplicates to the number of such clusters."""
    leaks: list[Leak] = Field(default_factory=list)
    made: list[Shown] = Field(default_factory=list)


def samples_of(folder: Path, card: CurationCard) -> Samples:
    """The samples of a curated corpus: its files are read once, whatever their size."""
    pairs = {removed: (kept, jaccard) for kept, removed, jaccard in card.duplicate_samples[:PAIRS]}
    sizes, clusters = _clusters(folder)
    wanted = {*pairs, *(one for told in clusters.values() for one in told.members)}
    rejects = _rejects(folder, wanted)
    fell = {one["id"]: one["text"] for one in rejects if one["id"] in wanted and one["stage"] == "duplicates"}
    kept = texts_of([folder], [*(one for one, _ in pairs.values()), *clusters])
    return Samples(
        removed=_removed(rejects),
        pairs=[
            Alike(kept=one, removed=removed, jaccard=jaccard, kept_text=kept.get(one, "")[:SIDE_CHARS],
                  removed_text=fell.get(removed, "")[:SIDE_CHARS])
            for removed, (one, jaccard) in pairs.items()
        ],
        clusters=[
            Cluster(kept=one, documents=told.documents, kept_text=kept.get(one, "")[:SIDE_CHARS], sources=told.sources,
                    fell=[(member, fell.get(member, "")[:SIDE_CHARS]) for member in told.members])
            for one, told in clusters.items()
        ],
        sizes=sizes,
        leaks=_leaks(folder, rejects),
        made=_made(folder),
    )  # fmt: skip


def of_layers(folders: Sequence[Path]) -> Samples:
    """The samples of an inbox, from those of its layers, the newest first; no document is read but kept near-copies."""
    layers = [read(folder) for folder in reversed(folders)]
    sizes = sum((Counter(one.sizes) for one in layers), Counter[int]())
    pairs = sorted((pair for one in layers for pair in one.pairs), key=lambda pair: pair.jaccard)[:PAIRS]
    clusters = sorted((one for layer in layers for one in layer.clusters), key=lambda one: -one.documents)[:CLUSTERS]
    without = [one.kept for one in pairs if not one.kept_text] + [one.kept for one in clusters if not one.kept_text]
    elsewhere = texts_of(folders, without)
    told = {name: text[:SIDE_CHARS] for name, text in elsewhere.items()}
    return Samples(
        removed=_a_few(one for layer in layers for one in layer.removed),
        pairs=[one.model_copy(update={"kept_text": one.kept_text or told.get(one.kept, "")}) for one in pairs],
        clusters=[one.model_copy(update={"kept_text": one.kept_text or told.get(one.kept, "")}) for one in clusters],
        sizes=dict(sorted(sizes.items())),
        leaks=[leak for one in layers for leak in one.leaks][:LEAKS],
        made=list({shown.title: shown for one in reversed(layers) for shown in one.made}.values()),
    )


def read(folder: Path) -> Samples:
    """The samples that lie beside a card; none where there are none."""
    path = folder / SAMPLES
    return Samples.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else Samples()


def texts_of(folders: Iterable[Path], ids: Iterable[str]) -> dict[str, str]:
    """The texts of accepted documents, each from its shard's row group."""
    wanted = sorted(set(ids))
    found: dict[str, str] = {}
    for folder in folders if wanted else ():
        chosen = pc.field("id").isin(pa.array(wanted, pa.string())) & (pc.field("outcome") == "accepted")
        rows: list[dict[str, Any]] = (
            ds.dataset(folder / FILE).to_table(["id", "shard", "row"], filter=chosen).to_pylist()
        )
        for one in rows:
            group = pq.ParquetFile(folder / one["shard"]).read_row_group(one["row"] // ROW_GROUP, ["text"])
            found[one["id"]] = group["text"][one["row"] % ROW_GROUP].as_py()
    return found


def _rejects(folder: Path, wanted: set[str]) -> list[dict[str, Any]]:
    """The first of each source and reason, and the documents that are ``wanted``."""
    names = {json.dumps(one, ensure_ascii=False).encode()[1:-1] for one in wanted}
    seen: Counter[tuple[bytes, bytes]] = Counter()
    chosen: list[dict[str, Any]] = []
    with (folder / "rejected.jsonl").open("rb") as lines:
        for line in lines:
            head = HEAD.match(line)
            if head is None:
                continue
            identity, source, stage, reason = head.groups()
            if stage.startswith(b"examples/"):
                continue  # an example that was not made: its document stays
            seen[source, reason] += 1
            enough = LEAKS if reason == b"contaminated" else A_REASON
            if seen[source, reason] <= enough or identity in names:
                chosen.append(json.loads(line))
    return chosen


def _removed(rejects: Iterable[dict[str, Any]]) -> list[Removed]:
    return _a_few(
        Removed(**{name: one[name] for name in ("id", "source", "reason", "detail")}, text=_cut(one["text"]))
        for one in rejects
    )


def _cut(text: str) -> str:
    return text if len(text) <= SAMPLE_CHARS else f"{text[:SAMPLE_CHARS]} …"


def _a_few(removed: Iterable[Removed]) -> list[Removed]:
    """A few of each reason and source, in their order."""
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for one in removed:
        seen[one.reason, one.source] += 1
        if seen[one.reason, one.source] <= A_REASON:
            kept.append(one)
    return sorted(kept, key=lambda one: (one.reason, one.source))


def _clusters(folder: Path) -> tuple[dict[int, int], dict[str, Gathered]]:
    """Sizes of near-duplicate clusters; of the largest the kept document's id, and what the card shows of it."""
    table = ds.dataset(folder / FILE).to_table(
        ["id", "source", "kept"], filter=pc.starts_with(pc.field("reason"), NEAR)
    )
    kept = _in_the_end(table["id"].combine_chunks(), table["kept"].combine_chunks())
    counted = pc.value_counts(kept)
    names, sizes = counted.field("values"), counted.field("counts").to_numpy() + 1
    values, clusters = np.unique(sizes, return_counts=True)
    largest = [at for at in np.argsort(-sizes, kind="stable")[:CLUSTERS].tolist() if sizes[at] > 2]
    found = {}
    for at in largest:
        fell, name = table.filter(pc.equal(kept, names[at])), names[at].as_py()
        of_kept = ds.dataset(folder / FILE).to_table(["source"], filter=pc.field("id") == name)["source"]
        sources = {*fell["source"].unique().to_pylist(), *of_kept.unique().to_pylist()}
        found[name] = Gathered(int(sizes[at]), fell["id"][:MEMBERS].to_pylist(), sorted(sources))
    return dict(zip(values.tolist(), clusters.tolist(), strict=True)), found


def _in_the_end(ids: pa.Array, kept: pa.Array) -> pa.Array:
    """What stays for each of ``ids`` where the ``kept`` one fell itself: within a source first, then between two."""
    fell_too = pc.index_in(kept, ids)
    return pc.if_else(pc.is_valid(fell_too), kept.take(fell_too), kept)


def _leaks(folder: Path, rejects: Iterable[dict[str, Any]]) -> list[Leak]:
    found = [(one, told) for one in rejects if one["reason"] == "contaminated" and (told := MATCH.match(one["detail"]))]
    items = {told[2] for _, told in found[:LEAKS]}
    asked = {one.id: one for one in _examples(folder, ("eval", "general")) if one.id in items} if items else {}
    return [_leak(one, told, asked.get(told[2])) for one, told in found[:LEAKS]]


def _leak(reject: dict[str, Any], told: re.Match[str], item: ChatExample | None) -> Leak:
    """The text around the span, as far as it lies in the part of the text that was kept."""
    before, found, after = reject["text"].partition(told[4])
    return Leak(
        id=reject["id"], source=reject["source"], item=told[2], share=told[1], ngrams=int(told[3]), span=told[4],
        before=before[-AROUND_CHARS:] if found else "", after=after[:AROUND_CHARS],
        item_text=item.context[:SAMPLE_CHARS] if item else "", answer=item.completion[:SAMPLE_CHARS] if item else "",
    )  # fmt: skip


def _made(folder: Path) -> list[Shown]:
    """One example a task and file, one pair a fault."""
    shown: dict[str, Shown] = {}
    for name in ("train", "eval", "general"):
        for example in _examples(folder, (name,)):
            title = f"{name}: {example.task}"
            if title not in shown:
                asked = example.prompt[-1]["content"][:SIDE_CHARS]
                shown[title] = Shown(title=title, text=f"{asked}\n\n-> {example.completion}")
    for pair in read_jsonl(folder / "pairs.jsonl", PreferencePair):
        title = f"pair: {pair.task}, {pair.fault}"
        if title not in shown:
            shown[title] = Shown(title=title, text=f"chosen    {pair.chosen}\nrejected  {pair.rejected}")
    return list(shown.values())


def _examples(folder: Path, names: Iterable[str]) -> Iterator[ChatExample]:
    for name in names:
        yield from read_jsonl(folder / f"{name}.jsonl", ChatExample)
