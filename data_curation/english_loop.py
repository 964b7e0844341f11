"""``language.plainly_english`` for a batch of texts, in one compiled pass over their words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_curation.compiled import loop
from data_curation.folding import Bytes, code_point, kind_of
from data_curation.kernel import buffers_of
from data_curation.language import ENGLISH, LEAST_GRAMMAR, LEAST_ONLY_ENGLISH, ONLY_ENGLISH, ONLY_ENGLISH_SHARE
from data_curation.letters import LETTER, WORD, letters

NO, YES, ASK_PYTHON = 0, 1, 2
LONGEST = max(map(len, ENGLISH))
FOLD_TO_ASCII = 0x17F, 0x212A
"""Letters past ASCII that casefold to one of it: long s and Kelvin. Ligatures, which do too, lie beyond the tables."""
LIGATURES = 0xFB00, 0xFB06
LAST_FRACTION = 0xBE
"""Powers and fractions of Latin-1 are no digits to an expression; of other signs that are no letters it may differ."""
SHIFT = np.uint64(8)


def plainly_english(texts: pa.Array) -> NDArray[np.uint8]:
    """NO or YES for each text; ASK_PYTHON for the few with letters that the loop does not know."""
    told = np.zeros(len(texts), np.uint8)
    _judge(*buffers_of(texts), letters().kind, GRAMMAR, told)
    return told


def _table() -> NDArray[np.uint64]:
    """The words of grammar, open-addressed: their bytes with the first lowest, and a 1 on top of those that are English
    alone."""
    table = np.zeros(256, np.uint64)
    for word in sorted(ENGLISH):
        packed = int.from_bytes(word.encode(), "little")
        slot = _slot(packed)
        while table[slot]:
            slot = (slot + 1) & 255
        table[slot] = packed | (word in ONLY_ENGLISH) << 63
    return table


def _slot(packed: int) -> int:
    return (packed * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 56


GRAMMAR = _table()
PRIME, TOP, PLAIN = np.uint64(0x9E3779B97F4A7C15), np.uint64(1 << 63), np.uint64((1 << 63) - 1)


@loop
def _judge(data: Bytes, offsets: Any, kind: Bytes, grammar: Any, told: Any) -> None:
    for document in range(offsets.size - 1):
        told[document] = _plainly_english(data, offsets[document], offsets[document + 1], kind, grammar)


@loop
def _plainly_english(data: Bytes, begin: int, end: int, kind: Bytes, grammar: Any) -> int:
    words, common, only, at = 0, 0, 0, begin
    length, wide, packed, shift = 0, False, np.uint64(0), np.uint64(0)
    while at <= end:
        byte = np.int64(data[at]) if at < end else np.int64(32)
        folded = byte | 32
        if 97 <= folded <= 122:
            if length < 8:
                packed |= np.uint64(folded) << shift
                shift += SHIFT
            length += 1
            at += 1
            continue
        step = 1
        if byte >= 128:
            code, step = code_point(data, at, end)
            bits = kind_of(code, kind)
            if code == FOLD_TO_ASCII[0] or code == FOLD_TO_ASCII[1] or LIGATURES[0] <= code <= LIGATURES[1]:
                return ASK_PYTHON
            if bits & LETTER or (bits & WORD and code <= LAST_FRACTION):
                length += 1
                wide = True
                at += step
                continue
            if bits & WORD:
                return ASK_PYTHON
        if length >= 2:
            words += 1
            if not wide and length <= LONGEST:
                slot = np.int64(packed * PRIME >> np.uint64(56))
                while grammar[slot] and (grammar[slot] & PLAIN) != packed:
                    slot = (slot + 1) & 255
                if grammar[slot]:
                    common += 1
                    only += (grammar[slot] & TOP) != 0
        length, wide, packed, shift = 0, False, np.uint64(0), np.uint64(0)
        at += step
    enough = only >= LEAST_ONLY_ENGLISH and only >= ONLY_ENGLISH_SHARE * words
    return YES if enough and common >= LEAST_GRAMMAR * words else NO
