"""From band keys to verified clusters: documents that share a key are compared by true Jaccard, then joined.

Within a band, keys are sorted with the document's number in their low bits, so that one fast sort of integers brings
candidates together in reading order; the whole key is compared again. A pair that is joined already is not compared.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_curation.compiled import entry, loop
from data_curation.minhash import LEAST_SHINGLES, is_common
from data_curation.sorting import STARTS, order

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]
MOST_COMPARED = 256
"""Of the documents with one key, each is compared with this many before it: a key of boilerplate costs no square."""
PRIME = np.uint64(0x9E3779B97F4A7C15)


class Sets(NamedTuple):
    """Sorted distinct shingles of documents, all and their own, one after the other; ``ends`` has a 0 in front."""

    whole: U32
    whole_ends: Ints
    own: U32
    own_ends: Ints


class Facts(NamedTuple):
    """What tells two documents apart, however alike their wording. Entity 0: none is named.

    Different figures do, where both are about one entity or on one side of the split: else one of them would be
    measured on what the other has taught.
    """

    entity: U64
    figures: U64
    heldout: NDArray[np.bool_]


def low_bits(documents: int) -> np.uint64:
    """The bits of a packed key that hold the document's number."""
    return np.uint64((1 << max(1, documents.bit_length())) - 1)


def shared_keys(keys: U64, usable: NDArray[np.bool_], low: np.uint64) -> U64:
    """Packed keys of one band, sorted, of documents that share theirs: high bits of the key, low bits of the document.

    Documents that are not ``usable`` are left out.
    """
    numbers = np.flatnonzero(usable).astype(np.uint64)
    packed = np.sort((keys[usable] & ~low) | numbers)
    same = (packed[1:] & ~low) == (packed[:-1] & ~low)
    shared = np.zeros(len(packed), np.bool_)
    shared[1:] |= same
    shared[:-1] |= same
    return packed[shared]


def sets_of(shingles: U32, ends: Ints, common: U32) -> Sets:
    """Sets of documents whose shingles stand one after the other; ``shingles`` is overwritten."""
    whole_ends, lengths = np.zeros(len(ends) + 1, np.int64), np.diff(ends, prepend=0)
    room = np.empty(lengths.max(initial=0), np.uint32)
    whole = shingles[: _distinct(shingles, ends, whole_ends, room, np.empty(STARTS, np.int64))]
    if not common.size:
        return Sets(whole, whole_ends, whole, whole_ends)
    own, own_ends = np.empty(len(whole), np.uint32), np.zeros(len(whole_ends), np.int64)
    return Sets(whole, whole_ends, own[: _without(whole, whole_ends, common, own, own_ends)], own_ends)


@entry
def join_band(
    packed: U64, low: Any, keys: U64, place: Ints, whole: U32, whole_ends: Ints, own: U32, own_ends: Ints, entity: U64,
    figures: U64, heldout: Any, tell_apart: bool, threshold: float, parent: Ints, failed: U64, edges: Ints,
    likeness: Any, joined: int,
) -> int:  # fmt: skip
    """Verify and join the candidates of one band; ``place`` is where a document's set stands in ``Sets``.

    The arrays of ``Sets`` and ``Facts`` are given one by one. Writes a row of ``edges`` (later document, earlier
    document) and its ``likeness`` for every pair that joined two clusters, from row ``joined`` on; returns how many
    there are now.
    """
    sets, facts = Sets(whole, whole_ends, own, own_ends), Facts(entity, figures, heldout)
    first = 0
    mask = np.uint64(failed.size - 1)
    for at in range(packed.size):
        if (packed[at] & ~low) != (packed[first] & ~low):
            first = at
        one = np.int64(packed[at] & low)
        for before in range(max(first, at - MOST_COMPARED), at):
            other = np.int64(packed[before] & low)
            if keys[one] != keys[other] or root(parent, one) == root(parent, other):
                continue
            pair = (np.uint64(one) << np.uint64(32)) | np.uint64(other)
            slot = np.uint64(pair * PRIME >> np.uint64(32)) & mask
            if failed[slot] == pair:
                continue
            alike = jaccard(sets, place[one], place[other], threshold)
            if alike < threshold or (tell_apart and differ(facts, one, other)):
                failed[slot] = pair
                continue
            join(parent, one, other)
            edges[joined, 0], edges[joined, 1], likeness[joined] = one, other, alike
            joined += 1
    return joined


@loop
def jaccard(sets: Sets, one: int, other: int, threshold: float) -> float:
    """The smaller of the likeness of all shingles and of their own; 0 where it is surely under the threshold."""
    whole = _alike(sets.whole, sets.whole_ends[one], sets.whole_ends[one + 1],
                   sets.whole, sets.whole_ends[other], sets.whole_ends[other + 1], threshold)  # fmt: skip
    if whole < threshold or sets.own is sets.whole:
        return whole
    own = _alike(sets.own, sets.own_ends[one], sets.own_ends[one + 1],
                 sets.own, sets.own_ends[other], sets.own_ends[other + 1], threshold)  # fmt: skip
    return min(whole, own)


@loop
def differ(facts: Facts, one: Any, other: Any) -> Any:
    """Whether two documents that are alike are two all the same."""
    same_entity = facts.entity[one] != 0 and facts.entity[one] == facts.entity[other]
    return facts.figures[one] != facts.figures[other] and (same_entity or facts.heldout[one] == facts.heldout[other])


@loop
def root(parent: Ints, number: Any) -> Any:
    """The first document of a document's cluster."""
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number


@loop
def join(parent: Ints, one: Any, other: Any) -> None:
    """Make one cluster of two; its root is its first document."""
    one, other = root(parent, one), root(parent, other)
    parent[max(one, other)] = min(one, other)


def roots(documents: int, edges: Ints) -> Ints:
    """The first document of every document's cluster, from the pairs that are joined."""
    parent = np.arange(documents)
    _find_roots(parent, edges)
    return parent


@entry
def _find_roots(parent: Ints, edges: Ints) -> None:
    for number in range(edges.shape[0]):
        join(parent, edges[number, 0], edges[number, 1])
    for number in range(parent.size):
        parent[number] = root(parent, number)


@entry
def join_groups(parent: Ints, members: Ints, ends: Ints) -> None:
    """Make one cluster of each group of documents; the groups stand one after the other."""
    start = 0
    for number in range(ends.size):
        for at in range(start + 1, ends[number]):
            join(parent, members[start], members[at])
        start = ends[number]


@loop
def _alike(one: U32, at: int, one_end: int, other: U32, to: int, other_end: int, threshold: float) -> float:
    left, right, both = one_end - at, other_end - to, 0
    if min(left, right) < threshold * max(left, right) or min(left, right) == 0:
        return 0.0
    while at < one_end and to < other_end:
        mine, its = one[at], other[to]
        both += mine == its
        at += mine <= its
        to += its <= mine
    return both / (left + right - both)


@entry
def _distinct(shingles: U32, ends: Ints, into: Ints, room: U32, starts: Ints) -> int:
    """Sort each document's shingles and keep each once; ``into`` becomes where they end, a 0 in front."""
    found, start = 0, 0
    for document in range(ends.size):
        stop = ends[document]
        these = shingles[start:stop]
        order(these, room, starts)
        for number in range(these.size):
            if number == 0 or these[number] != these[number - 1]:
                shingles[found] = these[number]
                found += 1
        into[document + 1], start = found, stop
    return found


@entry
def _without(whole: U32, ends: Ints, common: U32, own: U32, own_ends: Ints) -> int:
    """``Sets.own`` from ``Sets.whole``."""
    found = 0
    for document in range(ends.size - 1):
        begin = found
        for number in range(ends[document], ends[document + 1]):
            own[found] = whole[number]
            found += not is_common(common, whole[number])
        if found - begin < LEAST_SHINGLES:
            found = begin
            for number in range(ends[document], ends[document + 1]):
                own[found] = whole[number]
                found += 1
        own_ends[document + 1] = found
    return found


def likeness_of(pairs: Ints, sets: Sets, threshold: float, likeness: Any) -> None:
    """The Jaccard of every pair of places in ``sets``; 0 where it is surely under the threshold."""
    _compare(pairs, *sets, threshold, likeness)


@entry
def _compare(pairs: Ints, whole: U32, whole_ends: Ints, own: U32, own_ends: Ints, threshold: float,
             likeness: Any) -> None:  # fmt: skip
    sets = Sets(whole, whole_ends, own, own_ends)
    for number in range(pairs.shape[0]):
        likeness[number] = jaccard(sets, pairs[number, 0], pairs[number, 1], threshold)
