"""Sources to candidates: read, normalised, personal data out, cut; judged by language, quality and exact duplicates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from contracts.documents import Document, Origin
from contracts.errors import InputError, LicenceError, RecipeError
from data_curation.arrivals import Fault, Identities, date_fault
from data_curation.candidates import Book, Candidate
from data_curation.field_paths import lookup, text_of
from data_curation.lineage import origin_of
from data_curation.normalising import cut, normalised, parts, without_boilerplate
from data_curation.reading import PdfReader, Row, find_files, read_rows, shown_name
from data_curation.text_steps import Reason, TextSteps, TextTally
from recipes.schema import Curation, Source

JUDGED_AT_ONCE = 256
Judged = tuple[Candidate, Reason | None]


@dataclass(frozen=True)
class Raw:
    """What a source gave, before anything was done to it."""

    identity: str
    text: str
    entity: str
    date: str | None
    row: dict[str, Any]
    licence: str
    synthetic: bool
    origin: Origin | None = None
    fault: Fault | None = None
    """Why it falls as it arrives, whatever its text."""


def check_licences(sources: dict[str, Source], curation: Curation) -> None:
    """Raises LicenceError for the first source whose licence the policy does not name."""
    for name, source in sources.items():
        refuse_licence(name, source.licence, curation)


def refuse_licence(source: str, licence: str, curation: Curation) -> None:
    """Raises LicenceError where ``licence`` is not allowed."""
    if licence not in curation.licences:
        raise LicenceError(
            f"sources.{source}",
            f"its licence is not among the allowed {', '.join(curation.licences)}",
            got=licence,
            hint="leave the source out, or add the licence to curation.licences after legal review",
        )


def rows_of_corpus(name: str, source: Source, corpus: Path, book: Book) -> Iterator[Raw]:
    """The source's documents in the corpus."""
    identities = Identities()
    with PdfReader() as pdf:
        for file in find_files(corpus, source.path):
            shown = shown_name(file, corpus)
            number = -1
            for number, row in enumerate(read_rows(file, shown, book.quarantine, pdf)):
                yield _raw(name, source, row, identities, shown, f"{Path(shown).stem}/{number}")
            if number < 0 and shown not in book.quarantined:
                book.quarantine(shown, 0, "holds no documents")


def _raw(name: str, source: Source, row: Row, identities: Identities, shown: str, otherwise: str) -> Raw:
    """A row as the source's fields read it; ``otherwise`` is the id of a row that has none."""
    whole = row.whole or set(row) == {"id", "text"}
    identity, fault = identities.take(text_of(lookup(row, "id" if whole else source.id)).strip() or otherwise, shown)
    date = text_of(lookup(row, source.date)).strip() or None if source.date else None
    return Raw(
        identity=f"{name}/{identity}",
        text=text_of(lookup(row, "text" if whole else source.text)),
        entity=text_of(lookup(row, source.entity)).strip() if source.entity else "",
        date=date,
        row=row,
        licence=source.licence,
        synthetic=False,
        origin=origin_of(row),
        fault=fault or date_fault(date),
    )


def rows_of_writer(written: Path) -> Iterator[Raw]:
    """The writer's documents of one source. Their metadata is the row that the tasks read."""
    with written.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                document = Document.model_validate_json(line)
                yield Raw(
                    document.id, document.text, document.entity, document.date,
                    document.metadata | {"text": document.text}, document.licence, document.synthetic,
                )  # fmt: skip


def candidates(
    name: str, source: Source, raws: Iterable[Raw], curation: Curation, book: Book, steps: TextSteps
) -> list[Candidate]:
    """Candidates of one source that pass the language and quality rules, without exact duplicates."""
    first_with: dict[bytes, str] = {}
    kept: list[Candidate] = []
    for candidate, reason in _judged(_shaped_all(name, source, raws, curation, book, steps), steps, book.texts[name]):
        document = candidate.document
        book.read[name, document.synthetic] += 1
        key = hashlib.sha256(document.text.casefold().encode()).digest()
        if reason:
            book.reject(candidate, *reason)
        elif key in first_with:
            book.reject(candidate, "duplicates", "exact_duplicate", f"of {first_with[key]}")
        elif len(kept) >= source.max_documents:
            book.reject(candidate, "size", "over_max_documents", f"most {source.max_documents}")
        else:
            first_with[key] = document.id
            kept.append(candidate)
    return kept


def _judged(shaped: Iterable[Judged], steps: TextSteps, tally: TextTally) -> Iterator[Judged]:
    """Candidates in their order, each with why it falls; many are judged at once."""
    shaped = iter(shaped)
    while batch := list(islice(shaped, JUDGED_AT_ONCE)):
        open_ones = [number for number, (_, reason) in enumerate(batch) if reason is None]
        found = steps.reasons([batch[number][0].document.text for number in open_ones], tally)
        later = dict(zip(open_ones, found, strict=True))
        yield from ((candidate, reason or later[number]) for number, (candidate, reason) in enumerate(batch))


def _shaped_all(
    name: str, source: Source, raws: Iterable[Raw], curation: Curation, book: Book, steps: TextSteps
) -> Iterator[Judged]:
    rules = _compiled(name, source)
    for raw in raws:
        refuse_licence(name, raw.licence, curation)
        text = without_boilerplate(normalised(raw.text), source.cut_before, rules)
        clean = steps.without_personal_data(text, raw.row)
        book.texts[name].add(clean)
        reason: Reason | None = ("reading", *raw.fault) if raw.fault else None
        if reason is None and clean.found and steps.personal_data == "reject":
            counts = ", ".join(f"{kind} {count}" for kind, count in sorted(clean.found.items()))
            reason = "personal_data", "personal_data", counts
        yield from ((candidate, reason) for candidate in _shaped(name, source, raw, clean.text, steps))


def _shaped(name: str, source: Source, raw: Raw, text: str, steps: TextSteps) -> Iterator[Candidate]:
    whole = source.use != "pretraining" and source.use != "replay"
    pieces = [cut(text, source.max_chars)] if whole else list(parts(text, source.max_chars)) or [""]
    metadata = steps.metadata(raw.row)
    for number, piece in enumerate(pieces):
        document = Document(
            id=raw.identity if len(pieces) == 1 else f"{raw.identity}@{number}",
            text=piece,
            source=name,
            licence=raw.licence,
            entity=raw.entity or raw.identity,
            date=raw.date,
            synthetic=raw.synthetic,
            origin=raw.origin,
            metadata=metadata,
        )
        yield Candidate(document, raw.row if whole else {}, named_entity=bool(raw.entity))


def _compiled(name: str, source: Source) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(rule, re.IGNORECASE) for rule in source.drop_lines)
    except re.error as error:
        raise RecipeError(
            f"sources.{name}.drop_lines", "is no regular expression", got=error, hint="escape ( ) [ ] . with \\"
        ) from None


def require_documents(found: dict[str, list[Candidate]], task_sources: set[str], where: str) -> None:
    """Raises InputError when no task source has a document left: there is nothing to learn or to be measured on."""
    if not any(found.get(name) for name in task_sources):
        raise InputError(
            where,
            "no document is left for any task",
            got=f"0 in {', '.join(sorted(task_sources))}",
            hint="do sources.*.path and sources.*.text of the recipe fit this corpus?",
        )
