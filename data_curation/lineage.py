"""Lineage: a row that knows which bytes of which file it was read from."""

from __future__ import annotations

from typing import Any, NamedTuple


class Place(NamedTuple):
    """As ``contracts.documents.Origin``; a reader makes one for every row."""

    file: str
    start: int | None
    end: int | None
    part: str = ""


class Row(dict[str, Any]):
    """What a reader gives: a row's fields, and where they stood."""

    origin: Place | None = None
    whole: bool = False
    """The reader named the fields, ``id`` and ``text`` among them: a recipe's field paths are not for them."""


def placed(
    fields: dict[str, Any], file: str, start: int | None, end: int | None, part: str = "", whole: bool = False
) -> Row:
    """``fields`` as a Row read from bytes ``[start, end)`` of ``file``, a path relative to the corpus."""
    row = Row(fields)
    row.whole = whole
    row.origin = Place(file, start, end, part)
    return row


def origin_of(row: dict[str, Any]) -> Place | None:
    """Where a row stood; None for rows that no reader made."""
    return row.origin if isinstance(row, Row) else None
