"""What each character is, as tables over bytes and code points that compiled loops read.

Words are what ``\\w+`` finds in Python, so that a loop over bytes and an expression over strings agree on every
boundary. Case is folded where a character of two bytes folds to another one, and among plain letters.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_curation.compiled import kept

WORD, SPACE, LETTER, DIGIT, SYMBOL = 1, 2, 4, 8, 16
"""What a character can be, as bits. ``_`` is of a word and a symbol."""
KNOWN_CODE_POINTS = 0x32400
"""No letter lies beyond it, only marks and private use."""
FOLDED_CODE_POINTS = 0x800
"""Characters of one or two bytes; case is folded among these only."""


class Letters(NamedTuple):
    """``kind`` (of a code point, uint8 bits) and ``folded`` (to a code point, uint16)."""

    kind: NDArray[np.uint8]
    folded: NDArray[np.uint16]


@functools.cache
def letters() -> Letters:
    """The tables; making them takes 40 ms."""
    return Letters(kept("kind", _kinds), kept("folded", _folds))


def _kinds() -> NDArray[np.uint8]:
    return np.fromiter((_kind(chr(code)) for code in range(KNOWN_CODE_POINTS)), np.uint8, KNOWN_CODE_POINTS)


def _folds() -> NDArray[np.uint16]:
    return np.fromiter((_folded(code) for code in range(FOLDED_CODE_POINTS)), np.uint16, FOLDED_CODE_POINTS)


def _kind(character: str) -> int:
    if character.isspace():
        return SPACE
    bits = SYMBOL
    if character.isalnum():
        bits = WORD | (LETTER if character.isalpha() else 0) | (DIGIT if character.isdigit() else 0)
    return bits | WORD if character == "_" else bits


def _folded(code: int) -> int:
    to = chr(code).casefold()
    return ord(to) if len(to) == 1 and len(to.encode()) == len(chr(code).encode()) else code
