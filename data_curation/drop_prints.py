"""What the band index needs of a drop's documents: hashes and shingles, no text."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa

from data_curation.band_segments import U32, U64, Ints, Rows
from data_curation.kernel import Wanted, scan, texts_of
from data_curation.minhash import common_table
from data_curation.near_pairs import sets_of
from data_curation.prints import (
    BOILERPLATE_DOCUMENTS,
    BOILERPLATE_SAMPLE,
    BOILERPLATE_SHARE,
    Prints,
    prints_of,
)  # fmt: skip
from recipes.schema import Curation


@dataclass(frozen=True)
class Batch:
    """Documents as they are read: entity 0 where none is named."""

    ids: list[str]
    texts: pa.Array
    entity: U64
    heldout: Any
    """(documents,) of bool."""


@dataclass(frozen=True)
class Drop:
    """Documents of a drop as the index reads them, in reading order."""

    rows: Rows
    common: U32
    """Shingles that many of the drop's own documents share."""


@contextmanager
def drop_of(batches: Iterable[Batch], curation: Curation, workers: int = 1) -> Iterator[Drop]:
    """What any index needs of a drop's documents; their shingles lie in a temporary file meanwhile."""
    read: list[Batch] = []

    def texts() -> Iterator[pa.Array]:
        for batch in batches:
            read.append(Batch(batch.ids, None, batch.entity, batch.heldout))
            yield batch.texts

    with tempfile.TemporaryFile(prefix="shingles-") as file:
        prints = prints_of(texts(), Wanted(curation.shingle_words, 0, 0), cast(BinaryIO, file), workers)
        rows = _rows(read, prints)
        enough = len(rows.ids) >= BOILERPLATE_DOCUMENTS
        yield Drop(rows, boilerplate_among([(rows, np.arange(len(rows.ids)))], len(rows.ids)) if enough else _none())


def content_key(text: str) -> str:
    """What is equal for exact duplicates, in hex."""
    return key_of(scan(texts_of([text]), Wanted(0, 0, 0, figures=False)).content[0])


def key_of(content: U64) -> str:
    """A row of ``Rows.content`` in hex."""
    return content.tobytes().hex()


def _rows(read: list[Batch], prints: Prints) -> Rows:
    ids = [identity for batch in read for identity in batch.ids]
    entity = np.concatenate([_none(np.uint64), *(batch.entity for batch in read)])
    heldout = np.concatenate([_none(np.bool_), *(batch.heldout for batch in read)])
    drop = np.zeros(len(ids), np.int64)
    return Rows(ids, drop, prints.content, prints.words, prints.figures, entity, heldout, prints.store)


def _none(kind: Any = np.uint32) -> Any:
    return np.zeros(0, kind)


def boilerplate_among(parts: list[tuple[Rows, Ints]], total: int) -> U32:
    """Shingles in many of the accepted documents, or in many of a sample of them."""
    wanted_rows = np.unique(np.linspace(0, total - 1, min(total, BOILERPLATE_SAMPLE)).astype(np.int64))
    empty, before, wholes = common_table(_none()), 0, []
    for rows, numbers in parts:
        here = wanted_rows[(wanted_rows >= before) & (wanted_rows < before + len(numbers))] - before
        wholes.append(sets_of(*rows.shingles.read(numbers[here]), empty).whole)
        before += len(numbers)
    shingles, counts = np.unique(np.concatenate(wholes), return_counts=True)
    return np.asarray(shingles[counts > BOILERPLATE_SHARE * len(wanted_rows)], np.uint32)
