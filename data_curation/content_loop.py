"""The hash that exact duplicates share: of a text without its case, folded for a whole batch in one compiled pass."""

from __future__ import annotations

import functools
import hashlib
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_curation.compiled import BLOCK, loop, lowest_bit, mask
from data_curation.folding import Bytes, code_point
from data_curation.kernel import buffers_of
from data_curation.letters import FOLDED_CODE_POINTS, letters

HASH_BYTES = 16
KNOWN_CODE_POINTS, CASELESS_UP_TO = 0x3100, 0xA000
"""Between the two lie only letters of East Asia, which have no case."""
ONE = np.uint64(1)


def content_hashes(texts: pa.Array) -> bytes:
    """SHA-256 of each text's ``casefold``, its first 16 bytes, one after the other."""
    data, offsets = buffers_of(texts)
    folded, odd = np.empty(int(offsets[-1] - offsets[0]) + BLOCK, np.uint8), np.zeros(len(texts), np.bool_)
    _fold(data, offsets, letters().folded, _folds_otherwise(), folded, odd)
    ends, room = (offsets - offsets[0]).tolist(), folded.data
    contents = [room[start:end] for start, end in pairwise(ends)]
    for number in np.flatnonzero(odd).tolist():
        contents[number] = memoryview(texts[number].as_py().casefold().encode())
    return b"".join(hashlib.sha256(one).digest()[:HASH_BYTES] for one in contents)


@functools.cache
def _folds_otherwise() -> NDArray[np.bool_]:
    """Which code points fold to what is longer, or past those of two bytes."""
    table = letters().folded
    told = (
        chr(code).casefold() != chr(table[code] if code < len(table) else code) for code in range(KNOWN_CODE_POINTS)
    )
    return np.fromiter(told, np.bool_, KNOWN_CODE_POINTS)


@loop
def _fold(data: Bytes, offsets: Any, folded: Any, otherwise: Any, out: Bytes, odd: Any) -> None:
    """Write all texts, folded, one after the other; those that are ``odd`` not to their end."""
    first = offsets[0]
    for at in range(first, offsets[offsets.size - 1]):
        byte = data[at]
        upper = np.uint8(byte - np.uint8(65)) < np.uint8(26)
        out[at - first] = np.uint8(byte | np.uint8(np.uint8(upper) << np.uint8(5)))
    for document in range(offsets.size - 1):
        odd[document] = _fold_wide(data, offsets[document], offsets[document + 1], folded, otherwise, out, first)


@loop
def _fold_wide(data: Bytes, begin: int, end: int, folded: Any, otherwise: Any, out: Bytes, first: int) -> bool:
    behind = begin
    for block in range(begin, end, BLOCK):
        wide = mask(out, block - first, np.uint8(128))
        while wide:
            at = block + lowest_bit(wide)
            wide &= wide - ONE
            if at >= end:
                break
            if at < behind:
                continue
            code, length = code_point(data, at, end)
            behind = at + length
            if code < 0 or code >= CASELESS_UP_TO or (code < KNOWN_CODE_POINTS and otherwise[code]):
                return True
            if code < FOLDED_CODE_POINTS and folded[code] != code:
                out[at - first] = 0xC0 | (folded[code] >> 6)
                out[at - first + 1] = 0x80 | (folded[code] & 0x3F)
    return False
