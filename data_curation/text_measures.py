"""The counts of ``text_statistics``, taken in the kernel's pass: the same record for every text.

A text is classed byte by byte in whole vectors and counted by bits; what is left to walk are its words (here) and its
lines and n-grams (``repeats``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_curation.compiled import BLOCK, equal, inlined, load8, loop, lowest_bit, mask, ones
from data_curation.folding import Bytes, code_point, kind_of
from data_curation.letters import LETTER as KIND_LETTER
from data_curation.letters import SPACE as KIND_SPACE
from data_curation.letters import SYMBOL as KIND_SYMBOL
from data_curation.repeats import count_lines, count_ngrams
from data_curation.text_loops import ALL, MIX, OTHER, SHIFT, U64
from data_curation.text_statistics import NAMES

ALNUM, BLANK, LETTER, SPACE, INNER, STOP, PHRASE, WIDE = (np.uint8(1 << bit) for bit in range(8))
"""Classes of a byte: of a letter or digit; one of six blanks; of a letter; white space of any kind; not the first of
its character; ``. ! ?``; where a phrase starts that C4 drops a line for; not plain."""
ALNUMS, LETTERS, INNERS = (np.uint64(0x0101010101010101 << bit) for bit in (0, 2, 4))
(CHARACTERS, VISIBLE, SYMBOLS, NEWLINES, TOKENS, WORDS, WORD_CHARACTERS, ALPHABETIC, STOP_WORDS, HASHES, ELLIPSES,
 CURLY, LOREM) = range(NAMES.index("lorem_ipsum") + 1)  # fmt: skip
ONE, LAST = np.uint64(1), np.uint64(63)
BEHIND = 128
"""Zeros behind a text: vectors and the search for phrases read past its end."""
STOP_WORD_BYTES = np.array(
    [int.from_bytes(one.encode(), "little") for one in ("the", "be", "to", "of", "and", "that", "have", "with")],
    np.uint64,
)
PHRASES = ("javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
           "use cookies", "lorem ipsum")  # fmt: skip
"""The last is counted, the others mark their line."""
PHRASE_BYTES = np.frombuffer("".join(one.ljust(16, "\0") for one in PHRASES).encode(), np.uint8).reshape(-1, 16)
PHRASE_SIZES = np.array([len(one) for one in PHRASES])


@loop
def measure_documents(data: Bytes, offsets: Any, kind: Bytes, rows: Any) -> None:
    """Fill a row of ``rows`` for every document."""
    longest = 0
    for document in range(offsets.size - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    text, kinds = np.empty(longest + BEHIND, np.uint8), np.empty(longest + BEHIND, np.uint8)
    hashes, lengths = np.empty(longest // 2 + 1, np.uint64), np.empty(longest // 2 + 1, np.int32)
    for document in range(offsets.size - 1):
        measure(data, offsets[document], offsets[document + 1], kind, text, kinds, hashes, lengths, rows[document])


@loop
def measure(data: Bytes, begin: int, end: int, kind: Bytes, text: Bytes, kinds: Bytes, hashes: U64, lengths: Any,
            into: Any) -> None:  # fmt: skip
    """Fill ``into``, a row of ``text_statistics.ROW`` as int32.

    ``text`` and ``kinds`` are room for the bytes and ``BEHIND`` more, ``hashes`` and ``lengths`` for every word.
    """
    size = end - begin
    _class(data[begin:end], kind, text, kinds)
    phrases = _count_bytes(text, kinds, size, into)
    words = _words(text, kinds, size, hashes, lengths, into)
    count_lines(text, kinds, size, phrases, into)
    count_ngrams(hashes[:words], lengths, into)


@loop
def _class(data: Bytes, kind: Bytes, text: Bytes, kinds: Bytes) -> None:
    size, high = data.size, np.uint8(0)
    for at in range(size):
        byte = data[at]
        upper = np.uint8(byte - np.uint8(65)) < np.uint8(26)
        letter = np.uint8((byte | np.uint8(32)) - np.uint8(97)) < np.uint8(26)
        digit = np.uint8(byte - np.uint8(48)) < np.uint8(10)
        blank = (byte == np.uint8(32)) | (np.uint8(byte - np.uint8(9)) < np.uint8(5))
        space = blank | (np.uint8(byte - np.uint8(28)) < np.uint8(4))
        stop = (byte == np.uint8(46)) | (byte == np.uint8(33)) | (byte == np.uint8(63))
        high |= byte
        text[at] = np.uint8(byte | np.uint8(np.uint8(upper) << np.uint8(5)))
        kinds[at] = (
            np.uint8(letter | digit)
            | np.uint8(np.uint8(blank) << np.uint8(1))
            | np.uint8(np.uint8(letter) << np.uint8(2))
            | np.uint8(np.uint8(space) << np.uint8(3))
            | np.uint8(np.uint8(stop) << np.uint8(5))
            | np.uint8(byte & np.uint8(128))
        )
    for at in range(size, size + BEHIND):
        text[at] = kinds[at] = 0
    behind = 0
    for block in range(0, size if high >= 128 else 0, BLOCK):
        wide = mask(kinds, block, WIDE)
        while wide:
            at = block + lowest_bit(wide)
            wide &= wide - ONE
            if at < behind:
                continue
            code, length = code_point(data, at, size)
            behind = at + length
            bits = kind_of(code, kind)
            of_word = np.int64(bits & (KIND_SPACE | KIND_SYMBOL) == 0)
            kinds[at] = of_word | (bits & KIND_LETTER) // KIND_LETTER * 4 | (bits & KIND_SPACE) // KIND_SPACE * 8
            for step in range(at + 1, behind):
                kinds[step] = INNER


@loop
def _count_bytes(text: Bytes, kinds: Bytes, size: int, into: Any) -> int:
    """Counts that need no order; marks the phrases and returns how many there are."""
    phrases, dots = 0, 0
    for block in range(0, size, BLOCK):
        left = size - block
        inside = ALL if left >= BLOCK else (ONE << np.uint64(left)) - ONE
        first = ~mask(kinds, block, INNER) & inside
        visible = first & ~mask(kinds, block, SPACE)
        into[CHARACTERS] += ones(first)
        into[VISIBLE] += ones(visible)
        into[SYMBOLS] += ones(visible & ~mask(kinds, block, ALNUM))
        into[NEWLINES] += ones(equal(text, block, np.uint8(10)))
        into[HASHES] += ones(equal(text, block, np.uint8(35)))
        into[CURLY] += ones(equal(text, block, np.uint8(123)))
        dot = equal(text, block, np.uint8(46))
        if dot | np.uint64(dots):
            for at in range(block, min(size, block + BLOCK)):
                dots = dots + 1 if text[at] == 46 else 0
                if dots == 3:
                    into[ELLIPSES] += 1
                    dots = 0
        wide = equal(text, block, np.uint8(0xE2))
        while wide:
            at = block + lowest_bit(wide)
            wide &= wide - ONE
            into[ELLIPSES] += text[at + 1] == 0x80 and text[at + 2] == 0xA6
        for which in range(PHRASE_SIZES.size):
            likely = (equal(text, block, PHRASE_BYTES[which, 0]) & equal(text, block + 2, PHRASE_BYTES[which, 2])
                      & equal(text, block + 4, PHRASE_BYTES[which, 4]))  # fmt: skip
            while likely:
                at = block + lowest_bit(likely)
                likely &= likely - ONE
                if _stands(text, at, which):
                    if which == PHRASE_SIZES.size - 1:
                        into[LOREM] += 1
                    else:
                        kinds[at] |= PHRASE
                        phrases += 1
    return phrases


@loop
def _stands(text: Bytes, at: int, which: int) -> Any:
    alike = True
    for step in range(PHRASE_SIZES[which]):
        alike &= text[at + step] == PHRASE_BYTES[which, step]
    return alike


@loop
def _words(text: Bytes, kinds: Bytes, size: int, hashes: U64, lengths: Any, into: Any) -> int:
    """Hashes and lengths of the words, which are tokens with a letter or digit; returns how many there are.

    Sums stay in registers: written to ``into`` word by word, each would wait for the one before.
    """
    words, tokens, characters, alphabetic, outside, start, stops = 0, 0, 0, 0, np.uint64(1), 0, np.uint64(0)
    for block in range(0, size + 1, BLOCK):
        blank = mask(kinds, block, BLANK)
        if size - block < BLOCK:
            blank |= ALL << np.uint64(size - block)
        edges = blank ^ ((blank << ONE) | outside)
        outside = blank >> LAST
        while edges:
            at = block + lowest_bit(edges)
            edges &= edges - ONE
            if at < size and not kinds[at] & BLANK:
                start = at
                continue
            tokens += 1
            value, classes, inner = _token(text, kinds, start, at)
            if classes & ALNUMS:
                hashes[words], lengths[words] = value, at - start - inner
                words += 1
                characters += at - start - inner
                alphabetic += (classes & LETTERS) != 0
                if at - start <= 16:
                    stops |= _stop_word(text, kinds, start, at)
    into[TOKENS], into[WORDS], into[STOP_WORDS] = tokens, words, ones(stops)
    into[WORD_CHARACTERS], into[ALPHABETIC] = characters, alphabetic
    return words


@inlined
def _token(text: Bytes, kinds: Bytes, start: int, end: int) -> tuple[Any, Any, Any]:
    """A token's hash, the classes of all its bytes, and how many of them are not the first of their character."""
    value, classes, inner, at = np.uint64(end - start) * OTHER, np.uint64(0), 0, start
    while end - at > 8:
        value = np.uint64(value ^ load8(text, at)) * MIX
        value = np.uint64(value ^ (value >> SHIFT))
        these = load8(kinds, at)
        classes |= these
        inner += ones(these & INNERS)
        at += 8
    inside = ALL >> np.uint64(64 - 8 * (end - at))
    these = load8(kinds, at) & inside
    value = np.uint64(value ^ (load8(text, at) & inside)) * MIX
    value = np.uint64(value ^ (value >> SHIFT)) * OTHER
    return value ^ (value >> SHIFT), classes | these, inner + ones(these & INNERS)


@inlined
def _stop_word(text: Bytes, kinds: Bytes, start: int, end: int) -> Any:
    """The bit of the stop word that a token is, what is neither letter nor digit at its ends aside."""
    first, last = start, end
    while not kinds[first] & ALNUM:
        first += 1
    while not kinds[last - 1] & ALNUM:
        last -= 1
    found = np.uint64(0)
    if last - first >= 2 and last - first <= 4:
        core = load8(text, first) & (ALL >> np.uint64(64 - 8 * (last - first)))
        for which in range(STOP_WORD_BYTES.size):
            if core == STOP_WORD_BYTES[which]:
                found = ONE << np.uint64(which)
    return found
