"""What the accepted documents cover of the vertical's ontology, by one pass over their text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.curation_report import Covered
from contracts.errors import GateError
from data_curation.phrases import Phrases
from recipes.corpus import Inbox
from recipes.ontology import Concept, Jurisdiction, Ontology, Period

NOT_STATED = "not stated"
READ = ("text", "file", "date", "synthetic")
"""The columns that ``seen`` looks at."""
Kind = Literal["concept", "regulation", "jurisdiction", "period"]


@dataclass
class Seen:
    """Counts over accepted documents."""

    places_and_years: dict[str, Counter[str]] = field(default_factory=dict)
    """Jurisdiction to year to documents; ``not stated`` where corpus.yaml or the document tells none."""
    names: Counter[str] = field(default_factory=Counter)
    """Name in the ontology to documents."""


def seen(batches: Iterable[pa.RecordBatch], ontology: Ontology | None, inbox: Inbox) -> Seen:
    """One pass over the documents that people wrote, in batches with READ; synthetic ones cover nothing."""
    phrases = Phrases(ontology.phrases if ontology else {})
    printed = np.zeros(len(phrases.names), np.int64)
    dated: Counter[tuple[tuple[str, ...], str | None]] = Counter()
    for batch in batches:
        real = batch if not pc.any(batch["synthetic"]).as_py() else batch.filter(pc.invert(batch["synthetic"]))
        files = real["file"].dictionary_encode()
        places = [places_of(file, inbox) for file in files.dictionary.to_pylist()]
        of = [() if one is None else places[one] for one in files.indices.to_pylist()]
        dated.update(zip(of, real["date"].to_pylist(), strict=True))
        for where in set(of):
            told = real["text"].filter(pa.array([one == where for one in of]))
            # what its drop tells is counted below: a document that says so itself counts once
            counts = np.array([name not in where for name in phrases.names], np.bool_)
            printed += phrases.documents_with(told) * counts
    counted = Seen(names=Counter(dict(zip(phrases.names, printed.tolist(), strict=True))))
    for (where, day), documents in dated.items():
        for place in where or (NOT_STATED,):
            counted.places_and_years.setdefault(place, Counter())[year_of(day) or NOT_STATED] += documents
        if ontology:
            found = {name for name in ontology.jurisdictions if name in where}
            found |= {name for name, period in ontology.periods.items() if _lies_in(day, period)}
            counted.names.update(dict.fromkeys(found, documents))
    return counted


def places_of(file: str | None, inbox: Inbox) -> tuple[str, ...]:
    """Jurisdictions of the drop that a document's file is of."""
    drop = inbox.drops.get(file.partition("/")[0]) if file is not None else None
    return drop.jurisdictions if drop else ()


def year_of(told: str | None) -> str:
    """The four digits that a date begins with; empty where it has none."""
    start = (told or "")[:4]
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


def _lies_in(told: str | None, period: Period) -> bool:
    """Whether a document's date, or its year or month, lies in a period."""
    told = (told or "")[:10]
    try:
        day = date.fromisoformat(told + "0000-01-01"[len(told) :])
    except ValueError:
        return False
    return period.first <= day <= period.last
