"""The kernel's compiled loop over the documents of a batch: its parts stand in ``text_loops`` and ``minhash``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from data_curation.compiled import entry, loop
from data_curation.folding import PIECE, Bytes, collapse, fold, piece_end, word_bounds
from data_curation.minhash import U32, U64, band_keys, own_shingles
from data_curation.text_loops import (
    Ints,
    add_hits,
    add_shingles,
    add_text,
    figures_of,
    last_content,
    mixed,
    power,
)

ROOM = PIECE + 256
"""For a piece, what the one before left over and whole vectors behind it."""


class Room(NamedTuple):
    """Arrays that ``scan_documents`` works in, so that it makes none; ``longest`` is the bytes of the longest text."""

    sums: U64
    """``longest // 2 + 16``; twice as much for the numbers of a text."""
    own: U32
    """``longest // 2 + 16``, none where there is no boilerplate."""
    pieces: Bytes
    """(3, ROOM)."""
    bounds: Any
    """int32, ROOM of them."""
    low: U32
    """One for each hash function."""
    starts: Ints
    """``sorting.STARTS``."""


@entry
def scan_documents(
    data: Bytes, offsets: Ints, kind: Bytes, folded: Any, shingle_words: int, factors: U32, addends: U32, rows: int,
    common: U32, keys: U64, bits: Bytes, sizes: Ints, with_figures: bool, content: U64, words: Ints,
    bands: U64, shingles: U32, shingle_ends: Ints, figures: U64, hits: Ints, sums: U64, own: U32, pieces: Bytes,
    bounds: Any, low: U32, starts: Ints,
) -> int:  # fmt: skip
    """Fills the arrays of ``kernel.Scan``, one row a document; returns how many hits there are (``add_hits``).

    The last six arrays are those of ``Room``.
    """
    out, kinds, plain = pieces[0], pieces[1], pieces[2]
    found, shingled = 0, 0
    for document in range(offsets.size - 1):
        begin, end = offsets[document], offsets[document + 1]
        one, two = np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707344)
        count, left, total, blank, at = 0, 0, 0, np.uint64(1), begin
        sums[0] = 0
        while at < end:
            stop = piece_end(data, at, end)
            fold(data[at:stop], kind, folded, out, kinds)
            more = word_bounds(kinds, stop - at, bounds)
            left, blank = collapse(out, kinds, stop - at, plain, left, blank)
            one, two, taken = add_text(out, bounds, more, sums, count, plain, left, one, two)
            count, left, total, at = count + more, left - taken, total + taken, stop
        if blank and left:
            left -= 1
        one, two = last_content(plain, left, total + left, one, two)
        words[document], content[document, 0], content[document, 1] = count, one, two
        before = shingled
        if shingle_words:
            shingled = add_shingles(sums, count, shingle_words, shingles, shingled)
        shingle_ends[document] = shingled
        if factors.size and count:
            mine = shingles[before:shingled]
            if common.size:
                mine = own[: own_shingles(mine, common, own)]
            band_keys(mine, factors, addends, rows, low, bands[document])
        if sizes.size:
            found = add_hits(sums, count, document, sizes, keys, bits, hits, found)
        if with_figures:
            figures[document] = figures_of(data, begin, end, sums, starts)
    return found


@loop
def word_sums(data: Bytes, begin: int, end: int, kind: Bytes, folded: Any) -> Any:
    """Running sums of the word hashes of one text, as the pass has them: one more than there are words."""
    sums = np.empty((end - begin) // 2 + 16, np.uint64)
    out, kinds, bounds = np.empty(ROOM, np.uint8), np.empty(ROOM, np.uint8), np.empty(ROOM, np.int32)
    count, at = 0, begin
    sums[0] = 0
    while at < end:
        stop = piece_end(data, at, end)
        fold(data[at:stop], kind, folded, out, kinds)
        more = word_bounds(kinds, stop - at, bounds)
        add_text(out, bounds, more, sums, count, out, 0, np.uint64(0), np.uint64(0))
        count, at = count + more, stop
    return sums[: count + 1]


@loop
def ngram_hashes(sums: U64, size: int) -> Any:
    """uint64 hashes of every ``size`` words, as ``add_hits`` looks for them."""
    factor, count = power(size), max(0, sums.size - size)
    hashes = np.empty(count, np.uint64)
    for number in range(count):
        hashes[number] = mixed(np.uint64(sums[number + size] - np.uint64(sums[number] * factor)))
    return hashes
