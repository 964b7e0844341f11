"""``normalising.normalised`` for a batch of texts in one compiled pass over their bytes.

Texts with a character whose written form hangs on its neighbours (marks, what may be mojibake), that is not seen, or
that is a blank of a rare kind, are done one by one in Python; in most corpora there are few.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_curation.compiled import BLOCK, equal, inlined, kept, loop, lowest_bit, mask
from data_curation.folding import Bytes, code_point, kind_of
from data_curation.kernel import buffers_of, texts_of
from data_curation.letters import SPACE as KIND_SPACE
from data_curation.letters import letters
from data_curation.mojibake import SUSPECT
from data_curation.normalising import BLANKS, HIDDEN, STROKES, normalised

ALONE, BLANK, LEAD, FOLLOWER, BULLET = (np.uint8(1 << bit) for bit in range(5))
"""Classes of a character past ASCII: its form is its own affair; one of ``BLANKS``; as which cp1252 shows the first, or
a further, byte of a character in UTF-8; a rule is drawn with it."""
KNOWN_CODE_POINTS, ALONE_UP_TO = 0x3100, 0xA000
"""Between the two lie only letters of East Asia, which stand alone and have no case."""
CONJOINING = range(0x1100, 0x1200)
STROKE_BYTES = np.frombuffer(STROKES.encode("ascii", "ignore"), np.uint8)
RULE_STROKES = 5
SPACE, NEWLINE, TAB, RETURN, FEED = (np.uint8(ord(one)) for one in " \n\t\r\f")
PRINTED = np.uint8(0xE0)
"""A byte with none of these bits is a control character."""
ONE, LAST = np.uint64(1), np.uint64(63)
CLEAN, TO_FOLD, ODD = 0, 1, 2


def normalised_texts(texts: pa.Array) -> pa.Array:
    """``normalised`` of each text, as large_string."""
    data, offsets = buffers_of(texts)
    out, ends = np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint8), np.zeros(len(texts) + 1, np.int64)
    odd = np.zeros(len(texts), np.bool_)
    _normalise(data, offsets, characters(), out, ends, odd)
    made = pa.Array.from_buffers(pa.large_string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(out)])
    numbers = np.flatnonzero(odd)
    strings = texts.take(pa.array(numbers)).to_pylist()
    return with_others(made, {number: normalised(one) for number, one in zip(numbers.tolist(), strings, strict=True)})


def with_others(texts: pa.Array, others: Mapping[int, str]) -> pa.Array:
    """``texts`` with ``others`` in the place of some, by their numbers, in order."""
    if not others:
        return texts
    mask = np.zeros(len(texts), np.bool_)
    mask[list(others)] = True
    return pc.replace_with_mask(texts, pa.array(mask), texts_of(list(others.values())))


def rare_blanks(texts: pa.Array) -> NDArray[np.bool_]:
    """Which texts hold a blank past ASCII; ``normalised`` leaves few kinds of them."""
    found = np.zeros(len(texts), np.bool_)
    _find_blanks(*buffers_of(texts), letters().kind, found)
    return found


@functools.cache
def characters() -> NDArray[np.uint8]:
    """The classes of code points below ``KNOWN_CODE_POINTS``; making them takes 20 ms."""
    return kept("characters", lambda: np.array([_classes(chr(code)) for code in range(KNOWN_CODE_POINTS)], np.uint8))


def _classes(one: str) -> int:
    found: Any = 0
    if one in BLANKS:
        found = ALONE | BLANK
    elif not (
        one.isspace() or one in HIDDEN or unicodedata.category(one).startswith("M") or ord(one) in CONJOINING
    ) and unicodedata.is_normalized("NFC", one):
        found = ALONE
    found |= (
        LEAD * ("\xc2" <= one <= "\xf4") | FOLLOWER * bool(SUSPECT.fullmatch("\xc3" + one)) | BULLET * (one in STROKES)
    )
    return int(found)


@loop
def _normalise(data: Bytes, offsets: Any, table: Bytes, out: Bytes, ends: Any, odd: Any) -> None:
    """Write the texts that are not ``odd`` one after the other; nothing for the others."""
    at, tail = 0, np.zeros(2 * BLOCK, np.uint8)
    for document in range(offsets.size - 1):
        begin, end = offsets[document], offsets[document + 1]
        found = _needs(data, begin, end, table, tail)
        odd[document] = found == ODD
        if found == CLEAN:
            while begin < end and (data[begin] == SPACE or data[begin] == NEWLINE):
                begin += 1
            while end > begin and (data[end - 1] == SPACE or data[end - 1] == NEWLINE):
                end -= 1
            for place in range(end - begin):
                out[at + place] = data[begin + place]
            at += end - begin
        elif found == TO_FOLD:
            at = _fold(data, begin, end, table, out, at)
        ends[document + 1] = at


@loop
def _needs(data: Bytes, begin: int, end: int, table: Bytes, tail: Bytes) -> int:
    """What is to be done to a text: nothing but to strip it, to fold its blanks and rules, or to leave it to Python."""
    to_fold, control = np.uint64(0), np.uint64(0)
    spaces, newlines, newlines_before = np.uint64(0), np.uint64(0), np.uint64(0)
    strokes = np.zeros(STROKE_BYTES.size, np.uint64)
    behind = begin
    for start in range(begin, end, BLOCK):
        here, block = data, start
        if start + BLOCK > data.size:  # a vector would read past the buffer
            for place in range(end - start):
                tail[place] = data[start + place]
            here, block = tail, 0
        inside = ~np.uint64(0) if end - start >= BLOCK else (ONE << np.uint64(end - start)) - ONE
        space, newline = equal(here, block, SPACE) & inside, equal(here, block, NEWLINE) & inside
        other = (equal(here, block, TAB) | equal(here, block, RETURN) | equal(here, block, FEED)) & inside
        control |= ~mask(here, block, PRINTED) & inside & ~(newline | other)
        control |= equal(here, block, np.uint8(127)) & inside
        after_newline = (newline << ONE) | newlines
        to_fold |= other | (space & ((space << ONE) | spaces | after_newline)) | (newline & ((space << ONE) | spaces))
        to_fold |= newline & after_newline & ((after_newline << ONE) | newlines_before)
        spaces, newlines, newlines_before = space >> LAST, newline >> LAST, after_newline >> LAST
        between = space << ONE
        for which in range(STROKE_BYTES.size):
            stroke = equal(here, block, STROKE_BYTES[which]) & inside
            if stroke:
                # beside another, or a blank between them; over the end of a vector, any two
                to_fold |= stroke & ((stroke << ONE) | ((stroke << np.uint64(2)) & between))
                to_fold |= (stroke & np.uint64(3)) * strokes[which]
            strokes[which] = np.uint64((stroke >> np.uint64(62)) != 0)
        if control:
            return ODD
        wide = mask(here, block, np.uint8(128)) & inside
        while wide:
            at = start + lowest_bit(wide)
            wide &= wide - ONE
            if at < behind:
                continue
            code, length = code_point(data, at, end)
            behind = at + length
            found = _class_of(code, table)
            if not found & ALONE:
                return ODD
            if found & (LEAD | BULLET) and _goes_on(data, behind, end, table, found):
                return ODD
            if found & BLANK:
                to_fold |= ONE
    return TO_FOLD if to_fold else CLEAN


@inlined
def _class_of(code: int, table: Bytes) -> Any:
    found = np.uint8(0)
    if 0 <= code < KNOWN_CODE_POINTS:
        found = table[code]
    elif KNOWN_CODE_POINTS <= code < ALONE_UP_TO:
        found = ALONE
    return found


@loop
def _goes_on(data: Bytes, at: int, end: int, table: Bytes, before: Any) -> bool:
    """Whether what follows a ``LEAD`` or a ``BULLET`` may be part of the same mojibake or rule."""
    if before & BULLET and at < end and (data[at] == SPACE or data[at] == TAB):
        at += 1
    if at >= end or data[at] < 128:
        return False
    code, _ = code_point(data, at, end)
    return bool(_class_of(code, table) & (FOLLOWER | BULLET))


@loop
def _fold(data: Bytes, begin: int, end: int, table: Bytes, out: Bytes, to: int) -> int:
    """Write a text with runs of blanks and of empty lines folded, and drawn rules as a blank; returns where it ends."""
    first, space, newlines, at = to, False, 0, begin
    while at < end:
        byte = data[at]
        if byte in (SPACE, TAB):
            space = True
            at += 1
            continue
        if byte in (NEWLINE, RETURN):
            newlines += 1
            at += 2 if byte == RETURN and at + 1 < end and data[at + 1] == NEWLINE else 1
            continue
        length = 1
        if byte >= 128:
            code, length = code_point(data, at, end)
            if _class_of(code, table) & BLANK:
                space = True
                at += length
                continue
        else:
            behind = _rule_end(data, at, end)
            if behind:
                space = True
                at = behind
                continue
        if byte != FEED or to > first:
            if to > first and newlines:
                for _ in range(min(2, newlines)):
                    out[to] = NEWLINE
                    to += 1
            elif to > first and space:
                out[to] = SPACE
                to += 1
            for step in range(length):
                out[to + step] = data[at + step]
            to += length
        space, newlines = False, 0
        at += length
    while to > first and (out[to - 1] == FEED or out[to - 1] == SPACE or out[to - 1] == NEWLINE):
        to -= 1
    return to


@inlined
def _rule_end(data: Bytes, at: int, end: int) -> int:
    """Where the rule that begins at ``at`` ends; 0 where none does."""
    byte, strokes, behind = data[at], 0, 0
    for which in range(STROKE_BYTES.size):
        if byte == STROKE_BYTES[which]:
            strokes = 1
    while strokes:
        behind = at + 1
        next_one = behind + 1 if behind < end and (data[behind] == SPACE or data[behind] == TAB) else behind
        if next_one >= end or data[next_one] != byte:
            break
        strokes += 1
        at = next_one
    return behind if strokes >= RULE_STROKES else 0


@loop
def _find_blanks(data: Bytes, offsets: Any, kind: Bytes, found: Any) -> None:
    for document in range(offsets.size - 1):
        at, end = offsets[document], offsets[document + 1]
        while at < end:
            if data[at] < 0xC2:
                at += 1
                continue
            code, length = code_point(data, at, end)
            if kind_of(code, kind) & KIND_SPACE:
                found[document] = True
                break
            at += length
