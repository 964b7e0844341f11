"""The compiled half of ``cross_sources``: documents of different sources that share a band key, compared and joined.

Within a key documents stand in order of their numbers, so source by source: those that one is compared with, of the
sources before its own, stand in one piece before its source begins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_curation.compiled import loop
from data_curation.minhash import LEAST_SHINGLES, is_common
from data_curation.near_pairs import MOST_COMPARED, PRIME, U32, U64, Facts, Ints, Sets, differ, jaccard, join, root

SAME_SIDE = -1
"""Documents of this kind meet only those on the other side of the split."""


class Told(NamedTuple):
    """What decides which documents of different sources are compared, and how."""

    source: Ints
    """Of every document."""
    kind: Ints
    """Of every document: those of one kind from 0 on meet; others, and those of two kinds, across the split alone."""
    by_facts: NDArray[np.bool_]
    """By source: figures tell its documents apart."""
    boilerplate: U32
    """Tables (``minhash.common_table``) of all sources, one after the other."""
    ends: Ints
    """Where each source's table ends, a 0 in front."""


@loop
def mark_candidates(packed: U64, low: Any, keys: U64, told: Told, facts: Facts, compared: NDArray[np.bool_]) -> None:
    """Set ``compared`` for the documents of one band that are to be compared with one of another source."""
    first, run = 0, 0
    for at in range(packed.size):
        first, run = _starts(packed, low, told.source, at, first, run)
        one = np.int64(packed[at] & low)
        for before in range(max(first, run - MOST_COMPARED), run):
            other = np.int64(packed[before] & low)
            if keys[one] == keys[other] and _meet(told, facts, one, other):
                compared[one] = compared[other] = True


@loop
def join_across(packed: U64, low: Any, keys: U64, place: Ints, sets: Sets, told: Told, facts: Facts, threshold: float,
                parent: Ints, failed: U64, edges: Ints, likeness: Any, joined: int) -> int:  # fmt: skip
    """Verify and join the candidates of one band, as ``near_pairs.join_band`` does within a source.

    The boilerplate that does not count for a pair is that of its two sources.
    """
    first, run = 0, 0
    mask = np.uint64(failed.size - 1)
    for at in range(packed.size):
        first, run = _starts(packed, low, told.source, at, first, run)
        one = np.int64(packed[at] & low)
        for before in range(max(first, run - MOST_COMPARED), run):
            other = np.int64(packed[before] & low)
            if keys[one] != keys[other] or not _meet(told, facts, one, other):
                continue
            if root(parent, one) == root(parent, other):
                continue
            pair = (np.uint64(one) << np.uint64(32)) | np.uint64(other)
            slot = np.uint64(pair * PRIME >> np.uint64(32)) & mask
            if failed[slot] == pair:
                continue
            alike = _likeness(sets, place[one], place[other], told, told.source[one], told.source[other], threshold)
            by_facts = told.by_facts[told.source[one]] or told.by_facts[told.source[other]]
            if alike < threshold or (by_facts and differ(facts, one, other)):
                failed[slot] = pair
                continue
            join(parent, one, other)
            edges[joined, 0], edges[joined, 1], likeness[joined] = one, other, alike
            joined += 1
    return joined


@loop
def holding(shingles: U32, ends: Ints, table: U32, found: NDArray[np.bool_]) -> None:
    """Set ``found`` for the documents with a shingle of a table that is not empty."""
    start = 0
    for document in range(ends.size):
        for number in range(start, ends[document]):
            if is_common(table, shingles[number]):
                found[document] = True
                break
        start = ends[document]


@loop
def _starts(packed: U64, low: Any, source: Ints, at: int, first: int, run: int) -> tuple[int, int]:
    """Where the key of the document at a place begins, and within the key its source."""
    if (packed[at] & ~low) != (packed[first] & ~low):
        return at, at
    if source[np.int64(packed[at] & low)] != source[np.int64(packed[run] & low)]:
        return first, at
    return first, run


@loop
def _meet(told: Told, facts: Facts, one: Any, other: Any) -> Any:
    """Whether two documents of different sources are compared at all."""
    same_use = told.kind[one] == told.kind[other] and told.kind[one] != SAME_SIDE
    return same_use or facts.heldout[one] != facts.heldout[other]


@loop
def _likeness(sets: Sets, one: Any, other: Any, told: Told, its: Any, others: Any, threshold: float) -> float:
    """The smaller of the Jaccard of all shingles and of those that neither source has for boilerplate."""
    whole = jaccard(sets, one, other, threshold)
    if whole < threshold:
        return whole
    first = told.boilerplate[told.ends[its] : told.ends[its + 1]]
    second = told.boilerplate[told.ends[others] : told.ends[others + 1]]
    if first.size + second.size == 0:
        return whole
    left = sets.whole[sets.whole_ends[one] : sets.whole_ends[one + 1]]
    right = sets.whole[sets.whole_ends[other] : sets.whole_ends[other + 1]]
    return min(whole, _own_jaccard(left, right, first, second))


@loop
def _own_jaccard(left: U32, right: U32, first: U32, second: U32) -> float:
    """Jaccard without what is in either table; a set of which hardly anything is left counts whole."""
    all_left, all_right = _own(left, first, second) < LEAST_SHINGLES, _own(right, first, second) < LEAST_SHINGLES
    at, to, both, either = 0, 0, 0, 0
    while at < left.size or to < right.size:
        from_left = to == right.size or (at < left.size and left[at] <= right[to])
        from_right = at == left.size or (to < right.size and right[to] <= left[at])
        own = not _in_either(left[at] if from_left else right[to], first, second)
        in_left, in_right = from_left and (own or all_left), from_right and (own or all_right)
        both += in_left and in_right
        either += in_left or in_right
        at += from_left
        to += from_right
    return both / either


@loop
def _own(shingles: U32, first: U32, second: U32) -> int:
    count = 0
    for number in range(shingles.size):
        count += not _in_either(shingles[number], first, second)
    return count


@loop
def _in_either(shingle: Any, first: U32, second: U32) -> Any:
    if first.size and is_common(first, shingle):
        return True
    return second.size > 0 and is_common(second, shingle)
