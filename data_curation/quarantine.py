"""How readers say what they could not read."""

from __future__ import annotations

from typing import Protocol


class Quarantine(Protocol):
    """Takes a file, a line from 1 (0: the whole file, or no line), the error, and the bytes ``[start, end)`` it names.

    ``end`` None: to the end of the file. ``start`` None as well: nothing of the file was read.
    """

    def __call__(
        self, file: str, line: int, error: str, start: int | None = None, end: int | None = None, /
    ) -> None: ...
