"""Prints: what near-duplicates are found by, and the clusters of documents that follow from them.

A source's boilerplate is left out of the band keys and compared apart (``duplicates``). Documents that share a band
key are compared by their shingles, which lie in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_curation.kernel import Wanted, scan, scan_all
from data_curation.minhash import common_table
from data_curation.near_pairs import Facts, Sets, join_band, low_bits, roots, sets_of, shared_keys
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


class NearEdges(NamedTuple):
    """Verified pairs (later, earlier) in the order of bands and of keys within them; their Jaccard; their band."""

    edges: Ints
    likeness: NDArray[np.float64]
    band: Ints


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


def cluster(prints: Prints, threshold: float, facts: Facts | None = None) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """The first document of every document's cluster; the pairs that joined them (later, earlier); their Jaccard.

    Documents that ``facts`` tell apart are not joined by a comparison.
    """
    documents = len(prints.words)
    copies = exact_copies(prints.content)

    def read(compared: Ints) -> Sets:
        return sets_of(*prints.store.read(compared), prints.common)

    usable = distinct(copies, prints.words)
    near = near_edges(prints.bands, usable, low_bits(documents), read, facts, threshold)
    return joined(documents, copies, near.edges, near.likeness)


def joined(
    documents: int, copies: Ints, edges: Ints, likeness: NDArray[np.float64]
) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """What ``cluster`` returns, from exact copies and the verified pairs."""
    together = np.concatenate([copies, edges])
    return roots(documents, together), together, np.concatenate([np.ones(len(copies)), likeness])


def exact_copies(content: U64) -> Ints:
    """(copy, first) for every document whose content an earlier one has."""
    low = low_bits(len(content))
    shared = shared_keys(content[:, 0], np.ones(len(content), np.bool_), low)
    likely = np.sort((shared & low).astype(np.int64))  # those that agree in a part of the hash: few
    order = likely[np.lexsort((content[likely, 1], content[likely, 0]))]
    ordered = content[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    pairs = np.stack([order, order[np.flatnonzero(starts)][np.cumsum(starts) - 1]], axis=1)[~starts]
    return pairs[np.argsort(pairs[:, 0])]


def distinct(copies: Ints, words: Ints) -> NDArray[np.bool_]:
    """Which documents are compared: those with words that are no exact copies."""
    usable = words > 0
    usable[copies[:, 0]] = False
    return usable


def near_edges(
    bands: U64, usable: NDArray[np.bool_], low: np.uint64, read: Callable[[Ints], Sets], facts: Facts | None,
    threshold: float,
) -> NearEdges:  # fmt: skip
    """Compare the usable documents that share a band key, and join those that are alike.

    ``read`` gives the shingle sets of documents; it is asked once, for those that are compared. ``low`` are bits that
    keys do not need to agree in (``low_bits`` of all documents, of which these may be a part).
    """
    documents = len(bands)
    shared = [shared_keys(keys, usable, low) for keys in bands.T]
    place = np.full(documents, -1, np.int64)
    for packed in shared:
        place[(packed & low).astype(np.int64)] = 0
    compared = np.flatnonzero(place == 0)
    place[compared] = np.arange(len(compared))
    sets, none = read(compared), np.zeros(0, np.uint64)
    told = facts or Facts(none, none, np.zeros(0, np.bool_))
    parent, failed, found = np.arange(documents), np.zeros(FAILED_PAIRS, np.uint64), 0
    edges, likeness, band = np.zeros((documents, 2), np.int64), np.ones(documents), np.zeros(documents, np.int64)
    for number, packed in enumerate(shared):
        before, keys = found, np.ascontiguousarray(bands[:, number])
        found = join_band(packed, low, keys, place, *sets, *told, facts is not None, threshold, parent,
                          failed, edges, likeness, found)  # fmt: skip
        band[before:found] = number
    return NearEdges(edges[:found], likeness[:found], band[:found])
