"""Where numbers stand in a text that may be personal data: runs, spans and heads, looked for from each digit.

What each is says ``personal_signs`` (runs) and ``personal_patterns`` (spans, heads). Places are in characters, so that
the patterns can be asked there and nowhere else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_curation.compiled import BLOCK, inlined, loop, lowest_bit, within
from data_curation.personal_patterns import LEAST_SPAN_CHARS, LEAST_SPAN_DIGITS, LOOKED_AHEAD
from data_curation.personal_signs import IPV4_DOTS, LEAST_DIGITS, LEAST_RUN_CHARS

RUNS, SPANS, HEADS, DOTTED, UNSURE = 1, 2, 4, 8, 16
"""Bits: six digits or more together; a span; an IBAN may begin; the points of an address; a text for Python."""
ONE = np.uint64(1)
ZERO, NINE, SPACE, COMMA, POINT, UNDERSCORE = 48, 57, 32, 44, 46, 95


@loop
def look_at_numbers(
    text: Any, size: int, document: int, runs: Any, run_count: int, spans: Any, span_count: int
) -> tuple[int, int, int, int]:
    """The bits of a text, how often ``answers.NUMBER`` stands in it, and how many ``runs`` and ``spans`` there are now.

    ``text`` has two vectors of zeros behind it. Rows of ``runs`` are text, start, end; those of ``spans`` have their
    digits, too. A start or end in characters is counted on from the one before.
    """
    bits, numbers, number_end, run_end, span_end = 0, 0, 0, 0, 0
    run_at, run_chars, span_at, span_chars = 0, 0, 0, 0
    for block in range(0, size, BLOCK):
        digits = within(text, block, np.uint8(ZERO), np.uint8(10))
        while digits:
            at = block + lowest_bit(digits)
            digits &= digits - ONE
            if at >= number_end:
                numbers += 1
                bits |= _head(text, at, size)
                number_end = _number_end(text, at)
            if at >= run_end:
                run_end, count, points = _run(text, at)
                if run_end - at >= LEAST_RUN_CHARS:
                    if points >= IPV4_DOTS:
                        bits |= DOTTED
                    if count >= LEAST_DIGITS:
                        bits |= RUNS
                        start = run_chars + _characters(text, run_at, at)
                        run_at, run_chars = run_end, start + run_end - at
                        runs[run_count, 0], runs[run_count, 1], runs[run_count, 2] = document, start, run_chars
                        run_count += 1
                else:
                    run_end = at + 1
            if at >= span_end:
                first, last, count = _span(text, at, span_end, size)
                if count >= LEAST_SPAN_DIGITS and last - first >= LEAST_SPAN_CHARS:
                    bits |= SPANS
                    start = span_chars + _characters(text, span_at, first)
                    span_at, span_chars = last, start + last - first
                    spans[span_count, 0], spans[span_count, 1] = document, start
                    spans[span_count, 2], spans[span_count, 3] = span_chars + LOOKED_AHEAD, count
                    span_count += 1
                span_end = last
    return bits, numbers, run_count, span_count


@inlined
def _is_digit(byte: Any) -> bool:
    return bool(ZERO <= byte <= NINE)


@inlined
def _is_capital(byte: Any) -> bool:
    return bool(65 <= byte <= 90)


@loop
def _characters(text: Any, start: int, end: int) -> int:
    """How many characters begin there."""
    count = 0
    for at in range(start, end):
        count += text[at] & 0xC0 != 0x80
    return count


@loop
def _number_end(text: Any, at: int) -> int:
    """Digits and commas, perhaps a point and more digits."""
    while _is_digit(text[at]) or text[at] == COMMA:
        at += 1
    if text[at] == POINT and _is_digit(text[at + 1]):
        at += 1
        while _is_digit(text[at]):
            at += 1
    return at


@loop
def _run(text: Any, at: int) -> tuple[int, int, int]:
    """The end, digits and points of what ``personal_signs.RUN`` finds from a digit on, if it is long enough."""
    end, digits, points, all_points = at, 0, 0, 0
    while True:
        byte = text[at]
        if _is_digit(byte):
            digits += 1
            end, points = at + 1, all_points
        elif byte == POINT:
            all_points += 1
        elif byte != SPACE and byte != 40 and byte != 41 and byte != 45 and byte != 47:
            break
        at += 1
    return end, digits, points


@inlined
def _in_span(byte: Any) -> bool:
    """A digit, a blank or one of ``().-/+``."""
    if _is_digit(byte) or byte == SPACE or 9 <= byte <= 13 or 28 <= byte <= 31:
        return True
    return bool(40 <= byte <= 47 and byte != 42 and byte != COMMA)


@loop
def _span(text: Any, at: int, before: int, size: int) -> tuple[int, int, int]:
    """First, end and digits of what ``personal_patterns.NUMBER_SPAN`` finds around a digit, behind ``before``."""
    first, last, digits = at, at, 0
    while first > before and _in_span(text[first - 1]):
        first -= 1
    while not (_is_digit(text[first]) or text[first] == 40 or text[first] == 43):
        first += 1
    while last < size and _in_span(text[last]):
        digits += _is_digit(text[last])
        last += 1
    return first, last, digits


@loop
def _head(text: Any, at: int, size: int) -> int:
    """HEADS where ``personal_patterns.IBAN_HEAD`` stands with its first digit at ``at``."""
    if at < 2 or not (_is_capital(text[at - 1]) and _is_capital(text[at - 2]) and _is_digit(text[at + 1])):
        return 0
    behind = at + 3 if text[at + 2] == SPACE else at + 2
    for step in range(4):
        if not (_is_digit(text[behind + step]) or _is_capital(text[behind + step])):
            return 0
    if at == 2:
        return HEADS
    byte = text[at - 3]
    if byte >= 128:
        return UNSURE
    return 0 if _is_digit(byte) or 97 <= byte | 32 <= 122 or byte == UNDERSCORE else HEADS
