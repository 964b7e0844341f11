"""Removal requests: what was asked to be removed does not enter, and its exact copies do not take its place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from data_curation.candidates import Book
from data_curation.spool import Spool


def drop_removed(spool: Spool, removals: Iterable[str], book: Book) -> None:
    """Let the documents fall that somebody asked to remove. Exact duplicates have fallen before: no copy steps in."""
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
    fallen = np.zeros(len(spool), np.bool_)
    fallen[list(named)] = True
    spool.reject(fallen, lambda number, _: ("removal", "removal_requested", f"of {named[number]}"), book)


def names_of(identity: str, source: str, file: str | None) -> tuple[str, ...]:
    """What a request may call a document: its id, that of the whole it is a part of, its source, its drop."""
    drop = file.partition("/")[0] if file is not None else ""
    return identity, identity.partition("@")[0], source, *([drop] if drop else [])
