"""Lines, paragraphs and n-grams that repeat within a text, and what else ``text_statistics`` counts by line.

An n-gram that stands twice begins with one of n - 1 words that does: each size looks only where the one before found
some, and most texts are done after the pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_curation.compiled import BLOCK, equal, load8, loop, lowest_bit, mask
from data_curation.folding import Bytes
from data_curation.sorting import STARTS, order
from data_curation.text_loops import ALL, BASE, MIX, OTHER, SHIFT, U64, mixed, power
from data_curation.text_statistics import C4_MIN_LINE_WORDS, NAMES, SHORT_LINE_CHARACTERS

(LINES, BULLETS, ELLIPSIS_LINES, TERMINAL, SHORT, AGAIN, AGAIN_CHARACTERS, PARAGRAPHS, PARAGRAPHS_AGAIN,
 PARAGRAPH_CHARACTERS, SENTENCES) = range(NAMES.index("lines"), NAMES.index("c4_sentences") + 1)  # fmt: skip
TOP, DUPLICATE = NAMES.index("top_2gram_characters"), NAMES.index("duplicate_5gram_characters")
BLANK, INNER, STOP, PHRASE = np.uint8(2), np.uint8(16), np.uint8(32), np.uint8(64)
"""Bits of ``text_measures``."""
ONE = np.uint64(1)
LENGTH_MASK = np.uint64((1 << 28) - 1)
"""Low bits of a line's hash, which hold its length."""


@loop
def count_lines(text: Bytes, kinds: Bytes, size: int, phrases: int, into: Any) -> None:
    """What is counted by line and by paragraph. ``phrases``: how many are marked in ``kinds``."""
    room = 2
    for at in range(size):
        room += text[at] == 10
    lines, paragraphs = np.empty(room, np.uint64), np.empty(room, np.uint64)
    paragraph, characters, start, block = MIX, 0, 0, 0
    newlines = equal(text, 0, np.uint8(10))
    while start <= size:
        while not newlines and block < size:
            block += BLOCK
            newlines = equal(text, block, np.uint8(10)) if block < size else np.uint64(0)
        end = min(size, block + lowest_bit(newlines)) if newlines else size
        newlines &= newlines - ONE
        first, last = start, end
        while first < last and kinds[first] & BLANK:
            first += 1
        while last > first and kinds[last - 1] & BLANK:
            last -= 1
        start = end + 1
        if first < last:
            value, length = _line(text, kinds, first, last, phrases, into)
            lines[into[LINES]] = (value & ~LENGTH_MASK) | np.uint64(length)
            into[LINES] += 1
            paragraph, characters = mixed(np.uint64(paragraph * BASE + value)), characters + length + 1
        if characters and (first == last or start > size):
            paragraphs[into[PARAGRAPHS]] = (paragraph & ~LENGTH_MASK) | np.uint64(characters - 1)
            into[PARAGRAPHS] += 1
            paragraph, characters = MIX, 0
    into[AGAIN], into[AGAIN_CHARACTERS] = _again(lines[: into[LINES]])
    into[PARAGRAPHS_AGAIN], into[PARAGRAPH_CHARACTERS] = _again(paragraphs[: into[PARAGRAPHS]])


@loop
def _line(text: Bytes, kinds: Bytes, first: int, last: int, phrases: int, into: Any) -> tuple[Any, int]:
    value, length = np.uint64(last - first) * OTHER, last - first
    for at in range(first, last):
        length -= (kinds[at] & INNER) // INNER
    for at in range(first, last, 8):
        word = load8(text, at)
        if last - at < 8:
            word &= ALL >> np.uint64(64 - 8 * (last - at))
        value = np.uint64(value ^ word) * MIX
        value = np.uint64(value ^ (value >> SHIFT))
    end, three = np.int64(text[last - 1]), np.int64(0)
    if last - first >= 3:
        three = (np.int64(text[last - 3]) << 16) | (np.int64(text[last - 2]) << 8) | end
    terminal = end == 46 or end == 33 or end == 63 or end == 34 or end == 39 or three == 0xE2809D or three == 0xE28099
    into[TERMINAL] += terminal
    into[ELLIPSIS_LINES] += three == 0x2E2E2E or three == 0xE280A6
    into[SHORT] += length <= SHORT_LINE_CHARACTERS
    head = load8(text, first) & np.uint64(0xFFFFFF)
    into[BULLETS] += text[first] == 45 or head == np.uint64(0xA280E2)
    if terminal and three != 0x2E2E2E and _is_sentence(kinds, first, last, phrases):
        into[SENTENCES] += max(1, _sentence_ends(text, kinds, first, last))
    return mixed(value), length


@loop
def _is_sentence(kinds: Bytes, first: int, last: int, phrases: int) -> bool:
    tokens, blank, marked = 1, False, False
    for at in range(first, last):
        if kinds[at] & BLANK:
            blank = True
        elif blank:
            tokens += 1
            blank = False
            if tokens == C4_MIN_LINE_WORDS:
                break
    if phrases:
        for at in range(first, last):
            marked |= (kinds[at] & PHRASE) != 0
    return tokens >= C4_MIN_LINE_WORDS and not marked


@loop
def _sentence_ends(text: Bytes, kinds: Bytes, first: int, last: int) -> int:
    """Marks at the end of a sentence: quotes and brackets may follow, then a blank or the line's end."""
    count = 0
    for block in range(first, last, BLOCK):
        stops = mask(kinds, block, STOP)
        while stops:
            at = block + lowest_bit(stops) + 1
            stops &= stops - ONE
            if at > last:
                break
            while at < last:
                byte = text[at]
                if byte == 34 or byte == 39 or byte == 41:
                    at += 1
                elif byte == 0xE2 and text[at + 1] == 0x80 and (text[at + 2] == 0x9D or text[at + 2] == 0x99):
                    at += 3
                else:
                    break
            count += at >= last or (kinds[at] & BLANK) != 0
    return count


@loop
def _again(values: U64) -> tuple[int, Any]:
    """How many values stood before, and the lengths in them together."""
    count = 0
    characters: Any = 0
    if values.size > 1:
        these = values.copy()
        order(these, np.empty(these.size, np.uint64), np.empty(STARTS, np.int64))
        for number in range(1, these.size):
            if these[number] == these[number - 1]:
                count += 1
                characters += np.int64(these[number] & LENGTH_MASK)
    return count, characters


@loop
def count_ngrams(hashes: U64, lengths: Any, into: Any) -> None:
    """Characters in the most frequent and in repeated n-grams."""
    words = hashes.size
    if words < 3:
        return
    sums = np.empty(words + 1, np.uint64)
    sums[0] = 0
    for number in range(words):
        sums[number + 1] = np.uint64(sums[number] * BASE + hashes[number])
    places, count = np.empty(words, np.int64), words
    for number in range(words):
        places[number] = number
    slots = np.empty(words, np.int32)
    for size in range(2, 11):
        count = _repeating(sums, size, places, count, words, slots, lengths, into)
        if count == 0:
            break
        if size >= 5:
            into[DUPLICATE + size - 5] = _duplicates(places, slots, count, size, lengths)


@loop
def _repeating(sums: U64, size: int, places: Any, count: int, words: int, slots: Any, lengths: Any, into: Any) -> int:
    """Keep the ``places`` whose n-gram stands twice or more, and in ``slots`` which n-gram that is."""
    while count and places[count - 1] > words - size:
        count -= 1
    room = 16
    while room < 2 * count:
        room *= 2
    keys, counts = np.zeros(room, np.uint64), np.zeros(room, np.int32)
    factor, bits, most = power(size), np.uint64(room - 1), 1
    for number in range(count):
        place = places[number]
        value = np.uint64(sums[place + size] - np.uint64(sums[place] * factor)) | ONE
        slot = np.uint64(np.uint64(value ^ (value >> SHIFT)) * MIX >> SHIFT) & bits
        while keys[slot] != np.uint64(0) and keys[slot] != value:
            slot = np.uint64((slot + ONE) & bits)
        keys[slot] = value
        counts[slot] += 1
        slots[number] = np.int64(slot)
        most = max(most, counts[slot])
    kept, longest = 0, 0
    for number in range(count):
        if counts[slots[number]] > 1:
            if size <= 4 and counts[slots[number]] == most:
                longest = max(longest, _length(lengths, places[number], size))
            places[kept], slots[kept] = places[number], slots[number]
            kept += 1
    if kept and size <= 4:
        into[TOP + size - 2] = (longest + size - 1) * most
    return kept


@loop
def _duplicates(places: Any, slots: Any, count: int, size: int, lengths: Any) -> Any:
    highest = 0
    for number in range(count):
        highest = max(highest, slots[number])
    seen, behind = np.zeros(highest + 1, np.uint8), 0
    characters: Any = 0
    for number in range(count):
        if places[number] < behind:
            continue
        if seen[slots[number]]:
            characters += _length(lengths, places[number], size)
            behind = places[number] + size
        seen[slots[number]] = 1
    return characters


@loop
def _length(lengths: Any, place: int, size: int) -> Any:
    total: Any = np.int64(0)
    for number in range(place, place + size):
        total += lengths[number]
    return total
