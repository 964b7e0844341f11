"""Which of many phrases a text prints: a trie (Fredkin 1960) that is walked from the beginning of every word.

Text and phrases are folded alike: ASCII letters to lower case, every run of ASCII characters other than letters and
digits to one blank, and so U+0080 to U+00BF and U+2000 to U+207F (signs, dashes, quotation marks). So a phrase is found
in whole words, across line ends, with or without hyphens. Any other byte past ASCII is a letter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_curation.compiled import loop
from data_curation.kernel import buffers_of

BLANK = 0
SIGNS = re.compile("[\\u0080-\\u00bf\\u2000-\\u207f]")
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _classes() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Byte to its class: 0 a blank, 1 to 36 digits and letters, then one for each byte past ASCII."""
    table = np.zeros(256, dtype=np.uint8)
    for number, letter in enumerate(LETTERS, start=1):
        table[ord(letter)] = table[ord(letter.upper())] = number
    table[128:] = np.arange(128) + len(LETTERS) + 1
    return table


CLASSES = _classes()
WIDTH = int(CLASSES.max()) + 1


def folded(phrase: str) -> list[int]:
    """A phrase as classes, one blank before and behind it."""
    classes = [BLANK]
    for byte in SIGNS.sub(" ", phrase).encode():
        if CLASSES[byte] != BLANK or classes[-1] != BLANK:
            classes.append(int(CLASSES[byte]))
    return classes if classes[-1] == BLANK else [*classes, BLANK]


class Phrases:
    """The phrases of named groups as a trie of classes."""

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        self.names = list(groups)
        children: list[dict[int, int]] = [{}]
        ends: list[set[int]] = [set()]
        for number, phrases in enumerate(groups.values()):
            for phrase in phrases:
                state = 0
                for one in folded(phrase)[1:]:  # where a word begins is known
                    if one not in children[state]:
                        children[state][one] = len(children)
                        children.append({})
                        ends.append(set())
                    state = children[state][one]
                ends[state].add(number)
        self._next = np.zeros((len(children), WIDTH), np.int32)
        for state, those in enumerate(children):
            for one, child in those.items():
                self._next[state, one] = child
        self._first = np.cumsum([0, *(len(one) for one in ends)]).astype(np.int32)
        self._groups = np.array([group for one in ends for group in sorted(one)], dtype=np.int32)

    def documents_with(self, texts: pa.Array) -> NDArray[np.int64]:
        """For each name, how many of ``texts`` print one of its phrases."""
        counts = np.zeros(len(self.names), dtype=np.int64)
        _count(*buffers_of(texts), CLASSES, self._next, self._first, self._groups, counts)
        return counts


@loop
def _count(data: Any, offsets: Any, classes: Any, following: Any, first: Any, groups: Any, counts: Any) -> None:
    longest = 0
    for document in range(offsets.size - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    text, seen = np.zeros(longest + 2, np.uint8), np.zeros(counts.size, np.bool_)
    for document in range(offsets.size - 1):
        seen[:] = False
        size = _fold(data, offsets[document], offsets[document + 1], classes, text)
        _look(text, size, following, first, groups, seen)
        for number in range(counts.size):
            counts[number] += seen[number]


@loop
def _fold(data: Any, begin: int, end: int, classes: Any, text: Any) -> Any:
    """Write a text as classes, a blank before, behind and for every run of blanks; returns how many there are."""
    size, at, before = 1, begin, np.uint8(0)
    text[0] = 0
    while at < end:
        byte = data[at]
        one, at = classes[byte], at + 1
        if byte == 0xC2:  # past ASCII: two bytes from C2, three from E2 80 and E2 81 are signs
            one, at = np.uint8(0), at + 1
        elif byte == 0xE2 and at < end and data[at] < 0x82:
            one, at = np.uint8(0), at + 2
        text[size] = one
        size += (one | before) != 0
        before = one
    text[size] = 0
    return size + (before != 0)


@loop
def _look(text: Any, size: int, following: Any, first: Any, groups: Any, seen: Any) -> None:
    """Walk the trie from the beginning of every word."""
    for start in range(size - 1):
        if text[start] != 0:
            continue
        state, at = following[0, text[start + 1]], start + 2
        while state != 0:
            for number in range(first[state], first[state + 1]):
                seen[groups[number]] = True
            if at >= size:
                break
            state = following[state, text[at]]
            at += 1
