"""Removal requests: what was asked to be removed does not enter, and its exact copies do not take its place."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.documents import Document
from data_curation.candidates import Book, Candidate


def without_removed(candidates: list[Candidate], removals: Iterable[str], book: Book) -> list[Candidate]:
    """The candidates that nobody asked to remove. Exact duplicates have fallen before: no copy steps in."""
    asked = frozenset(removals)
    if not asked:
        return candidates
    kept: list[Candidate] = []
    for candidate in candidates:
        named = next((one for one in names_of(candidate.document) if one in asked), None)
        if named is None:
            kept.append(candidate)
        else:
            book.reject(candidate, "removal", "removal_requested", f"of {named}")
    return kept


def names_of(document: Document) -> tuple[str, ...]:
    """What a request may call a document: its id, that of the whole it is a part of, its source, its drop."""
    drop = document.origin.file.partition("/")[0] if document.origin else ""
    return document.id, document.id.partition("@")[0], document.source, *([drop] if drop else [])
