"""One written form for every text: NFC, plain line ends, no invisible characters, no rules drawn with punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from data_curation.mojibake import mended

INVISIBLE = dict.fromkeys([*range(0x200B, 0x2010), 0xFEFF, 0x00AD, *range(0x00, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F])
RULE = re.compile(r"([_=\-.*~•])(?:[ \t]?\1){4,}")
BLANKS = re.compile(r"[ \t\xa0\u2000-\u200a\u202f\u3000]+")


def normalised(text: str) -> str:
    """Mojibake mended; NFC; runs of blanks and of empty lines folded; ``_____`` and other drawn rules removed."""
    text = unicodedata.normalize("NFC", mended(text)).replace("\r\n", "\n").replace("\r", "\n").translate(INVISIBLE)
    text = BLANKS.sub(" ", RULE.sub(" ", text))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()


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
