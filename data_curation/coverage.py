"""What the accepted documents cover of the vertical's ontology, by one pass over their text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from contracts.documents import Document
from contracts.errors import GateError, RecipeError
from contracts.reports import Covered
from data_curation.phrases import Phrases
from recipes.corpus import Inbox
from recipes.ontology import Concept, Jurisdiction, Ontology, Period

NOT_STATED = "not stated"
Kind = Literal["concept", "regulation", "jurisdiction", "period"]


@dataclass
class Seen:
    """Counts over accepted documents."""

    places_and_years: dict[str, Counter[str]] = field(default_factory=dict)
    """Jurisdiction to year to documents; ``not stated`` where corpus.yaml or the document tells none."""
    names: Counter[str] = field(default_factory=Counter)
    """Name in the ontology to documents."""


def seen(documents: Iterable[Document], ontology: Ontology | None, inbox: Inbox) -> Seen:
    """One pass over the documents that people wrote; synthetic ones cover nothing."""
    phrases = Phrases(ontology.phrases if ontology else {})
    counted = Seen()
    for document in documents:
        if document.synthetic:
            continue
        places = places_of(document, inbox)
        for place in places or (NOT_STATED,):
            counted.places_and_years.setdefault(place, Counter())[year_of(document) or NOT_STATED] += 1
        if ontology:
            found = set(phrases.found(document.text))
            found |= {name for name in ontology.jurisdictions if name in places}
            found |= {name for name, period in ontology.periods.items() if _lies_in(document, period)}
            counted.names.update(found)
    return counted


def places_of(document: Document, inbox: Inbox) -> tuple[str, ...]:
    """Jurisdictions of the drop that a document came from."""
    drop = inbox.drops.get(document.origin.file.partition("/")[0]) if document.origin else None
    return drop.jurisdictions if drop else ()


def year_of(document: Document) -> str:
    """The four digits that a document's date begins with; empty where it has none."""
    start = (document.date or "")[:4]
    return start if len(start) == 4 and start.isdigit() else ""


def coverage(counted: Seen, ontology: Ontology | None, required: dict[str, int]) -> list[Covered]:
    """A line for every name of the ontology, in its order."""
    if ontology is None:
        return []
    tables: dict[Kind, Mapping[str, Concept | Jurisdiction | Period]] = {
        "concept": ontology.concepts, "regulation": ontology.regulations,
        "jurisdiction": ontology.jurisdictions, "period": ontology.periods,
    }  # fmt: skip
    return [
        Covered(kind=kind, name=name, documents=counted.names[name], required=required.get(name, 0), source=one.source)
        for kind, table in tables.items()
        for name, one in table.items()
    ]


def check_requirements(required: dict[str, int], ontology: Ontology | None) -> None:
    """Raises RecipeError where ``curation.require_coverage`` names what the ontology does not know."""
    unknown = sorted(set(required) - set(ontology.names if ontology else ()))
    if unknown:
        hint = "its names stand in the vertical's ontology.yaml" if ontology else "the vertical has no ontology.yaml"
        raise RecipeError("curation.require_coverage", "names what is not there", got=", ".join(unknown), hint=hint)


def refuse_gaps(lines: Iterable[Covered]) -> None:
    """Raises GateError that names everything required of which there is too little."""
    short = [one for one in lines if one.documents < one.required]
    if short:
        raise GateError(
            "curation.require_coverage",
            "the corpus covers too little",
            got=", ".join(f"{one.name}: {one.documents} of {one.required} documents" for one in short),
            hint="add documents on these, or lower curation.require_coverage",
        )


def _lies_in(document: Document, period: Period) -> bool:
    """Whether a document's date, or its year or month, lies in a period."""
    told = (document.date or "")[:10]
    try:
        day = date.fromisoformat(told + "0000-01-01"[len(told) :])
    except ValueError:
        return False
    return period.first <= day <= period.last
