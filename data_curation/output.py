"""All that a curated corpus is for others: Parquet shards, the table of every document, the dataset card, the card."""

from __future__ import annotations

from pathlib import Path

from contracts.documents import Document
from contracts.reports import CurationCard
from data_curation.candidates import Book
from data_curation.card import Outcome, card_of
from data_curation.coverage import coverage, refuse_gaps, seen
from data_curation.dataset import Part, describe_dataset, write_shards
from data_curation.guard import check_split
from data_curation.trace import Measured, write_trace
from recipes.corpus import Inbox
from recipes.stage_sections import CurateSection


def write_output(out_dir: Path, section: CurateSection, outcome: Outcome, book: Book) -> CurationCard:
    """Write shards, trace and dataset card; returns the card.

    Raises GateError where something lies on both sides of the split, and where required coverage is missing; of an
    inbox the whole is asked for that, not each layer.
    """
    inbox = section.inbox or Inbox()
    parts = _parts(section, outcome)
    accepted = [document for part in parts for document in part.documents]
    shards = write_shards(out_dir, parts, inbox)
    check_split(out_dir, section.curation, outcome.compared)
    book.rejected_out.flush()
    measured = write_trace(out_dir, accepted, shards.places)
    counted = seen(accepted, section.ontology, inbox)
    lines = coverage(counted, section.ontology, section.curation.require_coverage)
    card = _measured(card_of(section.sources, book, outcome), measured).model_copy(
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


def _parts(section: CurateSection, outcome: Outcome) -> list[Part]:
    """Every accepted document once, by use and side of the split."""
    parts = [
        Part(use, split, documents)
        for use, shards in outcome.shards.items()
        for split, documents in (("train", shards.training), ("heldout", shards.heldout))
    ]
    suites = {task.source for task in section.tasks.values() if task.suite == "general"}
    sides: dict[bool, list[Document]] = {False: [], True: []}
    for name, candidates in outcome.found.items():
        if section.sources[name].use == "tasks":
            for candidate in candidates:
                sides[candidate.heldout or name in suites].append(candidate.document)
    return [*parts, Part("tasks", "train", sides[False]), Part("tasks", "heldout", sides[True])]


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
