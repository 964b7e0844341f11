"""MinHash band keys of a document's shingles: uint32 multiply-and-add hashes, so that many fit one vector register.

https://en.wikipedia.org/wiki/MinHash; the bands and rows are those of the recipe. A shingle that is its source's
boilerplate does not count, unless hardly any other is left.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_curation.compiled import entry, inlined, loop

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

LEAST_SHINGLES = 5
"""A document with fewer different ones of its own is compared with its boilerplate."""
ABREAST = 8
"""Shingles that are hashed in one go over all hash functions."""
MIX = np.uint64(0xD6E8FEB86659FD93)
SHIFT = np.uint64(32)
TOP = np.uint32(0xFFFFFFFF)


@functools.cache
def hash_parameters(count: int) -> tuple[U32, U32]:
    """Odd factors and addends of ``count`` hash functions, the same for ever: the index on disk depends on them.

    The arrays are the same ones at every call, to be read only.
    """
    state, values = 0x5EED, []
    for _ in range(2 * count):
        state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        value = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        values.append((value ^ (value >> 31)) >> 32)
    return np.array(values[:count], np.uint32) | np.uint32(1), np.array(values[count:], np.uint32)


def common_table(shingles: U32) -> U32:
    """Boilerplate shingles as an open-addressing table for ``is_common``; an empty one holds nothing."""
    if not len(shingles):
        return np.zeros(0, np.uint32)
    table = np.zeros(1 << int(4 * len(shingles) - 1).bit_length(), np.uint32)
    _fill(table, np.asarray(shingles, np.uint32))
    return table


@inlined
def is_common(table: U32, shingle: Any) -> bool:
    """Whether a shingle is in the table. Shingle 0 is never boilerplate."""
    mask = np.uint32(table.size - 1)
    slot = np.uint32(shingle & mask)
    while table[slot] != 0:
        if table[slot] == shingle:
            return True
        slot = np.uint32((slot + np.uint32(1)) & mask)
    return False


@loop
def own_shingles(shingles: U32, table: U32, own: U32) -> int:
    """Write the shingles that are not boilerplate to ``own``; all of them where fewer than five different are left."""
    count = 0
    for number in range(shingles.size):
        own[count] = shingles[number]
        count += not is_common(table, shingles[number])
    if count < shingles.size and not _enough(own, count):
        count = shingles.size
        for number in range(count):
            own[number] = shingles[number]
    return count


@loop
def band_keys(shingles: U32, factors: U32, addends: U32, rows: int, low: U32, keys: U64) -> None:
    """One uint64 a band; ``low`` is room for a number of every hash function. There is one shingle at least."""
    for which in range(low.size):
        low[which] = TOP
    last = shingles.size - 1
    for start in range(0, shingles.size, ABREAST):
        # Past the end the last one counts again, which changes no minimum.
        a, b = shingles[start], shingles[min(start + 1, last)]
        c, d = shingles[min(start + 2, last)], shingles[min(start + 3, last)]
        e, f = shingles[min(start + 4, last)], shingles[min(start + 5, last)]
        g, h = shingles[min(start + 6, last)], shingles[min(start + 7, last)]
        for which in range(low.size):  # whole vectors of hash functions
            factor, addend = factors[which], addends[which]
            one, two = _least(factor, addend, a, b), _least(factor, addend, c, d)
            three, four = _least(factor, addend, e, f), _least(factor, addend, g, h)
            low[which] = min(low[which], min(min(one, two), min(three, four)))
    for band in range(keys.size):
        key = np.uint64(band + 1)
        for row in range(rows):
            key = np.uint64(key ^ np.uint64(low[band * rows + row])) * MIX
            key = np.uint64(key ^ (key >> SHIFT))
        keys[band] = key


@loop
def _least(factor: Any, addend: Any, one: Any, other: Any) -> Any:
    """The lesser hash of two shingles; every step is cast, or it would be of 64 bits."""
    return min(np.uint32(np.uint32(factor * one) + addend), np.uint32(np.uint32(factor * other) + addend))


@entry
def _fill(table: U32, shingles: U32) -> None:
    mask = np.uint32(table.size - 1)
    for number in range(shingles.size):
        slot = np.uint32(shingles[number] & mask)
        while table[slot] != 0 and table[slot] != shingles[number]:
            slot = np.uint32((slot + np.uint32(1)) & mask)
        table[slot] = shingles[number]


@loop
def _enough(own: U32, count: int) -> bool:
    distinct = 0
    for number in range(count):
        seen = False
        for before in range(number):
            if own[before] == own[number]:
                seen = True
                break
        distinct += not seen
        if distinct >= LEAST_SHINGLES:
            return True
    return False


@loop
def bands_of(
    shingles: U32, ends: Any, common: U32, factors: U32, addends: U32, rows: int, bands: U64, words: Any
) -> None:
    """Band keys of documents whose shingles are known already, the same as from their texts."""
    longest, start = 0, 0
    for document in range(ends.size):
        longest, start = max(longest, ends[document] - start), ends[document]
    own, low = np.empty(longest, np.uint32), np.empty(factors.size, np.uint32)
    start = 0
    for document in range(ends.size):
        mine = shingles[start : ends[document]]
        start = ends[document]
        if words[document]:
            if common.size:
                mine = own[: own_shingles(mine, common, own)]
            band_keys(mine, factors, addends, rows, low, bands[document])
