"""The curation card: what came in, what stayed, what went and why. Counts come from what was kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from contracts.documents import ChatExample, Document, PreferencePair
from contracts.errors import GateError
from contracts.reports import CurationCard, SourceCount
from data_curation.candidates import Book, Candidate
from data_curation.duplicates import Pair
from data_curation.guard import Compared
from data_curation.shards import Shards
from data_curation.text_steps import text_counts
from recipes.schema import Source

SAMPLES = 40
WRITTEN = "CC0-1.0, written"
Found = dict[str, list[Candidate]]
"""Source to its candidates."""


@dataclass(frozen=True)
class Examples:
    """What the tasks gave."""

    train: list[ChatExample]
    further: list[ChatExample]
    """For students only."""
    evaluation: list[ChatExample]
    general: list[ChatExample]
    pairs: list[PreferencePair]


@dataclass(frozen=True)
class Outcome:
    """All that a card is drawn from, beside the book."""

    found: Found
    """Accepted candidates of the task sources; other sources' lie in ``shards``."""
    shards: dict[str, Shards]
    examples: Examples
    duplicates: list[Pair]
    clusters: Counter[str]
    compared: dict[str, Compared]
    """Source to how its near-duplicates were found."""
    alarms: list[str]
    missing: list[str]


def card_of(sources: dict[str, Source], book: Book, outcome: Outcome) -> CurationCard:
    """The card; raises GateError where a source's accepted and rejected documents do not add up to those read."""
    accepted: Counter[tuple[str, bool]] = Counter()
    chars: Counter[tuple[str, bool]] = Counter()
    licences: Counter[str] = Counter()
    for document in _accepted(sources, outcome):
        accepted[document.source, document.synthetic] += 1
        chars[document.source, document.synthetic] += len(document.text)
        licences[document.licence] += 1
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
                near_duplicate_clusters=0 if synthetic else outcome.clusters[source],
            )
        )
    examples = outcome.examples
    return CurationCard(
        sources=counts,
        quarantined=book.quarantined,
        train_examples=_by_task(examples.train),
        student_examples=_by_task(examples.further),
        eval_examples=_by_task([*examples.evaluation, *examples.general]),
        pairs=_by_task(examples.pairs),
        pretraining_chars=outcome.shards["pretraining"].training_chars,
        replay_chars=outcome.shards["replay"].training_chars,
        licences=dict(sorted(licences.items())),
        duplicate_samples=sorted(outcome.duplicates, key=lambda pair: pair[2])[:SAMPLES],
        cluster_alarms=outcome.alarms,
        example_rejects=dict(sorted(book.example_rejects.items())),
        missing=outcome.missing,
        texts={name: text_counts(tally) for name, tally in book.texts.items()},
    )


def _accepted(sources: dict[str, Source], outcome: Outcome) -> Iterator[Document]:
    for name, candidates in outcome.found.items():
        if sources[name].use == "tasks":
            yield from (candidate.document for candidate in candidates)
    for shard in outcome.shards.values():
        yield from shard.training
        yield from shard.heldout


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
