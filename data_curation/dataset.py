"""The corpus as a dataset for others: Parquet shards with lineage, a card in the Hub's format, Croissant metadata.

``datasets.load_dataset(FOLDER, "pretraining")`` reads it. A use without documents has no such
configuration.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from contracts.curation_report import CurationCard
from data_curation.coverage import places_of
from data_curation.croissant import croissant
from data_curation.first_seen import Ints
from data_curation.spool import BODY, Mask, Spool
from recipes.corpus import Inbox

FOLDER = "dataset"
SHARD_CHARS = 256_000_000
ROW_GROUP = 1_000
COLUMNS = pa.schema(
    [
        ("id", pa.string()), ("text", pa.large_string()), ("source", pa.string()), ("licence", pa.string()),
        ("entity", pa.string()), ("date", pa.string()), ("synthetic", pa.bool_()), ("jurisdiction", pa.string()),
        ("file", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("part", pa.string()),
    ]
)  # fmt: skip
NO_PART = pa.scalar(None, pa.string())
READ = tuple(name for name in BODY.names if name in COLUMNS.names)
CROISSANT_TYPES = {"bool": "sc:Boolean", "int64": "sc:Integer"}
HUB_LICENCES = {
    one.lower(): one.lower()
    for one in (
        "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0",
        "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "ODC-By", "ODbL", "PDDL",
    )
}  # fmt: skip
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass(frozen=True)
class Part:
    """The accepted documents of one use and one side of the split."""

    use: str
    """``pretraining``, ``replay`` or ``tasks``."""
    split: str
    """``train`` or ``heldout``."""
    documents: list[tuple[Spool, Mask]]
    """Source by source, in this order."""

    def __len__(self) -> int:
        return sum(int(np.count_nonzero(mask)) for _, mask in self.documents)

    def batches(self, *columns: str) -> Iterator[tuple[Spool, Ints, pa.RecordBatch]]:
        """The documents' source, numbers and columns."""
        for spool, mask in self.documents:
            for numbers, batch in spool.batches(*columns, among=mask):
                yield spool, numbers, batch


@dataclass(frozen=True)
class Shards:
    """What was written: the shards' names by use, relative to the dataset, and every document's place."""

    files: dict[str, list[str]]
    splits: dict[str, list[str]]
    """Use to its splits."""
    rows: dict[tuple[str, str], dict[str, int]]
    """Use and split to the shards, relative to the artifact, that hold its documents in order, and their rows."""


def write_shards(out_dir: Path, parts: list[Part], inbox: Inbox) -> Shards:
    """The Parquet files, zstd, below ``out_dir/dataset/data``."""
    shutil.rmtree(out_dir / FOLDER, ignore_errors=True)  # a killed attempt may have left shards
    (out_dir / FOLDER / "data").mkdir(parents=True)
    written = Shards({}, {}, {})
    for part in (one for one in parts if len(one)):
        written.splits.setdefault(part.use, []).append(part.split)
        sizes = _sizes(part)
        names = [
            f"data/{part.use}-{part.split}-{number:05d}-of-{len(sizes):05d}.parquet" for number in range(len(sizes))
        ]
        written.files.setdefault(part.use, []).extend(names)
        written.rows[part.use, part.split] = {f"{FOLDER}/{one}": size for one, size in zip(names, sizes, strict=True)}
        groups = _groups(part, sizes, inbox)
        for name, size in zip(names, sizes, strict=True):
            with pq.ParquetWriter(out_dir / FOLDER / name, COLUMNS, compression="zstd") as out:
                for _ in range(0, size, ROW_GROUP):
                    out.write_table(next(groups))
    return written


def describe_dataset(
    out_dir: Path, vertical: str, shards: Shards, card: CurationCard, inbox: Inbox, curated_on: date | None
) -> None:
    """Write README.md and croissant.json beside the shards."""
    folder = out_dir / FOLDER
    (folder / "README.md").write_text(_readme(vertical, shards, card, inbox), encoding="utf-8")
    columns = {field.name: CROISSANT_TYPES.get(str(field.type), "sc:Text") for field in COLUMNS}
    told = croissant(_about(vertical, card, inbox, curated_on), folder, shards.files, columns)
    (folder / "croissant.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _sizes(part: Part) -> list[int]:
    """Documents by shard: one ends with the document that brings it past SHARD_CHARS."""
    chars = np.concatenate([spool.facts["chars"][mask] for spool, mask in part.documents]).cumsum(dtype=np.int64)
    ends: list[int] = []
    while not ends or ends[-1] < len(chars):
        before = chars[ends[-1] - 1] if ends else 0
        ends.append(min(len(chars), int(np.searchsorted(chars, before + SHARD_CHARS, side="right")) + 1))
    return [last - first for first, last in pairwise([0, *ends])]


def _groups(part: Part, sizes: Iterable[int], inbox: Inbox) -> Iterator[pa.Table]:
    """The documents in tables of COLUMNS: ROW_GROUP rows, fewer at the end of a shard."""
    wanted = (min(ROW_GROUP, size - first) for size in sizes for first in range(0, size, ROW_GROUP))
    return regrouped((_rows(spool, batch, inbox) for spool, _, batch in part.batches(*READ)), wanted)


def regrouped(tables: Iterable[pa.Table], sizes: Iterator[int]) -> Iterator[pa.Table]:
    """The same rows in tables of these ``sizes``, which do not end before the rows do; the last may be smaller."""
    need, waiting, held = next(sizes, 0), [], 0
    for table in tables:
        waiting.append(table)
        held += len(table)
        while need and held >= need:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, need).combine_chunks()
            waiting, held = [whole.slice(need)], held - need
            need = next(sizes, 0)
    if held:
        yield pa.concat_tables(waiting).combine_chunks()


def _rows(spool: Spool, batch: pa.RecordBatch, inbox: Inbox) -> pa.Table:
    """A batch of BODY in COLUMNS."""
    files = batch["file"].dictionary_encode()
    places = pa.array([", ".join(places_of(one, inbox)) or None for one in files.dictionary.to_pylist()], pa.string())
    made = {
        "source": pa.repeat(spool.source, len(batch)),
        "jurisdiction": places.take(files.indices),
        "part": pc.if_else(pc.equal(batch["part"], ""), NO_PART, batch["part"]),
    }
    return pa.table([made[name] if name in made else batch[name] for name in COLUMNS.names], schema=COLUMNS)


def _about(vertical: str, card: CurationCard, inbox: Inbox, curated_on: date | None) -> dict[str, Any]:
    """schema.org's properties of the data set."""
    publishers = sorted({one.source for one in inbox.drops.values()})
    days = [day for one in inbox.drops.values() for day in (one.dates.first, one.dates.last)]
    told: dict[str, Any] = {
        "name": f"stillroom-{vertical}".replace("_", "-"),
        "description": f"Curated documents of the vertical {vertical}, with their licences and lineage.",
        "license": [_licence_url(one) for one in card.licences],
        "url": f"urn:stillroom:{vertical}",
        "creator": [{"@type": "sc:Organization", "name": one} for one in publishers or [f"Stillroom, {vertical}"]],
        "inLanguage": _languages(inbox),
        "version": "1.0.0",
    }
    if days:
        told["temporalCoverage"] = f"{min(days)}/{max(days)}"
    if curated_on:
        told["datePublished"] = curated_on.isoformat()
    return told


def _licence_url(licence: str) -> str:
    return licence if licence.startswith("LicenseRef-") else f"https://spdx.org/licenses/{licence}.html"


def _languages(inbox: Inbox) -> list[str]:
    return sorted({one for drop in inbox.drops.values() for one in drop.languages}) or ["en"]


def _readme(vertical: str, shards: Shards, card: CurationCard, inbox: Inbox) -> str:
    """The card: YAML front matter that the Hub reads, then the figures for people."""
    documents = sum(one.accepted for one in card.sources)
    configurations = [
        {
            "config_name": use,
            "data_files": [{"split": split, "path": f"data/{use}-{split}-*.parquet"} for split in splits],
        }
        for use, splits in shards.splits.items()
    ]
    licences = sorted({HUB_LICENCES.get(one.lower(), "other") for one in card.licences})
    matter: dict[str, Any] = {
        "pretty_name": f"Stillroom {vertical.replace('_', ' ')}",
        "license": licences[0] if len(licences) == 1 else licences,
        "language": _languages(inbox),
        "task_categories": ["text-generation"],
        "size_categories": [next((name for most, name in SIZES if documents < most), "n>10M")],
        "tags": ["stillroom", vertical],
        "configs": configurations,
    }
    if "other" in licences:
        matter["license_name"] = "per-document"
    front = yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n".join(_body(vertical, card, inbox)) + "\n"


def _body(vertical: str, card: CurationCard, inbox: Inbox) -> Iterator[str]:
    read, accepted = sum(one.read for one in card.sources), sum(one.accepted for one in card.sources)
    yield f"# Curated documents: {vertical.replace('_', ' ')}\n"
    yield f"{read:,} documents were read: {accepted:,} accepted, {read - accepted:,} rejected, each with a reason.\n"
    yield "Every row names its licence and the bytes it came from: `file`, `start`, `end` (after decompression).\n"
    yield from _table("Sources", ("source", "licence", "read", "accepted", "characters"),
                      [(s.source, s.licence, s.read, s.accepted, s.accepted_chars) for s in card.sources])  # fmt: skip
    yield from _table("Licences", ("licence", "documents"), list(card.licences.items()))
    yield from _table(
        "Corpora", ("corpus", "source", "dates", "jurisdiction", "personal data"),
        [(name, one.source, f"{one.dates.first} to {one.dates.last}", ", ".join(one.jurisdictions),
          "yes" if one.personal_data else "no") for name, one in inbox.drops.items()],
    )  # fmt: skip
    yield from _table("Covered", ("", "name", "documents"),
                      [(one.kind, one.name, one.documents) for one in card.coverage if one.documents])  # fmt: skip
    missing = [one.name for one in card.coverage if not one.documents]
    if missing:
        yield f"Not covered: {', '.join(missing)}.\n"


def _table(title: str, heads: Sequence[str], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    if rows:
        yield f"## {title}\n"
        yield "| " + " | ".join(heads) + " |"
        yield "|" + "---|" * len(heads)
        for row in rows:
            yield "| " + " | ".join(_cell(one) for one in row) + " |"
        yield ""


def _cell(value: object) -> str:
    """Text that cannot break out of its cell, nor be read as markup."""
    told = f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
    for sign in "\\`*_[]<>|":
        told = told.replace(sign, f"\\{sign}")
    return told
