"""One card of several: what the layers of an inbox add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contracts.artifacts import Artifact
from contracts.curation_report import (
    Covered,
    CurationCard,
    EvaluationTexts,
    LayerLine,
    LengthBin,
    NearDuplicates,
    SourceCount,
    SplitSides,
    TextCounts,
)

COUNTERS = ("train_examples", "student_examples", "eval_examples", "pairs", "licences", "example_rejects")
"""Fields of the card that map names to counts."""


def card_of_layer(layer: Artifact) -> CurationCard:
    """A layer's own card."""
    return CurationCard.model_validate_json(layer.file("card.json").read_text(encoding="utf-8"))


def card_of_layers(layers: Sequence[Artifact]) -> CurationCard:
    """The card of the whole inbox; what is shown of duplicates is of the last layer. No layer: an empty card."""
    cards = [card_of_layer(one) for one in layers]
    lines = [_line(layer, card) for layer, card in zip(layers, cards, strict=True)]
    later = {source.source for card in cards[1:] for source in card.sources}
    return CurationCard(
        sources=_sources(cards),
        quarantined={file: error for card in cards for file, error in card.quarantined.items()},
        **{name: _added(getattr(card, name) for card in cards) for name in COUNTERS},
        pretraining_chars=sum(card.pretraining_chars for card in cards),
        replay_chars=sum(card.replay_chars for card in cards),
        duplicate_samples=cards[-1].duplicate_samples if cards else [],
        cluster_alarms=[alarm for card in cards for alarm in card.cluster_alarms],
        missing=[name for card in cards[:1] for name in card.missing if name not in later],
        texts=_texts(cards),
        coverage=covered([card.coverage for card in cards]),
        places_and_years=_tables(card.places_and_years for card in cards),
        lengths=_lengths(cards),
        layers=lines,
        vertical=next((card.vertical for card in cards), ""),
        explanations={reason: told for card in cards for reason, told in card.explanations.items()},
        near_duplicates=_near(cards),
        split=_sides([card.split for card in cards if card.split]),
        evaluation_texts=_evaluation_texts([card.evaluation_texts for card in cards if card.evaluation_texts]),
    )


def metrics_of(card: CurationCard) -> dict[str, Any]:
    """A corpus's figures for the artifact's record."""
    rejected: Counter[str] = Counter()
    for source in card.sources:
        rejected.update(source.rejected)
    return {
        "read": sum(source.read for source in card.sources),
        "accepted": sum(source.accepted for source in card.sources),
        "rejected": sum(rejected.values()),
        "rejected_by_reason": dict(sorted(rejected.items())),
        "quarantined_files": len(card.quarantined),
        "pretraining_chars": card.pretraining_chars,
        "replay_chars": card.replay_chars,
        "train_examples": sum(card.train_examples.values()),
        "student_examples": sum(card.student_examples.values()),
        "eval_examples": sum(card.eval_examples.values()),
        "train_by_task": card.train_examples,
        "eval_by_task": card.eval_examples,
        "pairs": sum(card.pairs.values()),
        "missing_sources": card.missing,
    }


def covered(lists: Iterable[Iterable[Covered]]) -> list[Covered]:
    """Lines of several cards added up by name."""
    found: dict[tuple[str, str], Covered] = {}
    for one in (one for lines in lists for one in lines):
        key = one.kind, one.name
        documents = one.documents + (found[key].documents if key in found else 0)
        found[key] = one.model_copy(update={"documents": documents})
    return list(found.values())


def _line(layer: Artifact, card: CurationCard) -> LayerLine:
    inbox: Mapping[str, Any] = layer.section.get("inbox") or {}
    return LayerLine(
        drops=sorted(inbox.get("drops", {})),
        read=sum(one.read for one in card.sources),
        accepted=sum(one.accepted for one in card.sources),
        rejected=sum(sum(one.rejected.values()) for one in card.sources),
        accepted_tokens=sum(one.accepted_tokens for one in card.sources),
    )


def _sources(cards: Iterable[CurationCard]) -> list[SourceCount]:
    found: dict[tuple[str, bool], SourceCount] = {}
    for one in (one for card in cards for one in card.sources):
        before = found.get((one.source, one.synthetic))
        found[one.source, one.synthetic] = one if before is None else _together(before, one)
    return [found[key] for key in sorted(found)]


def _together(one: SourceCount, other: SourceCount) -> SourceCount:
    sums = ("read", "accepted", "accepted_chars", "near_duplicate_clusters", "accepted_tokens")
    added: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in sums}
    tables = {name: _added([getattr(one, name), getattr(other, name)]) for name in ("rejected", "rejected_tokens")}
    return other.model_copy(update=added | tables)


def _texts(cards: Iterable[CurationCard]) -> dict[str, TextCounts]:
    found: dict[str, TextCounts] = {}
    for name, one in (item for card in cards for item in card.texts.items()):
        before = found.get(name)
        found[name] = one if before is None else TextCounts(
            **{field: _added([getattr(before, field), getattr(one, field)])
               for field in ("personal_data", "kept", "languages")},
            numbers_before=before.numbers_before + one.numbers_before,
            numbers_after=before.numbers_after + one.numbers_after,
            action=one.action,
            quality=_bins(before.quality, one.quality),
        )  # fmt: skip
    return found


def _bins(one: Mapping[str, list[int]], other: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Two texts' bins added up; a measure that one of them has not is the other's."""
    both = {
        name: [a + b for a, b in zip(bins, other[name], strict=True)] for name, bins in one.items() if name in other
    }
    return {**one, **other, **both}


def _near(cards: Iterable[CurationCard]) -> dict[str, NearDuplicates]:
    found: dict[str, NearDuplicates] = {}
    for name, one in (item for card in cards for item in card.near_duplicates.items()):
        before = found.get(name)
        sums = (
            {
                key: getattr(before, key) + getattr(one, key)
                for key in ("compared", "removed", "of_other_sources", "clusters")
            }
            if before
            else {}
        )
        found[name] = one.model_copy(update=sums)
    return found


def _sides(sides: Sequence[SplitSides]) -> SplitSides | None:
    """What lies on both sides; an entity of two layers' exams counts twice."""
    if not sides:
        return None
    sums = ("training", "heldout", "exam_documents", "exam_entities")
    return sides[-1].model_copy(update={name: sum(getattr(one, name) for one in sides) for name in sums})


def _evaluation_texts(texts: Sequence[EvaluationTexts]) -> EvaluationTexts | None:
    return texts[-1].model_copy(update={"items": _added(one.items for one in texts)}) if texts else None


def _lengths(cards: Iterable[CurationCard]) -> list[LengthBin]:
    """The histogram, without a gap."""
    bins = [one for card in cards for one in card.lengths]
    accepted, rejected = (
        _added({one.least_chars: getattr(one, side)} for one in bins) for side in ("accepted", "rejected")
    )
    least, most = min(accepted, default=1), max(accepted, default=0)
    powers = range(least.bit_length() - 1, most.bit_length())
    sizes = [1 << power for power in powers]
    return [LengthBin(least_chars=one, accepted=accepted.get(one, 0), rejected=rejected.get(one, 0)) for one in sizes]


def _tables(tables: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    rows: dict[str, list[Mapping[str, int]]] = {}
    for place, years in (item for table in tables for item in table.items()):
        rows.setdefault(place, []).append(years)
    return {place: _added(found) for place, found in sorted(rows.items())}


def _added(tables: Iterable[Mapping[Any, int]]) -> dict[Any, int]:
    total: Counter[Any] = Counter()
    for table in tables:
        total.update(table)
    return dict(sorted(total.items()))
