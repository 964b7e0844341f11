"""How readers say what they could not read."""

from __future__ import annotations

from typing import Protocol

NOTE = "a note about the corpus, no document"
"""Why a README, a licence or the like is not read: by its name, and no fault of anybody's."""


class Quarantine(Protocol):
    """Takes a file, a line from 1 (0: the whole file, or no line), the error, and the bytes ``[start, end)`` it names.

    ``end`` None: to the end of the file. ``start`` None as well: nothing of the file was read.
    """

    def __call__(
        self, file: str, line: int, error: str, start: int | None = None, end: int | None = None, /
    ) -> None: ...
