"""``documents.parquet``: a row for every document that was read, with where it came from and where it went."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.documents import Document
from contracts.reports import LengthBin
from data_curation.dataset import Place

FILE = "documents.parquet"
BATCH = 10_000
KEPT = re.compile(r"^of (\S.*?)(?:;|$)")
"""How a duplicate's detail names the document that was kept."""
COLUMNS = pa.schema(
    [
        ("id", pa.string()), ("outcome", pa.string()), ("source", pa.string()), ("synthetic", pa.bool_()),
        ("licence", pa.string()), ("entity", pa.string()), ("date", pa.string()),
        ("file", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("part", pa.string()),
        ("chars", pa.int64()), ("tokens", pa.int64()), ("stage", pa.string()), ("reason", pa.string()),
        ("detail", pa.string()), ("kept", pa.string()), ("shard", pa.string()), ("row", pa.int64()),
    ]
)  # fmt: skip


@dataclass
class Measured:
    """What the rows add up to."""

    accepted_tokens: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """(source, synthetic) to tokens."""
    rejected_tokens: dict[tuple[str, bool], Counter[str]] = field(default_factory=dict)
    lengths: dict[bool, Counter[int]] = field(default_factory=lambda: {True: Counter(), False: Counter()})
    """Accepted or not, to the power of two below the characters, to documents."""

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one document; a note about an example is none."""
        key = (row["source"], row["synthetic"])
        if row["outcome"] == "accepted":
            self.accepted_tokens[key] += row["tokens"]
        elif row["outcome"] == "rejected":
            self.rejected_tokens.setdefault(key, Counter())[row["reason"]] += row["tokens"]
        if row["outcome"] != "example":
            self.lengths[row["outcome"] == "accepted"][max(0, row["chars"].bit_length() - 1)] += 1

    def bins(self) -> list[LengthBin]:
        """The histogram, without a gap."""
        powers = [*self.lengths[True], *self.lengths[False]]
        return [
            LengthBin(least_chars=1 << power, accepted=self.lengths[True][power], rejected=self.lengths[False][power])
            for power in range(min(powers, default=0), max(powers, default=-1) + 1)
        ]


def write_trace(out_dir: Path, accepted: Iterable[Document], places: Mapping[str, Place]) -> Measured:
    """Write the table from the accepted documents and ``rejected.jsonl``; memory is bounded by a batch."""
    measured = Measured()
    rows = _rows(out_dir, accepted, places)
    with pq.ParquetWriter(out_dir / FILE, COLUMNS, compression="zstd") as out:
        while batch := list(islice(rows, BATCH)):
            for row in batch:
                measured.add(row)
            out.write_table(pa.Table.from_pylist(batch, schema=COLUMNS))
    return measured


def _rows(out_dir: Path, accepted: Iterable[Document], places: Mapping[str, Place]) -> Iterator[dict[str, Any]]:
    for document in accepted:
        place = places.get(document.id)
        told = document.model_dump(include={"id", "source", "synthetic", "licence", "entity", "date", "origin"})
        told |= {"chars": len(document.text), "tokens": len(document.text.split())}
        told |= {"shard": place and place.shard, "row": place and place.row}
        yield _row("accepted", told)
    with (out_dir / "rejected.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            told = json.loads(line)
            example = told["stage"].startswith("examples/")
            kept = KEPT.match(told["detail"]) if told["stage"] == "duplicates" else None
            yield _row("example" if example else "rejected", told | {"kept": kept and kept.group(1)})


def _row(outcome: str, told: dict[str, Any]) -> dict[str, Any]:
    origin = told.get("origin") or {}
    row = {name: told.get(name) for name in COLUMNS.names} | {"outcome": outcome}
    return row | {name: origin.get(name) for name in ("file", "start", "end")} | {"part": origin.get("part") or None}
