"""The curation card: what came in, what stayed, what went and why. Counts come from what was kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.curation_report import CurationCard, EvaluationTexts, NearDuplicates, SourceCount, SplitSides
from contracts.documents import ChatExample, PreferencePair
from contracts.errors import GateError
from data_curation.candidates import Book
from data_curation.cross_sources import Compared
from data_curation.duplicates import SAMPLES, Pair
from data_curation.reasons import explained
from data_curation.splitting import entity_key
from data_curation.spool import Found
from data_curation.text_steps import text_counts
from recipes.schema import Source
from recipes.stage_sections import CurateSection

WRITTEN = "CC0-1.0, written"


@dataclass(frozen=True)
class Examples:
    """What the tasks gave."""

    train: list[ChatExample]
    further: Counter[str]
    """For students only, by task."""
    evaluation: list[ChatExample]
    general: list[ChatExample]
    pairs: list[PreferencePair]


@dataclass(frozen=True)
class Outcome:
    """All that a card is drawn from, beside the book."""

    found: Found
    """What stays of each source, on both sides of the split."""
    examples: Examples
    duplicates: list[Pair]
    compared: dict[str, Compared]
    """Source to how its near-duplicates were found."""
    alarms: list[str]
    near: dict[str, NearDuplicates]
    missing: list[str]


def card_of(section: CurateSection, book: Book, outcome: Outcome) -> CurationCard:
    """The card; raises GateError where a source's accepted and rejected documents do not add up to those read."""
    sources, curation = section.sources, section.curation
    accepted: Counter[tuple[str, bool]] = Counter()
    chars: Counter[tuple[str, bool]] = Counter()
    licences: Counter[str] = Counter()
    for name, spool in outcome.found.items():
        numbers = spool.numbers
        facts = spool.facts[numbers]
        for synthetic in (False, True):
            of_kind = facts["chars"][facts["synthetic"] == synthetic]
            accepted[name, synthetic], chars[name, synthetic] = len(of_kind), int(of_kind.sum(dtype=np.int64))
        for counted in pc.value_counts(spool.labels(numbers)["licence"].combine_chunks().cast(pa.string())).to_pylist():
            licences[counted["values"]] += counted["counts"]
    counts = []
    for key in sorted(book.read):
        source, synthetic = key
        rejected = book.rejected.get(key, Counter())
        _check_sum(source, book.read[key], accepted[key], sum(rejected.values()))
        counts.append(
            SourceCount(
                source=source,
                licence=WRITTEN if synthetic else sources[source].licence,
                synthetic=synthetic,
                read=book.read[key],
                accepted=accepted[key],
                rejected=dict(sorted(rejected.items())),
                accepted_chars=chars[key],
                near_duplicate_clusters=outcome.near[source].clusters
                if source in outcome.near and not synthetic
                else 0,
            )
        )
    examples = outcome.examples
    return CurationCard(
        sources=counts,
        quarantined=book.quarantined,
        train_examples=_by_task(examples.train),
        student_examples=dict(sorted(examples.further.items())),
        eval_examples=_by_task([*examples.evaluation, *examples.general]),
        pairs=_by_task(examples.pairs),
        pretraining_chars=_trained_on(sources, outcome.found, "pretraining"),
        replay_chars=_trained_on(sources, outcome.found, "replay"),
        licences=dict(sorted(licences.items())),
        duplicate_samples=sorted(outcome.duplicates, key=lambda pair: pair[2])[:SAMPLES],
        cluster_alarms=outcome.alarms,
        example_rejects=dict(sorted(book.example_rejects.items())),
        missing=outcome.missing,
        texts={name: text_counts(tally, sources[name].personal_data or curation.personal_data)
               for name, tally in book.texts.items()},
        vertical=section.vertical,
        explanations=explained((one for table in counts for one in table.rejected), curation, section.quality_rules),
        near_duplicates=outcome.near,
        split=_sides(section, outcome),
        evaluation_texts=EvaluationTexts(
            items=_by_task({one.document_id: one for one in [*examples.evaluation, *examples.general]}.values()),
            words=curation.decontamination_words,
            coverage=curation.decontamination_coverage,
        ),
    )  # fmt: skip


def _sides(section: CurateSection, outcome: Outcome) -> SplitSides:
    """The sides as they lie in the shards; the questions of a general suite are on neither."""
    suites = {task.source for task in section.tasks.values() if task.suite == "general"}
    spools = [spool for name, spool in outcome.found.items() if name not in suites]
    asked = {one.document_id: one.entity for one in outcome.examples.evaluation}
    return SplitSides(
        training=sum(int(np.count_nonzero(spool.stays & ~spool.heldout)) for spool in spools),
        heldout=sum(int(np.count_nonzero(spool.stays & spool.heldout)) for spool in spools),
        exam_documents=len(asked),
        exam_entities=len({entity_key(entity) for entity in asked.values() if entity}),
        holdout_from=section.curation.holdout_from,
    )


def _trained_on(sources: dict[str, Source], found: Found, use: str) -> int:
    """Characters of one use that may be trained on."""
    spools = [spool for name, spool in found.items() if sources[name].use == use]
    return sum(int(spool.facts["chars"][spool.stays & ~spool.heldout].sum(dtype=np.int64)) for spool in spools)


def _by_task(records: Iterable[ChatExample | PreferencePair]) -> dict[str, int]:
    return dict(sorted(Counter(record.task for record in records).items()))


def _check_sum(source: str, read: int, accepted: int, rejected: int) -> None:
    if read != accepted + rejected:
        raise GateError(
            f"source {source}",
            "documents were lost between reading and the card",
            got=f"{read} read, {accepted} accepted, {rejected} rejected",
            hint="this is a fault of the curation stage: keep the corpus and report it",
        )
