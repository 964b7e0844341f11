"""Sources to spools: read, shaped (``shaping``), exact duplicates and what is past a source's room left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.documents import Document
from contracts.errors import InputError, LicenceError
from data_curation.arrivals import Identities, date_fault
from data_curation.candidates import Book, Candidate
from data_curation.field_paths import lookup, text_of
from data_curation.first_seen import NEW, REFUSED
from data_curation.reading import PdfReader, Row, find_files, read_rows, shown_name
from data_curation.shaping import Raw, batched, content_of, facts_of
from data_curation.spool import BODY, Spool, document_of
from data_curation.text_pool import TextPool
from recipes.schema import Curation, Source


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
            number, stem = -1, Path(shown).stem
            for number, row in enumerate(read_rows(file, shown, book.quarantine, pdf)):
                yield _raw(name, source, row, identities, shown, f"{stem}/{number}")
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


def spooled(
    name: str, source: Source, raws: Iterable[Raw], curation: Curation, book: Book, pool: TextPool, folder: Path
) -> Spool:
    """The documents of one source that pass the language and quality rules, without exact duplicates.

    Raises LicenceError for a row whose licence the policy does not name.
    """
    spool = Spool(folder / f"{name}.arrow", name)
    try:
        found = book.texts[name]
        for shaped, tally in pool.shaped(name, batched(_allowed(name, raws, curation))):
            found.merge(tally)
            _enter(shaped, spool, source.max_documents, book)
    finally:
        spool.close()
    return spool


def _allowed(name: str, raws: Iterable[Raw], curation: Curation) -> Iterator[Raw]:
    for raw in raws:
        refuse_licence(name, raw.licence, curation)
        yield raw


def _enter(shaped: pa.RecordBatch, spool: Spool, most: int, book: Book) -> None:
    """Into the spool with what may stay, into the book with the rest, in reading order."""
    open_ones = pc.is_null(shaped["reason"]).to_numpy(zero_copy_only=False)
    facts = facts_of(shaped)
    for synthetic in (False, True):
        count = int(np.count_nonzero(facts["synthetic"] == synthetic))
        if count:
            book.read[spool.source, synthetic] += count
    first = spool.seen.add(content_of(shaped), open_ones, most)
    enters = open_ones & (first == NEW)
    body = shaped.select(BODY.names)
    spool.append(body if enters.all() else body.filter(pa.array(enters)), facts[enters])
    if enters.all():
        return
    for number, told in zip(np.flatnonzero(~enters), shaped.filter(pa.array(~enters)).to_pylist(), strict=True):
        reason = told["step"], told["reason"], told["detail"]
        if open_ones[number]:
            full = first[number] == REFUSED
            copy = "duplicates", "exact_duplicate", "" if full else f"of {spool.identity(int(first[number]))}"
            reason = ("size", "over_max_documents", f"most {most}") if full else copy
        book.reject(Candidate(document_of(spool.source, told), {}), *reason)


def require_documents(found: dict[str, Spool], task_sources: set[str], where: str) -> None:
    """Raises InputError when no task source has a document left: there is nothing to learn or to be measured on."""
    if not any(name in found and found[name].stays.any() for name in task_sources):
        raise InputError(
            where,
            "no document is left for any task",
            got=f"0 in {', '.join(sorted(task_sources))}",
            hint="do sources.*.path and sources.*.text of the recipe fit this corpus?",
        )
