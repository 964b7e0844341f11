"""All that a curated corpus is for others: Parquet shards, the table of every document, the dataset card, the card."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from contracts.curation_report import CurationCard
from data_curation.candidates import Book
from data_curation.card import Outcome, card_of
from data_curation.coverage import READ, coverage, refuse_gaps, seen
from data_curation.dataset import Part, describe_dataset, write_shards
from data_curation.guard import check_split
from data_curation.trace import Measured, write_trace
from recipes.corpus import Inbox
from recipes.stage_sections import CurateSection

USES = ("pretraining", "replay")
"""Plain text; what else a source is for are its tasks."""


def write_output(out_dir: Path, section: CurateSection, outcome: Outcome, book: Book) -> CurationCard:
    """Write plain text, shards, trace and dataset card; returns the card.

    Raises GateError where something lies on both sides of the split, and where required coverage is missing; of an
    inbox the whole is asked for that, not each layer.
    """
    inbox = section.inbox or Inbox()
    parts = _parts(section, outcome)
    with ThreadPoolExecutor(section.workers, thread_name_prefix="output") as pool:
        lines_written = pool.submit(_write_lines, out_dir, parts)
        counting = pool.submit(seen, _read(parts), section.ontology, inbox)
        shards = write_shards(out_dir, parts, inbox)
        lines_written.result()
        counted = counting.result()
        book.rejected_out.flush()
        tracing = pool.submit(write_trace, out_dir, parts, shards)
        check_split(out_dir, section.curation, outcome.compared, section.workers)
        measured = tracing.result()
    lines = coverage(counted, section.ontology, section.curation.require_coverage)
    card = _measured(card_of(section, book, outcome), measured).model_copy(
        update={
            "coverage": lines,
            "places_and_years": {place: dict(sorted(years.items())) for place, years in
                                 sorted(counted.places_and_years.items())},
        }
    )  # fmt: skip
    describe_dataset(out_dir, section.vertical or "documents", shards, card, inbox, section.curated_on)
    if section.inbox is None:
        refuse_gaps(lines)
    return card


def _write_lines(out_dir: Path, parts: list[Part]) -> None:
    """Plain text as JSON lines, a file for each side of each use."""
    for part in parts:
        if part.use in USES:
            name = f"{part.use}.jsonl" if part.split == "train" else f"{part.use}_{part.split}.jsonl"
            with (out_dir / name).open("wb") as out:
                for spool, documents in part.documents:
                    out.writelines(spool.lines(documents))


def _read(parts: list[Part]) -> Iterator[pa.RecordBatch]:
    return (batch for part in parts for _, _, batch in part.batches(*READ))


def _parts(section: CurateSection, outcome: Outcome) -> list[Part]:
    """Every accepted document once, by use and side of the split."""
    suites = {task.source for task in section.tasks.values() if task.suite == "general"}
    parts = []
    for use in (*USES, "tasks"):
        named = {name: outcome.found[name] for name, source in section.sources.items() if source.use == use}
        for split, heldout in (("train", False), ("heldout", True)):
            chosen = [
                (spool, spool.stays & ((spool.heldout | (name in suites)) == heldout)) for name, spool in named.items()
            ]
            parts.append(Part(use, split, chosen))
    return parts


def _measured(card: CurationCard, measured: Measured) -> CurationCard:
    sources = [
        one.model_copy(
            update={
                "accepted_tokens": measured.accepted_tokens[one.source, one.synthetic],
                "rejected_tokens": dict(sorted(measured.rejected_tokens.get((one.source, one.synthetic), {}).items())),
            }
        )
        for one in card.sources
    ]
    return card.model_copy(update={"sources": sources, "lengths": measured.bins()})
