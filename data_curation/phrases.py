"""Which of many phrases a text prints, in one pass over its bytes: an Aho-Corasick automaton (Aho, Corasick 1975).

Text and phrases are folded alike: ASCII letters to lower case, every run of ASCII characters other than letters and
digits to one blank, and so U+0080 to U+00BF and U+2000 to U+207F (signs, dashes, quotation marks). So a phrase is found
in whole words, across line ends, with or without hyphens. Any other byte past ASCII is a letter.
"""

from __future__ import annotations

import re
from collections import deque
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


def _classes() -> np.ndarray[Any, np.dtype[np.int16]]:
    """Byte to its class: 0 a blank, 1 to 36 digits and letters, then one for each byte past ASCII."""
    table = np.zeros(256, dtype=np.int16)
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
    """The automaton of named groups of phrases."""

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        self.names = list(groups)
        children: list[dict[int, int]] = [{}]
        ends: list[set[int]] = [set()]
        for number, phrases in enumerate(groups.values()):
            for phrase in phrases:
                state = 0
                for one in folded(phrase):
                    if one not in children[state]:
                        children[state][one] = len(children)
                        children.append({})
                        ends.append(set())
                    state = children[state][one]
                ends[state].add(number)
        self._next = _complete(children, ends)
        self._first = np.cumsum([0, *(len(one) for one in ends)]).astype(np.int32)
        self._groups = np.array([group for one in ends for group in sorted(one)], dtype=np.int32)

    def documents_with(self, texts: pa.Array) -> NDArray[np.int64]:
        """For each name, how many of ``texts`` print one of its phrases."""
        counts = np.zeros(len(self.names), dtype=np.int64)
        _count(*buffers_of(texts), CLASSES, self._next, self._first, self._groups, counts)
        return counts


def _complete(children: list[dict[int, int]], ends: list[set[int]]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The transition table ``next[state, class]``; ``ends`` also gets what a state's suffixes end."""
    following = np.zeros((len(children), WIDTH), dtype=np.int32)
    failure = [0] * len(children)
    queue = deque([0])
    while queue:
        state = queue.popleft()
        ends[state] |= ends[failure[state]]
        for one in range(WIDTH):
            child = children[state].get(one)
            fallback = int(following[failure[state], one]) if state else 0
            if child is None:
                following[state, one] = fallback
            else:
                following[state, one] = child
                failure[child] = fallback
                queue.append(child)
    return following


@loop
def _count(data: Any, offsets: Any, classes: Any, following: Any, first: Any, groups: Any, counts: Any) -> None:
    seen = np.zeros(counts.size, np.bool_)
    for document in range(offsets.size - 1):
        seen[:] = False
        _scan(data[offsets[document] : offsets[document + 1]], classes, following, first, groups, seen)
        for number in range(counts.size):
            counts[number] += seen[number]


@loop
def _scan(data: Any, classes: Any, following: Any, first: Any, groups: Any, seen: Any) -> None:
    state = following[0, 0]
    blank = True
    rest = 0
    for place in range(len(data) + 1):
        one = classes[data[place]] if place < len(data) else 0
        if rest > 0:
            rest -= 1
            one = 0
        elif one > 36:  # past ASCII: two bytes from C2, three from E2 80 and E2 81 are signs
            if data[place] == 0xC2:
                one, rest = 0, 1
            elif data[place] == 0xE2 and place + 1 < len(data) and data[place + 1] < 0x82:
                one, rest = 0, 2
        if one == 0 and blank:
            continue
        blank = one == 0
        state = following[state, one]
        for number in range(first[state], first[state + 1]):
            seen[groups[number]] = True
