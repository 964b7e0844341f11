"""The card of a joined corpus: the sum of its layers, less the documents that fell when they were joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from contracts.curation_report import CurationCard, LengthBin, SourceCount
from contracts.documents import Document
from data_curation.coverage import Seen, seen
from recipes.corpus import Inbox
from recipes.ontology import Ontology

SEEN = pa.schema([("text", pa.large_string()), ("file", pa.string()), ("date", pa.string()), ("synthetic", pa.bool_())])
"""What ``coverage.seen`` reads."""


@dataclass(frozen=True)
class Fallen:
    """A document that a layer accepted and the whole does not."""

    document: Document
    reason: str
    part: str
    """``pretraining-train`` and the like."""


@dataclass
class Gone:
    """Counts of what fell."""

    documents: dict[tuple[str, bool], Counter[str]] = field(default_factory=dict)
    """(source, synthetic) to reason to documents."""
    tokens: dict[tuple[str, bool], Counter[str]] = field(default_factory=dict)
    chars: Counter[tuple[str, bool]] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    """Power of two below the characters to documents."""
    parts: Counter[str] = field(default_factory=Counter)
    """Part to characters."""
    sides: Counter[str] = field(default_factory=Counter)
    """Side of the split to documents."""
    examples: dict[str, Counter[str]] = field(default_factory=dict)
    """File to task to examples or pairs."""
    covered: Seen = field(default_factory=Seen)

    def look(self, fallen: Iterable[Fallen], ontology: Ontology | None, inbox: Inbox) -> None:
        """Count what fell, in one pass."""
        self.covered = seen(self._counted(fallen), ontology, inbox)

    def _counted(self, fallen: Iterable[Fallen]) -> Iterator[pa.RecordBatch]:
        for one in fallen:
            document = one.document
            key, chars = (document.source, document.synthetic), len(document.text)
            self.documents.setdefault(key, Counter())[one.reason] += 1
            self.tokens.setdefault(key, Counter())[one.reason] += len(document.text.split())
            self.chars[key] += chars
            self.licences[document.licence] += 1
            self.lengths[1 << max(0, chars.bit_length() - 1)] += 1
            self.parts[one.part] += chars
            self.sides["heldout" if one.part.endswith("-heldout") else "training"] += 1
            file = document.origin.file if document.origin else None
            told = {"text": document.text, "file": file, "date": document.date, "synthetic": document.synthetic}
            yield pa.RecordBatch.from_pylist([told], schema=SEEN)


def without(card: CurationCard, gone: Gone) -> CurationCard:
    """The card less what is gone; read still equals accepted plus rejected."""
    if not gone.documents:
        return card
    examples = {name: Counter(gone.examples.get(name, {})) for name in ("train", "students", "pairs")}
    places = {place: _less(years, gone.covered.places_and_years.get(place, Counter()))
              for place, years in card.places_and_years.items()}  # fmt: skip
    return card.model_copy(
        update={
            "sources": [_source(one, gone) for one in card.sources],
            "licences": _less(card.licences, gone.licences),
            "train_examples": _less(card.train_examples, examples["train"]),
            "student_examples": _less(card.student_examples, examples["students"]),
            "pairs": _less(card.pairs, examples["pairs"]),
            "pretraining_chars": card.pretraining_chars - gone.parts["pretraining-train"],
            "replay_chars": card.replay_chars - gone.parts["replay-train"],
            "places_and_years": {place: years for place, years in places.items() if years},
            "coverage": [one.model_copy(update={"documents": one.documents - gone.covered.names[one.name]})
                         for one in card.coverage],
            "lengths": [_length(one, gone.lengths[one.least_chars]) for one in card.lengths],
            "split": card.split and card.split.model_copy(
                update={side: getattr(card.split, side) - gone.sides[side] for side in ("training", "heldout")}),
        }
    )  # fmt: skip


def _source(one: SourceCount, gone: Gone) -> SourceCount:
    key = one.source, one.synthetic
    reasons, tokens = gone.documents.get(key, Counter()), gone.tokens.get(key, Counter())
    return one.model_copy(
        update={
            "accepted": one.accepted - reasons.total(),
            "accepted_chars": one.accepted_chars - gone.chars[key],
            "accepted_tokens": one.accepted_tokens - tokens.total(),
            "rejected": dict(sorted((Counter(one.rejected) + reasons).items())),
            "rejected_tokens": dict(sorted((Counter(one.rejected_tokens) + tokens).items())),
        }
    )


def _length(one: LengthBin, fallen: int) -> LengthBin:
    return one.model_copy(update={"accepted": one.accepted - fallen, "rejected": one.rejected + fallen})


def _less(table: dict[str, int], gone: Counter[str]) -> dict[str, int]:
    return {name: count - gone[name] for name, count in table.items() if count > gone[name]}
