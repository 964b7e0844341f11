"""One document's story, read from a curated corpus: where it came from, what every step said, where it lies now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

from data_curation.trace import FILE

STEPS = (
    "read",
    "personal data",
    "language and quality",
    "exact duplicates",
    "removal requests",
    "size limits",
    "split",
    "near-duplicates",
    "decontamination",
)
"""In their order. A document that falls at one is not looked at by those behind it."""
STAGES = {
    "reading": "read",
    "personal_data": "personal data",
    "language": "language and quality",
    "quality": "language and quality",
    "removal": "removal requests",
    "size": "size limits",
    "split": "split",
    "decontamination": "decontamination",
}
Row = dict[str, Any]


def rows_of(corpus: Path, identity: str) -> list[Row]:
    """The rows of a document and of its parts, accepted, rejected, and notes about its examples; none: not in here."""
    column = pc.field("id")
    wanted = (column == identity) | pc.starts_with(column, f"{identity}@")
    found: list[Row] = ds.dataset(corpus / FILE).to_table(filter=wanted).to_pylist()
    return found


def rows_named(corpus: Path, name: str) -> list[Row]:
    """The rows that a removal request means: a document, or all of a source or drop."""
    table = ds.dataset(corpus / FILE)
    wanted = (pc.field("source") == name) | pc.starts_with(pc.field("file"), f"{name}/")
    found: list[Row] = table.to_table(filter=wanted & (pc.field("outcome") != "example")).to_pylist()
    return found or [row for row in rows_of(corpus, name) if row["outcome"] != "example"]


def copies_of(corpora: Iterable[Path], identity: str) -> list[Row]:
    """The duplicates that fell because this document was kept, each once."""
    found: dict[str, Row] = {}
    for corpus in corpora:
        for row in ds.dataset(corpus / FILE).to_table(filter=pc.field("kept") == identity).to_pylist():
            found.setdefault(row["id"], row)
    return list(found.values())


def story(corpus: Path, identity: str, later: Sequence[Path] = ()) -> list[str]:
    """The story in lines; empty where the corpus does not know the document. ``later``: layers that came after it."""
    rows = rows_of(corpus, identity)
    examples = [row for row in rows if row["outcome"] == "example"]
    lines: list[str] = []
    for row in rows:
        if row["outcome"] != "example":
            lines += [*_of_one([corpus, *later], row), ""]
    lines += [f"no example for {row['stage'].partition('/')[2]}: {_reason(row)}" for row in examples]
    return lines


def _of_one(corpora: Sequence[Path], row: Row) -> Iterator[str]:
    yield str(row["id"])
    yield f"  came from    {_origin(row)}"
    about = [("source", row["source"]), ("licence", row["licence"]), ("entity", row["entity"]), ("date", row["date"])]
    yield "  is           " + ", ".join(f"{name} {value}" for name, value in about if value)
    yield f"               {row['chars']:,} characters, {row['tokens']:,} tokens" + ", written" * bool(row["synthetic"])
    yield from (f"  {step:<21}{verdict}" for step, verdict in _verdicts(row))
    kept = row["kept"]
    if kept:
        yield f"  is a copy of {kept}, which was kept"
        yield from _cluster(corpora, kept, str(row["id"]))
    yield from _cluster(corpora, str(row["id"]), "")
    if row["outcome"] == "accepted":
        yield f"  lies in      {row['shard']}, row {row['row']:,} (from 0)"
    else:
        yield "  lies in      rejected.jsonl"


def _cluster(corpora: Sequence[Path], kept: str, but: str) -> Iterator[str]:
    for row in copies_of(corpora, kept):
        if row["id"] != but:
            yield f"  {'another' if but else 'its'} copy  {row['id']}: {_reason(row)}"


def _verdicts(row: Row) -> Iterator[tuple[str, str]]:
    accepted = row["outcome"] == "accepted"
    fell_at = "" if accepted else _step(row)
    fallen = False
    for step in (*STEPS, *([fell_at] if fell_at and fell_at not in STEPS else [])):
        if step == fell_at:
            fallen = True
            yield step, f"rejected: {_reason(row)}"
        else:
            yield step, "not reached" if fallen else "passed"


def _step(row: Row) -> str:
    if row["stage"] == "duplicates":
        return "exact duplicates" if row["reason"] == "exact_duplicate" else "near-duplicates"
    return STAGES.get(row["stage"], str(row["stage"]))


def _reason(row: Row) -> str:
    return f"{row['reason']} ({row['detail']})" if row["detail"] else str(row["reason"])


def _origin(row: Row) -> str:
    if not row["file"]:
        return "the recipe's document writer" if row["synthetic"] else "the house's own texts"
    place = f", {row['part']}" if row["part"] else ""
    if row["start"] is None:
        return f"{row['file']}{place}"
    return f"{row['file']}, bytes {row['start']:,} to {row['end']:,}{place}"
