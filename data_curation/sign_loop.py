"""``personal_signs.signs_of`` for a batch of texts in one compiled pass, and how many numbers each prints.

An automaton (Aho, Corasick 1975) over the bytes, ASCII letters folded, says which words of a sign stand in a text; runs
of digits and numbers are counted beside it. Texts with letters beyond Latin-1 and its punctuation, whose case or digits
are not those of ASCII, are looked at one by one in Python.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.answers import NUMBER
from data_curation import personal_signs
from data_curation.compiled import inlined, loop
from data_curation.kernel import buffers_of
from data_curation.personal_signs import IPV4_DOTS, IPV6_COLONS, LEAST_DIGITS, Signs, long_runs, signs_of

WORDS = {
    "mail": ("@", "(at)", "[at]"),
    "colons": ("::",),
    "births": personal_signs.BIRTH_WORDS,
    "homes": personal_signs.HOME_WORDS,
    "hosts": personal_signs.HOST_WORDS,
    "selves": personal_signs.SELF_WORDS,
    "sign_offs": personal_signs.SIGN_OFFS,
    "roles": personal_signs.ROLE_WORDS,
    "accounts": personal_signs.ACCOUNT_WORDS,
}
BITS = {name: 1 << place for place, name in enumerate(WORDS)}
RUNS, ODD = 1 << len(BITS), 1 << len(BITS) + 1
"""A run that may hold a number to look for; a text for Python."""
COLONS = BITS["colons"]


class Look(NamedTuple):
    """What a text shows at a glance."""

    signs: Signs
    numbers: int


def looks_of(strings: Sequence[str], texts: pa.Array) -> list[Look]:
    """A look at each text; ``texts`` are the same as ``strings``."""
    data, offsets = buffers_of(texts)
    found = np.zeros((len(strings), 2), np.int64)
    _look(data, offsets, CLASSES, NEXT, MASKS, found)
    return [
        Look(signs_of(text), len(NUMBER.findall(text))) if bits & ODD else Look(_signs(text, bits), numbers)
        for text, (bits, numbers) in zip(strings, found.tolist(), strict=True)
    ]


def _signs(text: str, bits: int) -> Signs:
    return _signs_of_bits(bits & ~RUNS, *(long_runs(text) if bits & RUNS else (False, False)))


@lru_cache(maxsize=4_096)
def _signs_of_bits(bits: int, numbers: bool, dotted: bool) -> Signs:
    return Signs(numbers=numbers, dotted=dotted, **{name: bool(bits & bit) for name, bit in BITS.items()})


def _automaton() -> tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.int64]]:
    """Byte to class (0: in no word), the transitions ``next[state, class]``, and the bits of words that end there."""
    words = [(word.encode(), BITS[name]) for name, told in WORDS.items() for word in told]
    letters = sorted({letter for word, _ in words for letter in word})
    classes = np.zeros(256, np.uint8)
    for number, letter in enumerate(letters, start=1):
        classes[[letter, *chr(letter).upper().encode("latin-1")] if letter < 0x80 else letter] = number
    children: list[dict[int, int]] = [{}]
    masks = [0]
    for word, bit in words:
        state = 0
        for letter in word:
            one = int(classes[letter])
            if one not in children[state]:
                children[state][one] = len(children)
                children.append({})
                masks.append(0)
            state = children[state][one]
        masks[state] |= bit
    following = np.zeros((len(children), len(letters) + 1), np.int16)
    failure, queue = [0] * len(children), deque([0])
    while queue:
        state = queue.popleft()
        masks[state] |= masks[failure[state]]
        for one in range(1, len(letters) + 1):
            fallback = int(following[failure[state], one]) if state else 0
            child = children[state].get(one)
            following[state, one] = fallback if child is None else child
            if child is not None:
                failure[child] = fallback
                queue.append(child)
    return classes, following, np.array(masks, np.int64)


CLASSES, NEXT, MASKS = _automaton()


@loop
def _look(data: Any, offsets: Any, classes: Any, following: Any, masks: Any, found: Any) -> None:
    """Rows of ``found``: bits and numbers of each text."""
    for document in range(offsets.size - 1):
        start, end = offsets[document], offsets[document + 1]
        state, bits, colons = following[0, classes[10]], 0, 0
        for at in range(start, end):
            byte = data[at]
            state = following[state, classes[byte]]
            bits |= masks[state]
            colons += byte == 58
            if byte >= 0xC0 and not _is_plain(data, at):
                bits |= ODD
        if colons >= IPV6_COLONS:
            bits |= COLONS
        if _holds_run(data, start, end):
            bits |= RUNS
        found[document, 0], found[document, 1] = bits, _numbers(data, start, end)


@inlined
def _is_plain(data: Any, at: int) -> bool:
    """Whether a character past ASCII is no digit, and its case is no ASCII letter's: not of German s, not of Kelvin."""
    if data[at] == 0xC3:
        return bool(data[at + 1] != 0x9F)
    if data[at] == 0xE2:
        return bool(data[at + 1] != 0x84 or data[at + 2] != 0xAA)
    return bool(data[at] == 0xC2)


@loop
def _holds_run(data: Any, start: int, end: int) -> bool:
    """Whether digits, and what may stand between them, come near what ``personal_signs.RUN`` is looked at for."""
    digits, dots = 0, 0
    for at in range(start, end):
        byte = data[at]
        if 48 <= byte <= 57:
            digits += 1
        elif byte == 46:
            dots += 1
        elif byte != 32 and byte != 40 and byte != 41 and byte != 45 and byte != 47:
            digits, dots = 0, 0
        if digits >= LEAST_DIGITS or (dots >= IPV4_DOTS and digits > 0):
            return True
    return False


@loop
def _numbers(data: Any, start: int, end: int) -> int:
    """How often ``NUMBER`` stands there: digits and commas, perhaps a point and more digits."""
    numbers, at = 0, start
    while at < end:
        if not 48 <= data[at] <= 57:
            at += 1
            continue
        numbers += 1
        while at < end and (48 <= data[at] <= 57 or data[at] == 44):
            at += 1
        if at + 1 < end and data[at] == 46 and 48 <= data[at + 1] <= 57:
            at += 1
            while at < end and 48 <= data[at] <= 57:
                at += 1
    return numbers
