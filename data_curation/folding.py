"""Bytes to folded bytes, classes of bytes and bounds of words: whole vectors at a time, without a branch per byte.

A document is taken in pieces that stay in the processor's nearest cache, cut between words. Plain bytes are folded and
classed by arithmetic; characters of more bytes are looked up afterwards, and there are few in most texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_curation.compiled import BLOCK, copy, fold_block, inlined, loop, lowest_bit, mask, ones
from data_curation.letters import FOLDED_CODE_POINTS, KNOWN_CODE_POINTS, SPACE, SYMBOL, WORD

Bytes = NDArray[np.uint8]

PIECE = 32_768
"""Bytes folded at a time. A longer run without a blank is cut into words of this length."""
SPACE_BYTE = np.uint8(32)
ONE = np.uint64(1)
LAST = np.uint64(63)
AT_ONCE = 8
"""Bounds of words that are written at a time."""
HIGH_BIT, WORD_BIT, SPACE_BIT = np.uint8(128), np.uint8(WORD), np.uint8(SPACE)


@loop
def piece_end(data: Bytes, start: int, end: int) -> int:
    """Where the piece from ``start`` ends: behind a blank, or else behind a whole character."""
    if end - start <= PIECE:
        return end
    stop = start + PIECE
    for at in range(stop - 1, start, -1):
        if data[at] <= SPACE_BYTE:
            return at + 1
    for back in range(4):
        if data[stop - back] & 0xC0 != 0x80:
            return stop - back
    return stop


@loop
def fold(piece: Bytes, kind: Bytes, folded: Any, out: Bytes, kinds: Bytes) -> None:
    """Write a piece with case folded to ``out``, and what each byte is to ``kinds``; 64 zeros follow behind."""
    size, wide = piece.size, np.uint64(0)
    whole = size - size % BLOCK
    for at in range(0, whole, BLOCK):
        wide |= fold_block(piece, at, out, kinds)
    for at in range(whole, size):  # the rest from a copy: nothing behind a text is read
        out[at] = piece[at]
    for at in range(size, size + BLOCK):
        out[at] = kinds[at] = 0
    wide |= fold_block(out, whole, out, kinds)
    if wide:
        _fold_wide(piece, kind, folded, out, kinds)


@loop
def _fold_wide(piece: Bytes, kind: Bytes, folded: Any, out: Bytes, kinds: Bytes) -> None:
    behind = 0
    for block in range(0, piece.size, BLOCK):
        wide = mask(out, block, HIGH_BIT)
        while wide:
            at = block + lowest_bit(wide)
            wide &= wide - ONE
            if at < behind:
                continue
            code, length = code_point(piece, at, piece.size)
            behind = at + length
            bits = kind_of(code, kind)
            for step in range(at, behind):
                kinds[step] = bits & (WORD | SPACE)
                out[step] = SPACE_BYTE if bits & SPACE else out[step]
            if length == 2 and 0 <= code < FOLDED_CODE_POINTS and folded[code] != code:
                out[at] = 0xC0 | (folded[code] >> 6)
                out[at + 1] = 0x80 | (folded[code] & 0x3F)


@loop
def word_bounds(kinds: Bytes, size: int, bounds: Any) -> Any:
    """Where words start and end, one after the other: returns how many words there are.

    Bounds are written eight at a time, more than there are, which costs less than to guess how many there are.
    """
    found, inside = np.uint64(0), np.uint64(0)
    for block in range(0, size, BLOCK):
        word = mask(kinds, block, WORD_BIT)
        edges = word ^ ((word << ONE) | inside)
        inside = word >> LAST
        behind = found + np.uint64(ones(edges))
        while found < behind:
            for step in range(AT_ONCE):
                bounds[found + np.uint64(step)] = block + lowest_bit(edges)
                edges &= edges - ONE
            found += np.uint64(AT_ONCE)
        found = behind
    if found & ONE:
        bounds[found] = size
        found += ONE
    return np.int64(found >> ONE)


@loop
def collapse(out: Bytes, kinds: Bytes, size: int, plain: Bytes, at: int, blank: Any) -> tuple[int, Any]:
    """Append the folded bytes to ``plain`` from ``at`` on, with one blank for each run of white space.

    ``blank`` is 1 where the text before ended in one. Returns the end in ``plain`` and the new ``blank``.
    """
    for block in range(0, size, BLOCK):
        space = mask(kinds, block, SPACE_BIT)
        drop = space & ((space << ONE) | blank)
        blank = space >> LAST
        start, end = block, min(size, block + BLOCK)
        if end < block + BLOCK:
            blank = (space >> np.uint64(end - block - 1)) & ONE
        while drop:
            gone = block + lowest_bit(drop)
            copy(plain, at, out, start)
            at += gone - start
            start = gone + 1
            drop &= drop - ONE
        copy(plain, at, out, start)
        at += end - start
    return at, blank


@inlined
def code_point(data: Bytes, at: int, end: int) -> tuple[Any, int]:
    """The character at ``at`` and its length in bytes; a byte that begins none is a character of its own, -1."""
    lead = np.int64(data[at])
    length = 1 if lead < 0xC2 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4 if lead < 0xF5 else 1
    if length == 1 or at + length > end:
        return np.int64(-1), 1
    code = lead & (0x7F >> length)
    for step in range(1, length):
        following = np.int64(data[at + step])
        if following & 0xC0 != 0x80:
            return np.int64(-1), 1
        code = (code << 6) | (following & 0x3F)
    return code, length


@inlined
def kind_of(code: Any, kind: Bytes) -> Any:
    """The bits of a code point (``letters``)."""
    return np.int64(kind[code]) if 0 <= code < KNOWN_CODE_POINTS else np.int64(SYMBOL)
