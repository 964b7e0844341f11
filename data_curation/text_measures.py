"""Counts of a text that published quality rules are stated in (Gopher, C4, FineWeb), taken in the kernel's pass.

https://arxiv.org/abs/2112.11446 (Gopher), https://arxiv.org/abs/1910.10683 (C4), https://arxiv.org/abs/2406.17557
(FineWeb). Only counts: shares, limits and their reasons are the quality rules' part. Words are runs of letters, digits
and ``_``, with case folded; characters are code points.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_curation.compiled import loop
from data_curation.folding import Bytes, code_point, kind_of
from data_curation.letters import DIGIT, LETTER, SPACE, SYMBOL, WORD
from data_curation.text_loops import BASE, MIX, SHIFT, U64, mixed, power

MEASURES = np.dtype(
    [
        ("chars", "<i4"),
        ("spaces", "<i4"),  # white space of every kind, line ends among it
        ("letters", "<i4"),
        ("digits", "<i4"),
        ("symbols", "<i4"),  # neither letter nor digit nor white space
        ("words", "<i4"),
        ("word_chars", "<i4"),  # in all words together
        ("alpha_words", "<i4"),  # words with at least one letter
        ("tokens", "<i4"),  # what stands between white space
        ("stop_words", "<i4"),  # how many different ones of ``Wanted.stop_words`` occur
        ("hashes", "<i4"),  # "#"
        ("ellipses", "<i4"),  # "..." or "…"
        ("braces", "<i4"),  # "{" or "}"
        ("newlines", "<i4"),
        ("lines", "<i4"),  # that hold more than blanks
        ("short_lines", "<i4"),  # of those, at most 30 characters without the blanks around
        ("ended_lines", "<i4"),  # that end in . ! ? " ' ” ’ or …
        ("bullet_lines", "<i4"),  # that begin with - * or •
        ("ellipsis_lines", "<i4"),  # that end in "..." or "…"
        ("repeated_lines", "<i4"),  # that stood before in the text
        ("repeated_line_chars", "<i4"),
        ("paragraphs", "<i4"),  # runs of lines between empty ones
        ("repeated_paragraphs", "<i4"),
        ("repeated_paragraph_chars", "<i4"),
        # Characters in all occurrences of the most frequent n-gram of words, blanks between them counted.
        ("top_2gram_chars", "<i4"),
        ("top_3gram_chars", "<i4"),
        ("top_4gram_chars", "<i4"),
        # Characters in n-grams that stood before, counted once: after one is found the search goes on behind it.
        ("repeated_5gram_chars", "<i4"),
        ("repeated_6gram_chars", "<i4"),
        ("repeated_7gram_chars", "<i4"),
        ("repeated_8gram_chars", "<i4"),
        ("repeated_9gram_chars", "<i4"),
        ("repeated_10gram_chars", "<i4"),
    ]
)
"""One record a document."""
(CHARS, SPACES, LETTERS, DIGITS, SYMBOLS, WORDS, WORD_CHARS, ALPHA_WORDS, TOKENS, STOP_WORDS, HASHES, ELLIPSES, BRACES,
 NEWLINES, LINES, SHORT_LINES, ENDED_LINES, BULLET_LINES, ELLIPSIS_LINES, REPEATED_LINES, REPEATED_LINE_CHARS,
 PARAGRAPHS, REPEATED_PARAGRAPHS, REPEATED_PARAGRAPH_CHARS, TOP_2, TOP_3, TOP_4, REPEATED_5,
 *_) = range(len(MEASURES.fields or ()))  # fmt: skip
SHORT_LINE = 30
LENGTH_MASK = np.uint64(0xFFFFFF)
NEWLINE, BLANK = np.uint8(10), np.uint8(32)
DOT = 46


def no_stop_words() -> U64:
    """Nothing to look for."""
    return np.zeros(0, np.uint64)


@loop
def measure(data: Bytes, begin: int, end: int, kind: Bytes, sums: U64, words: int, stop_words: U64,
            lengths: Any, into: Any) -> None:  # fmt: skip
    """Fill ``into`` (int32, one for each field of MEASURES). ``lengths`` is room for a number a word."""
    found = _characters(data, begin, end, kind, lengths, into)
    for number in range(found, words):
        lengths[number] = 0
    _lines(data, begin, end, into)
    into[WORDS] = words
    seen = np.uint64(0)
    for number in range(words if stop_words.size else 0):
        value = np.uint64(sums[number + 1] - np.uint64(sums[number] * BASE))
        for which in range(stop_words.size):
            seen |= np.uint64(value == stop_words[which]) << np.uint64(which)
    while seen:
        seen &= seen - np.uint64(1)
        into[STOP_WORDS] += 1
    room = 16
    while room < 2 * words:
        room *= 2
    table, counts = np.empty(room, np.uint64), np.empty(room, np.int32)
    for size in range(2, 5):
        into[TOP_2 + size - 2] = _top(sums, words, size, lengths, table, counts)
    for size in range(5, 11):
        into[REPEATED_5 + size - 5] = _repeated(sums, words, size, lengths, table)
        if into[REPEATED_5 + size - 5] == 0:
            break  # a longer one that repeats would begin with this one


@loop
def _characters(data: Bytes, begin: int, end: int, kind: Bytes, lengths: Any, into: Any) -> int:
    position, words, length, alpha, token, dots = begin, 0, 0, 0, 0, 0
    while position < end:
        byte = np.int64(data[position])
        code, size = (byte, 1) if byte < 128 else code_point(data, position, end)
        bits = kind_of(code, kind)
        into[CHARS] += 1
        into[SPACES] += (bits & SPACE) // SPACE
        into[LETTERS] += (bits & LETTER) // LETTER
        into[DIGITS] += (bits & DIGIT) // DIGIT
        into[SYMBOLS] += (bits & SYMBOL) // SYMBOL
        if bits & WORD:
            length += 1
            alpha |= bits & LETTER
        elif length:
            lengths[words] = length
            into[WORD_CHARS] += length
            into[ALPHA_WORDS] += alpha // LETTER
            words, length, alpha = words + 1, 0, 0
        into[TOKENS] += not token and not bits & SPACE
        token = not bits & SPACE
        dots = dots + 1 if byte == DOT else 0
        if bits & SYMBOL:
            into[HASHES] += byte == 35
            into[BRACES] += byte == 123 or byte == 125
            into[ELLIPSES] += dots == 3 or code == 0x2026
            dots = 0 if dots == 3 else dots
        into[NEWLINES] += byte == 10
        position += size
    if length:
        lengths[words] = length
        into[WORD_CHARS] += length
        into[ALPHA_WORDS] += alpha // LETTER
        words += 1
    return words


@loop
def _lines(data: Bytes, begin: int, end: int, into: Any) -> None:
    room = 2
    for position in range(begin, end):
        room += data[position] == NEWLINE
    lines, paragraphs = np.empty(room, np.uint64), np.empty(room, np.uint64)
    paragraph, chars, start = MIX, 0, begin
    for position in range(begin, end + 1):
        if position < end and data[position] != NEWLINE:
            continue
        first, last = start, position
        while first < last and data[first] <= BLANK:
            first += 1
        while last > first and data[last - 1] <= BLANK:
            last -= 1
        start = position + 1
        if first < last:
            value, length = _line(data, first, last, into)
            lines[into[LINES]] = (value & ~LENGTH_MASK) | (np.uint64(length) & LENGTH_MASK)
            into[LINES] += 1
            paragraph, chars = mixed(np.uint64(paragraph * BASE + value)), chars + length
        if chars and (first == last or position == end):
            paragraphs[into[PARAGRAPHS]] = (paragraph & ~LENGTH_MASK) | (np.uint64(chars) & LENGTH_MASK)
            into[PARAGRAPHS] += 1
            paragraph, chars = MIX, 0
    into[REPEATED_LINES], into[REPEATED_LINE_CHARS] = _again(lines[: into[LINES]])
    into[REPEATED_PARAGRAPHS], into[REPEATED_PARAGRAPH_CHARS] = _again(paragraphs[: into[PARAGRAPHS]])


@loop
def _line(data: Bytes, first: int, last: int, into: Any) -> tuple[Any, int]:
    value, length, word = MIX, 0, np.uint64(0)
    for position in range(first, last):
        word = np.uint64((word << np.uint64(8)) | np.uint64(data[position]))
        if (position - first) & 7 == 7:
            value = mixed(np.uint64(value ^ word) * BASE)
            word = np.uint64(0)
        length += (data[position] & 0xC0) != 0x80
    value = mixed(np.uint64(value ^ word) * BASE + np.uint64(last - first))
    end = np.int64(data[last - 1])
    three: Any = np.int64(0)
    if last - first >= 3:
        three = (np.int64(data[last - 3]) << 16) | (np.int64(data[last - 2]) << 8) | end
    dots = three == 0xE280A6 or three == 0x2E2E2E
    into[SHORT_LINES] += length <= SHORT_LINE
    into[ENDED_LINES] += (end == 46 or end == 33 or end == 63 or end == 34 or end == 39 or dots
                          or three == 0xE2809D or three == 0xE28099)  # fmt: skip
    into[ELLIPSIS_LINES] += dots
    bullet = last - first >= 3 and data[first] == 0xE2 and data[first + 1] == 0x80 and data[first + 2] == 0xA2
    into[BULLET_LINES] += data[first] == 45 or data[first] == 42 or bullet
    return value, length


@loop
def _again(values: U64) -> tuple[int, Any]:
    ordered = np.sort(values)
    count = 0
    chars: Any = 0
    for number in range(1, ordered.size):
        if ordered[number] == ordered[number - 1]:
            count += 1
            chars += np.int64(ordered[number] & LENGTH_MASK)
    return count, chars


@loop
def _slot(table: U64, value: Any) -> Any:
    mask = np.uint64(table.size - 1)
    slot = np.uint64((value ^ (value >> SHIFT)) * MIX >> SHIFT) & mask
    while table[slot] != np.uint64(0) and table[slot] != value:
        slot = np.uint64((slot + np.uint64(1)) & mask)
    return slot


@loop
def _top(sums: U64, words: int, size: int, lengths: Any, table: U64, counts: Any) -> Any:
    if words < size:
        return 0
    factor, most = power(size), 0
    table[:], counts[:] = 0, 0
    for number in range(words - size + 1):
        value = np.uint64(sums[number + size] - np.uint64(sums[number] * factor)) | np.uint64(1)
        slot = _slot(table, value)
        table[slot] = value
        counts[slot] += 1
        most = max(most, counts[slot])
    for number in range(words - size + 1):
        value = np.uint64(sums[number + size] - np.uint64(sums[number] * factor)) | np.uint64(1)
        if counts[_slot(table, value)] == most:
            return (np.sum(lengths[number : number + size]) + size - 1) * most
    return 0


@loop
def _repeated(sums: U64, words: int, size: int, lengths: Any, table: U64) -> Any:
    factor, number = power(size), 0
    chars: Any = 0
    table[:] = 0
    while number < words - size + 1:
        value = np.uint64(sums[number + size] - np.uint64(sums[number] * factor)) | np.uint64(1)
        slot = _slot(table, value)
        if table[slot] == value:
            chars += np.sum(lengths[number : number + size])
            number += size
        else:
            table[slot] = value
            number += 1
    return chars
