"""A table of n-gram hashes that all workers read: open addressing, behind a bitmap that turns almost all away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_curation.compiled import inlined, loop

BITS_PER_NGRAM = 16
"""About one in sixteen n-grams that are not in the table passes the bitmap."""


@dataclass(frozen=True)
class NgramTable:
    """``keys`` (uint64, 0 where free, a power of two of them), ``bits`` (the bitmap) and the ``sizes`` of n-grams.

    A key's place in ``keys`` is its number for those who keep more about it.
    """

    keys: NDArray[np.uint64]
    bits: NDArray[np.uint8]
    sizes: NDArray[np.int64]


def no_ngrams() -> NgramTable:
    """A table that nothing is looked for in."""
    return NgramTable(np.zeros(1, np.uint64), np.zeros(1, np.uint8), np.zeros(0, np.int64))


def ngram_table(hashes: NDArray[np.uint64], sizes: tuple[int, ...]) -> NgramTable:
    """A table of distinct hashes, as ``text_loops.add_hits`` makes them, of n-grams of ``sizes`` words."""
    room = 1 << max(3, int(2 * len(hashes) - 1).bit_length())
    bits = np.zeros(max(8, room * BITS_PER_NGRAM // 16), np.uint8)
    keys = np.zeros(room, np.uint64)
    fill(keys, bits, hashes)
    return NgramTable(keys, bits, np.array(sorted(set(sizes)), np.int64))


@inlined
def slot_of(keys: NDArray[np.uint64], value: Any) -> Any:
    """Where ``value`` stands in ``keys``, -1 where it does not."""
    mask = np.uint64(keys.size - 1)
    slot = np.uint64(value & mask)
    while keys[slot] != np.uint64(0):
        if keys[slot] == value:
            return np.int64(slot)
        slot = np.uint64((slot + np.uint64(1)) & mask)
    return -1


@loop
def slots_of(keys: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where every hash stands in ``keys``."""
    slots = np.empty(hashes.size, np.int64)
    for number in range(hashes.size):
        slots[number] = slot_of(keys, hashes[number])
    return slots


@loop
def fill(keys: NDArray[np.uint64], bits: NDArray[np.uint8], hashes: NDArray[np.uint64]) -> None:
    """Put every hash into an empty table that has room."""
    mask = np.uint64(keys.size - 1)
    shift = np.uint64(64) - np.uint64(np.log2(np.float64(bits.size * 8)))
    for number in range(hashes.size):
        value = hashes[number]
        slot = np.uint64(value & mask)
        while keys[slot] != np.uint64(0) and keys[slot] != value:
            slot = np.uint64((slot + np.uint64(1)) & mask)
        keys[slot] = value
        place = value >> shift
        bits[place >> np.uint64(3)] |= np.uint8(1 << (place & np.uint64(7)))
