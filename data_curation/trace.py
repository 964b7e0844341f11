"""``documents.parquet``: a row for every document that was read, with where it came from and where it went."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.curation_report import LengthBin
from data_curation.dataset import NO_PART, Part, Shards, regrouped
from data_curation.spool import BODY

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


READ = tuple(name for name in BODY.names if name in COLUMNS.names and name != "row")


@dataclass
class Measured:
    """What the rows add up to."""

    accepted_tokens: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """(source, synthetic) to tokens."""
    rejected_tokens: dict[tuple[str, bool], Counter[str]] = field(default_factory=dict)
    lengths: dict[bool, Counter[int]] = field(default_factory=lambda: {True: Counter(), False: Counter()})
    """Accepted or not, to the power of two below the characters, to documents."""

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a document that fell; a note about an example is none."""
        if row["outcome"] == "rejected":
            key = (row["source"], row["synthetic"])
            self.rejected_tokens.setdefault(key, Counter())[row["reason"]] += row["tokens"]
            self.lengths[False][max(0, row["chars"].bit_length() - 1)] += 1

    def add_accepted(self, source: str, facts: NDArray[Any]) -> None:
        """Count accepted documents (``spool.FACTS``)."""
        for synthetic in (False, True):
            self.accepted_tokens[source, synthetic] += int(facts["tokens"][facts["synthetic"] == synthetic].sum())
        powers = np.frexp(np.maximum(facts["chars"], 1))[1] - 1
        self.lengths[True].update(powers.tolist())

    def bins(self) -> list[LengthBin]:
        """The histogram, without a gap."""
        powers = [*self.lengths[True], *self.lengths[False]]
        return [
            LengthBin(least_chars=1 << power, accepted=self.lengths[True][power], rejected=self.lengths[False][power])
            for power in range(min(powers, default=0), max(powers, default=-1) + 1)
        ]


def write_trace(out_dir: Path, parts: Iterable[Part], shards: Shards) -> Measured:
    """Write the table from the accepted documents and ``rejected.jsonl``; memory is bounded by a batch."""
    measured = Measured()
    with pq.ParquetWriter(out_dir / FILE, COLUMNS, compression="zstd") as out:
        for table in regrouped(_accepted(parts, shards, measured), repeat(BATCH)):
            out.write_table(table)
        rows = _fallen(out_dir)
        while batch := list(islice(rows, BATCH)):
            for row in batch:
                measured.add(row)
            out.write_table(pa.Table.from_pylist(batch, schema=COLUMNS))
    return measured


def _accepted(parts: Iterable[Part], shards: Shards, measured: Measured) -> Iterator[pa.Table]:
    for part in parts:
        places = _places(shards.rows.get((part.use, part.split), {}))
        for spool, numbers, batch in part.batches(*READ):
            facts = spool.facts[numbers]
            measured.add_accepted(spool.source, facts)
            files, rows = zip(*islice(places, len(batch)), strict=True)
            made = {
                "outcome": pa.repeat("accepted", len(batch)), "source": pa.repeat(spool.source, len(batch)),
                "part": pc.if_else(pc.equal(batch["part"], ""), NO_PART, batch["part"]),
                "chars": pa.array(facts["chars"], pa.int64()), "tokens": pa.array(facts["tokens"], pa.int64()),
                "shard": pa.array(files, pa.string()), "row": pa.array(rows, pa.int64()),
            }  # fmt: skip
            columns = {name: batch[name] for name in READ} | made
            empty = pa.nulls(len(batch), pa.string())
            yield pa.table([columns.get(name, empty) for name in COLUMNS.names], schema=COLUMNS)


def _places(shards: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Shard and row of a part's documents, in order."""
    return ((name, row) for name, size in shards.items() for row in range(size))


def _fallen(out_dir: Path) -> Iterator[dict[str, Any]]:
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
