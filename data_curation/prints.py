"""Prints: what near-duplicates are found by, and the clusters of documents that follow from them.

A source's boilerplate is left out of the band keys and compared apart (``duplicates``). Documents that share a band
key are compared by their shingles, which lie in a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_curation.kernel import Wanted, scan, scan_all
from data_curation.minhash import common_table
from data_curation.near_pairs import Facts, join, join_band, roots, sets_of, shared_keys
from data_curation.shingle_store import ShingleStore

if TYPE_CHECKING:
    from recipes.schema import Curation

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]

BOILERPLATE_SHARE = 0.2
"""A shingle in more than this share of a source's documents is boilerplate."""
BOILERPLATE_DOCUMENTS = 10
"""Sources below this size have too few documents to tell."""
BOILERPLATE_SAMPLE = 2_000
"""Of a larger source as many documents, evenly spaced, tell what its boilerplate is."""
BATCH_DOCUMENTS = 1_024
FAILED_PAIRS = 1 << 16


@dataclass(frozen=True)
class Prints:
    """What duplicates are found by, for documents in the order read: arrays of one row each."""

    content: U64
    """(documents, 2): equal for exact duplicates."""
    words: Ints
    bands: U64
    """(documents, bands)."""
    figures: U64
    store: ShingleStore
    common: U32
    """The table of the source's boilerplate that ``bands`` were made without."""


def prints_of(batches: Iterable[pa.Array], what: Wanted, file: BinaryIO, workers: int = 1) -> Prints:
    """Prints of texts in batches; their shingles go to ``file``, so memory is about 150 bytes a document."""
    store, parts = ShingleStore(file), []
    for found in scan_all(batches, what, workers):
        store.append(found.shingles, found.shingle_ends)
        parts.append((found.content, found.words, found.bands, found.figures))
    if not parts:
        empty = scan(pa.array([], pa.large_string()), what)
        parts.append((empty.content, empty.words, empty.bands, empty.figures))
    content, words, bands, figures = (np.concatenate(one) for one in zip(*parts, strict=True))
    return Prints(content, words, bands, figures, store, what.common)


def boilerplate_of(texts: pa.Array, curation: Curation) -> U32:
    """A table of the shingles that stand in many of a source's documents; empty for a small source."""
    if len(texts) < BOILERPLATE_DOCUMENTS:
        return common_table(np.zeros(0, np.uint32))
    sample = texts
    if len(texts) > BOILERPLATE_SAMPLE:
        sample = texts.take(pa.array(np.linspace(0, len(texts) - 1, BOILERPLATE_SAMPLE).astype(np.int64)))
    found = scan(sample, Wanted(curation.shingle_words, 0, 0, figures=False))
    sets = sets_of(found.shingles, found.shingle_ends, common_table(np.zeros(0, np.uint32)))
    shingles, counts = np.unique(sets.whole, return_counts=True)
    return common_table(shingles[counts > BOILERPLATE_SHARE * len(sample)])


def cluster(prints: Prints, curation: Curation, facts: Facts | None = None) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """The first document of every document's cluster; the pairs that joined them (later, earlier); their Jaccard.

    Documents that ``facts`` tell apart are not joined by a comparison.
    """
    documents = len(prints.words)
    parent, first_with = np.arange(documents), _first_with(prints.content)
    copies = np.flatnonzero(first_with != parent)
    edges, likeness = np.zeros((documents, 2), np.int64), np.ones(documents)
    for number, copy in enumerate(copies):
        edges[number] = copy, first_with[copy]
        join(parent, copy, first_with[copy])
    usable = (first_with == np.arange(documents)) & (prints.words > 0)
    low = np.uint64((1 << max(1, documents.bit_length())) - 1)
    shared = [shared_keys(np.ascontiguousarray(prints.bands[:, band]), usable) for band in range(curation.bands)]
    compared = np.unique(np.concatenate([packed & low for packed in shared])).astype(np.int64)
    place = np.full(documents, -1, np.int64)
    place[compared] = np.arange(len(compared))
    sets = sets_of(*prints.store.read(compared), prints.common)
    failed, joined = np.zeros(FAILED_PAIRS, np.uint64), len(copies)
    told = facts or Facts(prints.figures, prints.figures, np.zeros(documents, np.bool_))
    for band, packed in enumerate(shared):
        keys = np.ascontiguousarray(prints.bands[:, band])
        joined = join_band(packed, low, keys, place, sets, told, facts is not None,
                           curation.near_duplicate_jaccard, parent, failed, edges, likeness, joined)  # fmt: skip
    return roots(parent), edges[:joined], likeness[:joined]


def _first_with(content: U64) -> Ints:
    """For every document the first one with its content."""
    order = np.lexsort((content[:, 1], content[:, 0]))
    ordered = content[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    firsts = np.empty(len(order), np.int64)
    firsts[order] = order[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    return firsts
