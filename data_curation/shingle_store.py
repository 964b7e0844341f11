"""Shingles of many documents in one file, appended in order and read back for the few that are compared."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

U32 = NDArray[np.uint32]
Ints = NDArray[np.int64]


class ShingleStore:
    """A binary file of uint32, and where each document's end in it; the memory it takes is 8 bytes a document."""

    def __init__(self, file: BinaryIO, ends: Ints | None = None) -> None:
        self._file = file
        self._ends: list[Ints] = [np.zeros(1, np.int64) if ends is None else ends]

    def append(self, shingles: U32, ends: Ints) -> None:
        """Add documents, the way ``kernel.Scan`` has them."""
        self._file.write(_bytes(np.ascontiguousarray(shingles)))
        self._ends.append(ends + self._ends[-1][-1])

    @property
    def ends(self) -> Ints:
        """Where each document's shingles end, a 0 in front."""
        if len(self._ends) > 1:
            self._ends = [np.concatenate(self._ends)]
        return self._ends[0]

    def read(self, documents: Ints) -> tuple[U32, Ints]:
        """The shingles of some documents one after the other, and where each one's end."""
        self._file.flush()
        starts, ends = self.ends[documents], self.ends[documents + 1]
        into = np.empty(int((ends - starts).sum()), np.uint32)
        room, at = _bytes(into), 0
        apart = np.flatnonzero(starts[1:] != ends[:-1])  # neighbours in the file are read together
        begins = 4 * np.concatenate([starts[:1], starts[apart + 1]])
        for begin, end in zip(begins.tolist(), (4 * np.concatenate([ends[apart], ends[-1:]])).tolist(), strict=True):
            _read_at(self._file, room[at : at + end - begin], begin)
            at += end - begin
        return into, np.cumsum(ends - starts)


def copied(stores: Iterable[tuple[ShingleStore, Ints]], path: Path) -> Ints:
    """Write documents of several stores to a file, on disk before it returns; where each one's shingles end."""
    ends, total = [np.zeros(1, np.int64)], 0
    with path.open("wb") as out:
        for store, documents in stores:
            for start in range(0, len(documents), 4_096):
                shingles, stops = store.read(documents[start : start + 4_096])
                out.write(_bytes(shingles))
                ends.append(stops + total)
                total = int(ends[-1][-1])
        out.flush()
        os.fsync(out.fileno())
    return np.concatenate(ends)


def _bytes(shingles: U32) -> memoryview:
    return shingles.data.cast("B")


def _read_at(file: BinaryIO, room: memoryview, offset: int) -> None:
    done = 0
    while done < len(room):
        got = os.preadv(file.fileno(), [room[done:]], offset + done)
        if got <= 0:
            raise EOFError(f"{file.name}: ends before byte {offset + len(room)}")
        done += got
