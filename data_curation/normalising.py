"""One written form for every text: NFC, plain line ends, no invisible characters, no rules drawn with punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from data_curation.mojibake import mended

CONTROLS = bytes([*range(0x00, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F])
HIDDEN = "\u200b\u200c\u200d\u200e\u200f\ufeff\xad"
INVISIBLE = dict.fromkeys(map(ord, HIDDEN + CONTROLS.decode()))
STROKES = "_=-.*~•"
RULE = re.compile(r"([_=\-.*~•])(?:[ \t]?\1){4,}")
BLANKS = ["\xa0", *map(chr, range(0x2000, 0x200B)), "\u202f", "\u3000"]
FOLDS = (("  ", " "), (" \n", "\n"), ("\n ", "\n"), ("\n\n\n", "\n\n"))


def normalised(text: str) -> str:
    """Mojibake mended; NFC; runs of blanks and of empty lines folded; ``_____`` and other drawn rules removed.

    Each step is asked first whether there is anything for it: 30 us for a text of 2 kB, where patterns alone take 150.
    """
    text = unicodedata.normalize("NFC", mended(text)).replace("\r\n", "\n").replace("\r", "\n")
    return _folded(_without_rules(_visible(text))).strip()


def _visible(text: str) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    hidden = len(raw) > len(text) and any(letter in text for letter in HIDDEN)
    return text.translate(INVISIBLE) if hidden or len(raw.translate(None, CONTROLS)) < len(raw) else text


def _without_rules(text: str) -> str:
    drawn = any(text.count(one) >= 5 and (one * 2 in text or f"{one} {one}" in text or f"{one}\t{one}" in text)
                for one in STROKES)  # fmt: skip
    return RULE.sub(" ", text) if drawn else text


def _folded(text: str) -> str:
    text = text.replace("\t", " ")
    if not text.isascii():
        for blank in BLANKS:
            text = text.replace(blank, " ")
    for longer, shorter in FOLDS:
        while longer in text:
            text = text.replace(longer, shorter)
    return text


def without_boilerplate(text: str, cut_before: str, drop_lines: tuple[re.Pattern[str], ...]) -> str:
    """Text without a form's standing parts: everything from ``cut_before`` on, and lines that a pattern matches."""
    if cut_before:
        position = text.casefold().find(cut_before.casefold())
        text = text[:position] if position >= 0 else text
    if drop_lines:
        text = "\n".join(line for line in text.split("\n") if not any(rule.match(line) for rule in drop_lines))
    return text.strip()


def cut(text: str, max_chars: int) -> str:
    """The beginning of a text, ended at a paragraph, line or word where one ends in the last third."""
    return next(parts(text, max_chars), "")


def parts(text: str, max_chars: int) -> Iterator[str]:
    """The whole text in parts of at most ``max_chars``, each ended like ``cut``."""
    while len(text) > max_chars:
        end = max_chars
        for mark in ("\n\n", "\n", " "):
            found = text.rfind(mark, max_chars * 2 // 3, max_chars)
            if found > 0:
                end = found
                break
        yield text[:end].strip()
        text = text[end:].lstrip()
    if text:
        yield text
