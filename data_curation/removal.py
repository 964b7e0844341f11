"""Removal requests: what was asked to be removed does not enter, and its exact copies do not take its place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from contracts.documents import Document
from data_curation.candidates import Book
from data_curation.drop_prints import content_key
from data_curation.spool import Spool
from data_curation.text_steps import Reason


def drop_removed(spool: Spool, removals: Iterable[str], book: Book) -> None:
    """Let the documents fall that somebody asked to remove.

    Exact duplicates of one source have fallen before; those of other sources, and of later layers, are told by the
    book. Where a whole source or drop was asked to be removed, the same text elsewhere stays.
    """
    asked = frozenset(removals)
    if not asked:
        return
    named: dict[int, str] = {}
    for numbers, batch in spool.batches("id", "file"):
        files = zip(numbers.tolist(), batch["id"].to_pylist(), batch["file"].to_pylist(), strict=True)
        for number, identity, file in files:
            name = next((one for one in names_of(identity, spool.source, file) if one in asked), None)
            if name is not None:
                named[number] = name

    def why(number: int, document: Document) -> Reason:
        if named[number] in names_of(document.id, spool.source, None)[:2]:
            book.removed[content_key(document.text)] = document.id
        return "removal", "removal_requested", f"of {named[number]}"

    fallen = np.zeros(len(spool), np.bool_)
    fallen[list(named)] = True
    spool.reject(fallen, why, book)


def names_of(identity: str, source: str, file: str | None) -> tuple[str, ...]:
    """What a request may call a document: its id, that of the whole it is a part of, its source, its drop."""
    drop = file.partition("/")[0] if file is not None else ""
    return identity, identity.partition("@")[0], source, *([drop] if drop else [])
