"""Files of the band index: accepted documents in the order they were accepted, and their keys sorted for search.

A segment is a folder of arrays that are never changed after it is published, read through the page cache: a search
touches only the pages it needs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.artifacts import sync
from data_curation.minhash import bands_of, hash_parameters
from data_curation.shingle_store import ShingleStore, copied

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]
AT_A_TIME = 4_096
COLUMNS = ("drop", "content", "words", "figures", "entity", "heldout")


@dataclass(frozen=True)
class Rows:
    """Accepted documents, one row each. ``drop`` is the place of its drop among all drops of the index."""

    ids: list[str]
    drop: Ints
    content: U64
    words: Ints
    figures: U64
    entity: U64
    heldout: NDArray[np.bool_]
    shingles: ShingleStore

    def taken(self, numbers: Ints) -> Rows:
        """Some of the rows, without their shingles, which stay where they are."""
        return Rows(
            [self.ids[number] for number in numbers.tolist()], self.drop[numbers], self.content[numbers],
            self.words[numbers], self.figures[numbers], self.entity[numbers], self.heldout[numbers], self.shingles,
        )  # fmt: skip


class Segment:
    """A published segment, opened for reading."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError or ValueError for files that are missing or damaged."""
        self.folder = folder
        self.band_keys: U64 = _opened(folder, "band_keys")
        """(bands, documents), each row sorted; ``band_order`` has the documents."""
        self.band_order: Ints = _opened(folder, "band_order")
        self.content_keys: U64 = _opened(folder, "content_keys")
        self.content_order: Ints = _opened(folder, "content_order")
        self.drop: Ints = _opened(folder, "drop")
        self.content: U64 = _opened(folder, "content")
        self.words: Ints = _opened(folder, "words")
        self.figures: U64 = _opened(folder, "figures")
        self.entity: U64 = _opened(folder, "entity")
        self.heldout: NDArray[np.bool_] = _opened(folder, "heldout")
        self.shingles = ShingleStore((folder / "shingles.bin").open("rb"), _opened(folder, "ends"))
        self._id_ends: Ints = _opened(folder, "id_ends")
        self._ids = (folder / "ids.bin").open("rb")

    def __len__(self) -> int:
        return len(self.words)

    def id_of(self, number: int) -> str:
        """One document's id."""
        start, end = int(self._id_ends[number]), int(self._id_ends[number + 1])
        return os.pread(self._ids.fileno(), end - start, start).decode()

    def rows(self) -> Rows:
        """All of it, in memory but for the shingles."""
        ids = [self.id_of(number) for number in range(len(self))]
        columns = {name: np.array(getattr(self, name)) for name in COLUMNS}
        return Rows(ids, **columns, shingles=self.shingles)


def write_segment(folder: Path, parts: Sequence[tuple[Rows, Ints]], common: U32, shape: tuple[int, int]) -> None:
    """Rows of one or several sources (and which of each) as one segment; on disk when it returns.

    ``shape``: bands and rows; ``common``: the table of boilerplate that the keys are made without.
    """
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    taken = [rows.taken(numbers) for rows, numbers in parts]
    ends = copied([(rows.shingles, numbers) for rows, numbers in parts], draft / "shingles.bin")
    ids = [one.encode() for rows in taken for one in rows.ids]
    arrays = {name: np.concatenate([getattr(rows, name) for rows in taken]) for name in COLUMNS}
    arrays["ends"] = ends
    arrays["id_ends"] = np.cumsum([0, *map(len, ids)]).astype(np.int64)
    arrays["content_order"] = np.argsort(arrays["content"][:, 0], kind="stable")
    arrays["content_keys"] = arrays["content"][arrays["content_order"], 0]
    with (draft / "shingles.bin").open("rb") as file:
        keys = keys_of(ShingleStore(file, ends), arrays["words"], common, shape)
    usable = np.flatnonzero(arrays["words"] > 0)
    order = [usable[np.argsort(keys[usable, band], kind="stable")] for band in range(shape[0])]
    arrays["band_order"] = np.array(order, np.int64).reshape(shape[0], len(usable))
    arrays["band_keys"] = np.array([keys[numbers, band] for band, numbers in enumerate(order)], np.uint64).reshape(
        shape[0], len(usable)
    )
    for name, array in arrays.items():
        with (draft / f"{name}.npy").open("wb") as out:
            np.save(out, array, allow_pickle=False)
            out.flush()
            os.fsync(out.fileno())
    with (draft / "ids.bin").open("wb") as out:
        out.write(b"".join(ids))
        out.flush()
        os.fsync(out.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    sync(folder.parent)


def _opened(folder: Path, name: str) -> Any:
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)


def keys_of(store: ShingleStore, words: Ints, common: U32, shape: tuple[int, int]) -> U64:
    """(documents, bands): band keys of all documents of a store, made without ``common``."""
    bands, rows = shape
    factors, addends = hash_parameters(bands * rows)
    keys = np.zeros((len(words), bands), np.uint64)
    for start in range(0, len(words), AT_A_TIME):
        numbers = np.arange(start, min(len(words), start + AT_A_TIME))
        shingles, ends = store.read(numbers)
        bands_of(shingles, ends, common, factors, addends, rows, keys[numbers[0] : numbers[-1] + 1], words[numbers])
    return keys
