"""``personal_signs.signs_of`` for a batch of texts in one compiled pass, and how many numbers each prints.

An automaton (Aho, Corasick 1975) over the bytes, ASCII letters folded, says which words of a sign stand in a text, and
what stands behind some of them is looked at; numbers are looked for from their digits (``number_loop``). Texts with
characters that a pattern takes for a digit, a blank or an ASCII letter are looked at one by one in Python.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.answers import NUMBER
from data_curation import personal_signs
from data_curation.compiled import inlined, kept, loop
from data_curation.folding import code_point
from data_curation.kernel import buffers_of
from data_curation.number_loop import DOTTED, HEADS, RUNS, SPANS, UNSURE, look_at_numbers
from data_curation.personal_signs import IPV6_COLONS, PLAIN_RUN, Signs, signs_of

WORDS = {
    "mail": ("@", "(at)", "[at]"),
    "births": personal_signs.BIRTH_WORDS,
    "homes": personal_signs.HOME_WORDS,
    "hosts": personal_signs.HOST_WORDS,
    "selves": personal_signs.SELF_WORDS,
    "sign_offs": personal_signs.SIGN_OFFS,
    "roles": personal_signs.ROLE_WORDS,
    "accounts": personal_signs.ACCOUNT_WORDS,
}
FIRST_BIT = 8
"""Those below are of ``number_loop``."""
BITS = {name: 1 << place for place, name in enumerate((*WORDS, "colons"), start=FIRST_BIT)}
ROLES, ACCOUNTS, SELVES, COLONS = (BITS[name] for name in ("roles", "accounts", "selves", "colons"))
BY_WORDS = sum(bit for name, bit in BITS.items() if name != "accounts")
LOOK_BEHIND = ROLES | ACCOUNTS | SELVES
"""Signs that are some only before what ``personal_signs`` says."""
PADDING = 128
KNOWN_CODE_POINTS = 0x10000
SPACE, NEWLINE, COLON, DASH = 32, 10, 58, 45


class Look(NamedTuple):
    """What a text shows at a glance."""

    signs: Signs
    numbers: int


class _Places(NamedTuple):
    """Rows of several texts, and where those of each begin."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]

    def of(self, number: int) -> list[list[int]]:
        """The rows of one text."""
        found: list[list[int]] = self.rows[self.starts[number] : self.starts[number + 1]].tolist()
        return found


@dataclass(frozen=True)
class Looks:
    """What each text of a batch shows."""

    bits: NDArray[np.int64]
    numbers: NDArray[np.int64]
    """How many; not counted where Python has to look."""
    runs: _Places
    """Runs of six digits or more."""
    spans: _Places

    @property
    def worth_it(self) -> NDArray[np.bool_]:
        """The texts in which a finder, or Python's look, may see something."""
        numeric = ((self.bits & RUNS) != 0) & ((self.bits & (SPANS | HEADS | ACCOUNTS)) != 0)
        worth: NDArray[np.bool_] = numeric | ((self.bits & (BY_WORDS | DOTTED | UNSURE)) != 0)
        return worth

    def at(self, number: int, text: str) -> Look:
        """The look at one text."""
        bits = int(self.bits[number])
        if bits & UNSURE:
            return Look(signs_of(text), len(NUMBER.findall(text)))
        long_ones = any(PLAIN_RUN.fullmatch(text, *run) is None for run in self.runs.of(number))
        spans = self.spans.of(number) if long_ones and bits & SPANS else []
        shown = tuple((start, end, digits) for start, end, digits in spans)
        signs = Signs(long_ones, bool(bits & DOTTED), long_ones and bool(bits & HEADS), shown, *_flags(bits))
        return Look(signs, int(self.numbers[number]))


def looks_of(texts: pa.Array) -> Looks:
    """A look at each text."""
    data, offsets = buffers_of(texts)
    found = np.zeros((len(texts), 2), np.int64)
    room = int(offsets[-1] - offsets[0]) // personal_signs.LEAST_DIGITS + 1
    runs, spans = np.zeros((room, 3), np.int64), np.zeros((room, 4), np.int64)
    run_count, span_count = _look(data, offsets, CLASSES, NEXT, MASKS, plain_characters(), found, runs, spans)
    every = np.arange(len(texts) + 1)
    places = (_Places(one[:, 1:], np.searchsorted(one[:, 0], every)) for one in (runs[:run_count], spans[:span_count]))
    return Looks(found[:, 0], found[:, 1], *places)


@cache
def plain_characters() -> NDArray[np.bool_]:
    """Which code points no pattern of ``personal_signs`` takes for ASCII, a digit or a blank; making it takes 60 ms."""
    return kept("plain", lambda: np.array([_is_plain(chr(code)) for code in range(KNOWN_CODE_POINTS)]))


def _is_plain(one: str) -> bool:
    """German s folds to two ASCII letters; long s, the sign of Kelvin and the Turkish i match one in any case."""
    return not (one.isdecimal() or one.isspace() or any(map(str.isascii, one.casefold() + one.lower() + one.upper())))


@lru_cache(maxsize=4_096)
def _flags(bits: int) -> tuple[bool, ...]:
    """The last fields of ``Signs``."""
    return tuple(bool(bits & BITS[name]) for name in Signs._fields[-len(BITS) :])


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
def _look(data: Any, offsets: Any, classes: Any, following: Any, masks: Any, plain: Any, found: Any, runs: Any,
          spans: Any) -> tuple[int, int]:  # fmt: skip
    """Rows of ``found``: bits and numbers of each text. Returns how many ``runs`` and ``spans`` are written."""
    longest = 0
    for document in range(offsets.size - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    text, run_count, span_count = np.zeros(longest + PADDING, np.uint8), 0, 0
    for document in range(offsets.size - 1):
        start, size = offsets[document], offsets[document + 1] - offsets[document]
        for at in range(size):
            text[at] = data[start + at]
        for at in range(size, size + PADDING):
            text[at] = 0
        bits = _words(text, size, classes, following, masks, plain) | _colons(text, size)
        more, numbers, run_count, span_count = look_at_numbers(text, size, document, runs, run_count, spans, span_count)
        found[document, 0], found[document, 1] = bits | more, numbers
    return run_count, span_count


@loop
def _words(text: Any, size: int, classes: Any, following: Any, masks: Any, plain: Any) -> Any:
    state, bits = following[0, classes[NEWLINE]], np.int64(0)
    for at in range(size):
        byte = text[at]
        state = following[state, classes[byte]]
        here = masks[state]
        if here & LOOK_BEHIND:
            here = _confirmed(text, at + 1, here)
        bits |= here
        if byte >= 0xC0:
            code, _ = code_point(text, at, size)
            if not 0 <= code < KNOWN_CODE_POINTS or not plain[code]:
                bits |= UNSURE
    return bits


@loop
def _confirmed(text: Any, at: int, bits: int) -> int:
    """``bits`` without those whose word stands before the wrong thing."""
    if bits & SELVES and not (_is_capital(text[at]) or (text[at] == 0xC3 and 0x80 <= text[at + 1] <= 0x9E)):
        bits &= ~SELVES
    if bits & ACCOUNTS:
        behind = at + 1 if _is_blank(text[at]) else at
        if text[behind] | 32 != 110 and text[behind] != 35:
            bits &= ~ACCOUNTS
    if bits & ROLES and not _leads_to_name(text, at):
        bits &= ~ROLES
    return bits


@loop
def _leads_to_name(text: Any, at: int) -> bool:
    """``personal_contacts.BEHIND_ROLE``, perhaps behind a space."""
    if text[at] == SPACE:
        at += 1
    if text[at] == COLON:
        at += 1
        for _ in range(5):
            if text[at] == SPACE or text[at] == NEWLINE:
                at += 1
        return _is_capital(text[at])
    width = 1 if text[at] == DASH else 3 if text[at] == 0xE2 and text[at + 1] == 0x80 and text[at + 2] == 0x93 else 0
    return width > 0 and text[at + width] == SPACE and _is_capital(text[at + width + 1])


@inlined
def _is_capital(byte: Any) -> bool:
    return bool(65 <= byte <= 90)


@inlined
def _is_blank(byte: Any) -> bool:
    return bool(byte == SPACE or 9 <= byte <= 13 or 28 <= byte <= 31)


@loop
def _colons(text: Any, size: int) -> int:
    """The sign of ``personal_signs.COLONS``."""
    groups, before = 0, -1
    for at in range(size):
        if text[at] != COLON:
            continue
        digits = 0
        while digits < 5 and at - digits > 0 and _is_hexadecimal(text[at - digits - 1]):
            digits += 1
        if before >= 0 and before == at - 1:
            return COLONS
        follows = before >= 0 and digits < 5 and before == at - digits - 1
        groups = groups + 1 if follows else 1 if digits else 0
        if groups >= IPV6_COLONS:
            return COLONS
        before = at
    return 0


@inlined
def _is_hexadecimal(byte: Any) -> bool:
    return bool(48 <= byte <= 57 or 97 <= (byte | 32) <= 102)
