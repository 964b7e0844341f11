"""Words hashed, and from them shingles, n-grams that are looked for, the content's hash and the numbers of a text.

One array of running sums of word hashes gives the hash of any n words with one multiplication:
``sums[i + n] - sums[i] * BASE ** n``.
All arithmetic is on integers that wrap, so the result is the same on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_curation.compiled import copy, load8, loop
from data_curation.ngram_table import slot_of
from data_curation.sorting import order

Bytes = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]

BLOCK = 16
BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
OTHER = np.uint64(0xC2B2AE3D27D4EB4F)
SHIFT = np.uint64(32)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@loop
def mixed(value: Any) -> Any:
    """Every bit of a uint64 spread over all of it."""
    value = np.uint64(value ^ (value >> SHIFT)) * MIX
    value = np.uint64(value ^ (value >> SHIFT)) * MIX
    return np.uint64(value ^ (value >> SHIFT))


@loop
def add_text(
    out: Bytes, bounds: Any, words: int, sums: U64, before: int, plain: Bytes, left: int, one: Any, two: Any
) -> tuple[Any, Any, int]:  # fmt: skip
    """Take a piece's words and its folded bytes in one loop, so that the processor works on one while the other waits.

    Running sums of the words' hashes, eight bytes at a time, follow the ``before`` words so far. Of the ``left`` bytes
    in ``plain`` whole blocks go into the content's hash, but never the last byte: it may prove to be a blank at the
    end. What is left of them moves to the front; returns the hash and how many bytes were taken.
    """
    total, done, behind = sums[before], 0, sums[before + 1 :]
    for number in range(words):
        at = np.int64(bounds[2 * number])
        size = np.int64(bounds[2 * number + 1]) - at
        value = np.uint64(size) * OTHER
        # Most words have up to 16 bytes: a branch between one load and two would be guessed wrong too often.
        longer = np.uint64(size > 8)
        more = np.uint64(value ^ load8(out, at)) * MIX
        value = value ^ ((value ^ more ^ (more >> SHIFT)) & np.uint64(np.uint64(0) - longer))
        at += np.int64(longer << np.uint64(3))
        size -= np.int64(longer << np.uint64(3))
        while size > 8:
            value = np.uint64(value ^ load8(out, at)) * MIX
            value = np.uint64(value ^ (value >> SHIFT))
            at += 8
            size -= 8
        last = load8(out, at) & (ALL >> np.uint64(64 - 8 * size))
        value = np.uint64(value ^ last) * MIX
        value = np.uint64(value ^ (value >> SHIFT)) * OTHER
        total = np.uint64(total * BASE + (value ^ (value >> SHIFT)))
        behind[number] = total
        if number & 1 and left - done > BLOCK:
            one, two = content_block(one, two, load8(plain, done), load8(plain, done + 8))
            done += BLOCK
    while left - done > BLOCK:
        one, two = content_block(one, two, load8(plain, done), load8(plain, done + 8))
        done += BLOCK
    if done:
        copy(plain, 0, plain, done)
    return one, two, done


@loop
def last_content(out: Bytes, left: int, total: int, one: Any, two: Any) -> tuple[Any, Any]:
    """Take in the last ``left`` bytes, of ``total``: the finished hash."""
    for at in range(left, left + BLOCK):
        out[at] = 0
    if left:
        one, two = content_block(one, two, load8(out, 0), load8(out, 8))
    one, two = content_block(one, two, np.uint64(total), MIX)
    return mixed(one), mixed(np.uint64(two + one))


@loop
def content_block(one: Any, two: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """Two lanes over 16 bytes; each sees all of them after one more block."""
    one = np.uint64(one ^ low) * MIX
    one = np.uint64(one ^ (one >> SHIFT))
    two = np.uint64(two ^ high ^ one) * OTHER
    two = np.uint64(two ^ (two >> SHIFT))
    return np.uint64(one + two), two


@loop
def power(n: int) -> Any:
    """``BASE ** n``."""
    value = np.uint64(1)
    for _ in range(n):
        value = np.uint64(value * BASE)
    return value


@loop
def add_shingles(sums: U64, words: int, size: int, shingles: U32, at: int) -> int:
    """uint32 hashes of every ``size`` words in reading order; a shorter text gives one, of all its words."""
    if words == 0:
        return at
    width = min(size, words)
    factor = power(width)
    count = words - width + 1
    ahead, into = sums[width:], shingles[at:]  # whole vectors at a time: no index can be negative
    for number in range(count):
        value = np.uint64(ahead[number] - np.uint64(sums[number] * factor))
        value = np.uint64(value ^ (value >> SHIFT)) * MIX
        into[number] = np.uint32(value >> SHIFT)
    return at + count


@loop
def add_hits(sums: U64, words: int, document: int, sizes: Ints, keys: U64, bits: Bytes, hits: Ints, found: int) -> int:
    """Where n-grams of the table stand: rows of (document, first word, size, slot) while there is room.

    Returns how many there are, which can be more than there was room for.
    """
    shift = np.uint64(64) - np.uint64(np.log2(np.float64(bits.size * 8)))
    for which in range(sizes.size):
        size = sizes[which]
        factor = power(size)
        for number in range(words - size + 1):
            value = mixed(np.uint64(sums[number + size] - np.uint64(sums[number] * factor)))
            place = value >> shift
            if not (bits[place >> np.uint64(3)] >> (place & np.uint64(7))) & 1:
                continue
            slot = slot_of(keys, value)
            if slot >= 0:
                if found < hits.shape[0]:
                    hits[found, 0], hits[found, 1], hits[found, 2], hits[found, 3] = document, number, size, slot
                found += 1
    return found


@loop
def figures_of(data: Bytes, start: int, end: int, room: U64, starts: Ints) -> Any:
    """A hash of the set of numbers in a text, thousands separators dropped; 0 for none.

    Numbers are what ``contracts.answers.numbers`` finds, of plain digits. ``room`` holds twice as
    many numbers as there can be, ``starts`` is for the sort.
    """
    count, at = 0, start
    while at < end:
        if data[at] < 48 or data[at] > 57:
            at += 1
            continue
        value, point = OTHER, 0
        while at < end:
            byte = data[at]
            if byte == 46:
                if point or at + 1 >= end or data[at + 1] < 48 or data[at + 1] > 57:
                    break
                point = 1
            elif byte == 44:
                if point:
                    break
                at += 1
                continue
            elif byte < 48 or byte > 57:
                break
            value = mixed(np.uint64(value * BASE + np.uint64(byte)))
            at += 1
        room[count] = value
        count += 1
    if count == 0:
        return np.uint64(0)
    these = room[:count]
    order(these, room[count:], starts)
    total = these[0]
    for number in range(1, count):
        if these[number] != these[number - 1]:
            total = mixed(np.uint64(total * BASE + these[number]))
    return total
