"""Which text came first: a table of 128-bit hashes that grows with the texts, without a Python object for any."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_curation.compiled import loop

U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]
NEW = -1
"""The key was not there and is now."""
REFUSED = -2
"""The key was not there, and could not enter."""
LEAST_SLOTS = 1_024
EMPTY = np.int32(-1)


class FirstSeen:
    """Keys that have entered, numbered from 0 in that order: an open-addressed table, 24 to 32 bytes a key."""

    def __init__(self) -> None:
        self.count = 0
        self._keys = np.zeros((LEAST_SLOTS // 2, 2), np.uint64)
        self._slots = np.full(LEAST_SLOTS, EMPTY)

    @property
    def keys(self) -> U64:
        """(count, 2): the keys that entered, in their order."""
        return self._keys[: self.count]

    def add(self, keys: U64, may_enter: NDArray[np.bool_], most: int = 1 << 31) -> Ints:
        """For each key of (n, 2) in turn: the number of its equal that entered before, else NEW, or REFUSED.

        Refused is a key that may not enter, and any past the first ``most`` keys.
        """
        while 2 * (self.count + len(keys)) > len(self._slots):
            self._grow()
        found = np.empty(len(keys), np.int64)
        self.count = _add(keys, may_enter, most, self._keys, self._slots, self.count, found)
        return found

    def add_one(self, one: int, other: int) -> int:
        """``add`` of one key, its halves as signed numbers, that may enter."""
        if 2 * (self.count + 1) > len(self._slots):
            self._grow()
        found: int = _add_one(one, other, self._keys, self._slots, self.count)
        self.count += found == NEW
        return found

    def _grow(self) -> None:
        kept = self._keys
        self._keys = np.zeros((2 * len(kept), 2), np.uint64)
        self._keys[: len(kept)] = kept
        self._slots = np.full(2 * len(self._slots), EMPTY)
        _fill(self._keys, self.count, self._slots)


@loop
def _add(keys: U64, may_enter: Any, most: int, kept: U64, slots: Any, count: int, found: Ints) -> int:
    for number in range(keys.shape[0]):
        at = _slot(keys[number, 0], keys[number, 1], kept, slots)
        if slots[at] >= 0:
            found[number] = slots[at]
        elif may_enter[number] and count < most:
            found[number] = -1
            kept[count, 0], kept[count, 1] = keys[number, 0], keys[number, 1]
            slots[at] = count
            count += 1
        else:
            found[number] = -2
    return count


@loop
def _add_one(one: int, other: int, kept: U64, slots: Any, count: int) -> int:
    at = _slot(np.uint64(one), np.uint64(other), kept, slots)
    if slots[at] >= 0:
        return int(slots[at])
    kept[count, 0], kept[count, 1] = np.uint64(one), np.uint64(other)
    slots[at] = count
    return -1


@loop
def _fill(kept: U64, count: int, slots: Any) -> None:
    for number in range(count):
        slots[_slot(kept[number, 0], kept[number, 1], kept, slots)] = number


@loop
def _slot(one: Any, other: Any, kept: U64, slots: Any) -> Any:
    """Where a key stands in the table, or would stand."""
    last = np.uint64(slots.size - 1)
    at = one & last
    while slots[at] >= 0 and (kept[slots[at], 0] != one or kept[slots[at], 1] != other):
        at = (at + np.uint64(1)) & last
    return at
