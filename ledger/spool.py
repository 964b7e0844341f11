"""The spool: events that could not reach the database, one JSON object a line, fsynced, replayed in order.

Any number of processes append and replay; a lock file keeps them apart. Nothing is dropped: a line that cannot be read
(torn by a power cut) moves to ``unreadable.jsonl``, an event whose lease the database does not know stays.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from contracts.artifacts import sync
from contracts.errors import LedgerError
from ledger.events import Event


class Spool:
    """A folder with ``events.jsonl``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "events.jsonl"

    @property
    def waiting(self) -> bool:
        """True when events wait for the database."""
        try:
            return self.file.stat().st_size > 0
        except OSError:
            return False

    def append(self, event: Event) -> None:
        """Keep one event; on disk when this returns. Raises LedgerError."""
        try:
            with self._locked():
                _append(self.file, event.model_dump_json())
                sync(self.folder)
        except OSError as error:
            raise LedgerError(
                str(self.file), "cannot keep an event", got=error.strerror, hint="free disk space or make it writable"
            ) from error

    def replay(self, place: Callable[[Sequence[Event]], Sequence[Event]]) -> int:
        """Hand all events to ``place``, which returns those it could not place; these stay. Returns how many went.

        An error of ``place`` leaves the spool as it was.
        """
        if not self.waiting:
            return 0
        with self._locked():
            events, unreadable = self._read()
            left = place(events)
            for line in unreadable:
                _append(self.folder / "unreadable.jsonl", line)
            part = self.file.with_suffix(".part")
            part.unlink(missing_ok=True)
            for event in left:
                _append(part, event.model_dump_json())
            part.rename(self.file) if left else self.file.unlink()
            sync(self.folder)
        return len(events) - len(left)

    def _read(self) -> tuple[list[Event], list[str]]:
        events, unreadable = [], []
        if self.waiting:
            for line in self.file.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    events.append(Event.model_validate_json(line))
                except ValidationError:
                    unreadable.append(line)
        return events, unreadable

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _append(file: Path, line: str) -> None:
    with file.open("ab+") as out:
        if out.seek(0, os.SEEK_END):
            out.seek(-1, os.SEEK_END)
            if out.read(1) != b"\n":  # the line before was torn; it must not swallow this one
                out.write(b"\n")
        out.write(line.encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())
