"""What the quality rules look at, counted once a text: the definitions, in plain Python.

A faster counter must give the same record for every text; this one is the reference it is tested against.

Definitions, after Gopher (Rae et al. 2021, appendix A1.1), C4 (Raffel et al. 2020, section 2.2) and FineWeb (Penedo
et al. 2024, section 3.6), with the choice made here where those leave one open:

- *blank*: one of the six ASCII white space characters. *Token*: a run of anything else. *Word*: a token with a letter
  or digit, so that the bars and dashes of a table are none. Lengths are in code points.
- *line*: what ends at a newline, without blanks at its ends; empty ones do not count. *Paragraph*: what lies between
  empty lines. Two are the same where they are with ASCII letters folded.
- *n-gram*: n words in a row, ASCII letters folded. The top n-gram is the one that stands most often (of several the
  longest), counted only where it stands twice; its characters are its length with a blank between words, times its
  count. Duplicate n-grams are found from left to right and do not overlap: after one the search goes on behind it.
  Their characters are those of the words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

BLANK = " \t\n\r\x0b\x0c"
TOKEN = re.compile(r"[^ \t\n\r\x0b\x0c]+")
GOPHER_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
BULLETS = ("•", "-")
TERMINAL_MARKS = (".", "!", "?", '"', "'", "”", "’")
"""Those of FineWeb, and the quotation marks of set text."""
SHORT_LINE_CHARACTERS = 30
C4_MIN_LINE_WORDS = 3
C4_POLICY_PHRASES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
)  # fmt: skip
SENTENCE_END = re.compile(r"[.!?][\"'”’)]*(?=[ \t\r\x0b\x0c]|$)")
ASCII_FOLD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
TOP_SIZES = (2, 3, 4)
DUPLICATE_SIZES = (5, 6, 7, 8, 9, 10)


@dataclass(frozen=True)
class TextStatistics:
    """Counts of one text, all >= 0. Shares are made of them by the rules."""

    characters: int = 0
    visible_characters: int = 0
    """Not blank (Unicode's blanks count as blank here)."""
    symbol_characters: int = 0
    """Visible, and neither letter nor digit."""
    newlines: int = 0
    tokens: int = 0
    words: int = 0
    word_characters: int = 0
    alphabetic_words: int = 0
    """Words with at least one letter."""
    stop_words: int = 0
    """How many different ones of Gopher's eight stand in the text, punctuation at their ends aside."""
    hashes: int = 0
    ellipses: int = 0
    """``...`` (not overlapping) and ``…``."""
    curly_brackets: int = 0
    """``{`` only, as in C4."""
    lorem_ipsum: int = 0
    lines: int = 0
    bullet_lines: int = 0
    ellipsis_lines: int = 0
    terminal_lines: int = 0
    """Lines that end with a terminal mark."""
    short_lines: int = 0
    duplicate_lines: int = 0
    """Lines that stood before."""
    duplicate_line_characters: int = 0
    paragraphs: int = 0
    duplicate_paragraphs: int = 0
    duplicate_paragraph_characters: int = 0
    c4_sentences: int = 0
    """Sentences in the lines that C4 keeps: terminal mark, no ellipsis, three words, no script or policy notice."""
    top_2gram_characters: int = 0
    top_3gram_characters: int = 0
    top_4gram_characters: int = 0
    duplicate_5gram_characters: int = 0
    duplicate_6gram_characters: int = 0
    duplicate_7gram_characters: int = 0
    duplicate_8gram_characters: int = 0
    duplicate_9gram_characters: int = 0
    duplicate_10gram_characters: int = 0


NAMES = tuple(field.name for field in fields(TextStatistics))
ROW = np.dtype([(name, "<u4") for name in NAMES])
"""One text's counts as a row of a structured array, the fields in the record's order."""


def statistics_of(text: str) -> TextStatistics:
    """The record of one text."""
    tokens = TOKEN.findall(text)
    words = [token for token in tokens if any(map(str.isalnum, token))]
    visible = "".join(text.split())
    return TextStatistics(
        characters=len(text),
        visible_characters=len(visible),
        symbol_characters=len(visible) - sum(map(str.isalnum, visible)),
        newlines=text.count("\n"),
        tokens=len(tokens),
        words=len(words),
        word_characters=sum(map(len, words)),
        alphabetic_words=sum(any(map(str.isalpha, word)) for word in words),
        stop_words=len({_core(word) for word in words} & GOPHER_STOP_WORDS),
        hashes=text.count("#"),
        ellipses=text.count("...") + text.count("…"),
        curly_brackets=text.count("{"),
        lorem_ipsum=text.translate(ASCII_FOLD).count("lorem ipsum"),
        **_line_counts([line for line in (line.strip(BLANK) for line in text.split("\n")) if line]),
        **_paragraph_counts(text),
        **_ngram_counts([word.translate(ASCII_FOLD) for word in words]),
    )


def rows_of(statistics: list[TextStatistics]) -> np.ndarray:
    """Records as a structured array of ``ROW``."""
    return np.array([tuple(getattr(one, name) for name in NAMES) for one in statistics], dtype=ROW)


def _core(word: str) -> str:
    """A word without what is neither letter nor digit at its ends, ASCII letters folded."""
    start, end = 0, len(word)
    while not word[start].isalnum():
        start += 1
    while not word[end - 1].isalnum():
        end -= 1
    return word[start:end].translate(ASCII_FOLD)


def _line_counts(lines: list[str]) -> dict[str, int]:
    duplicates, characters = _repeats(lines)
    return {
        "lines": len(lines),
        "bullet_lines": sum(line.startswith(BULLETS) for line in lines),
        "ellipsis_lines": sum(line.endswith(("...", "…")) for line in lines),
        "terminal_lines": sum(line.endswith(TERMINAL_MARKS) for line in lines),
        "short_lines": sum(len(line) <= SHORT_LINE_CHARACTERS for line in lines),
        "duplicate_lines": duplicates,
        "duplicate_line_characters": characters,
        "c4_sentences": sum(map(_c4_sentences, lines)),
    }


def _c4_sentences(line: str) -> int:
    if not line.endswith(TERMINAL_MARKS) or line.endswith("...") or len(TOKEN.findall(line)) < C4_MIN_LINE_WORDS:
        return 0
    folded = line.translate(ASCII_FOLD)
    if "javascript" in folded or any(phrase in folded for phrase in C4_POLICY_PHRASES):
        return 0
    return max(1, len(SENTENCE_END.findall(line)))


def _paragraph_counts(text: str) -> dict[str, int]:
    lines = [line.strip(BLANK) for line in text.split("\n")]
    paragraphs = [paragraph.strip("\n") for paragraph in re.split(r"\n{2,}", "\n".join(lines))]
    paragraphs = [paragraph for paragraph in paragraphs if paragraph]
    duplicates, characters = _repeats(paragraphs)
    return {
        "paragraphs": len(paragraphs),
        "duplicate_paragraphs": duplicates,
        "duplicate_paragraph_characters": characters,
    }


def _repeats(elements: list[str]) -> tuple[int, int]:
    """How many elements stood before, and their characters."""
    counts = Counter(element.translate(ASCII_FOLD) for element in elements)
    again = [(one, count - 1) for one, count in counts.items() if count > 1]
    return sum(count for _, count in again), sum(len(one) * count for one, count in again)


def _ngram_counts(words: list[str]) -> dict[str, int]:
    """Characters in repeated n-grams. Where no n-gram stands twice, no longer one does."""
    found = {f"top_{size}gram_characters": 0 for size in TOP_SIZES}
    found |= {f"duplicate_{size}gram_characters": 0 for size in DUPLICATE_SIZES}
    numbers: dict[str, int] = {}
    ids = [numbers.setdefault(word, len(numbers)) for word in words]
    lengths = [len(word) for word in numbers]
    for size in (*TOP_SIZES, *DUPLICATE_SIZES):
        counts = Counter(_ngrams(ids, size))
        most = max(counts.values(), default=0)
        if most < 2:
            break
        if size in TOP_SIZES:
            longest = max(sum(lengths[one] for one in ngram) for ngram, count in counts.items() if count == most)
            found[f"top_{size}gram_characters"] = (longest + size - 1) * most
        else:
            found[f"duplicate_{size}gram_characters"] = _duplicate_characters(ids, lengths, size)
    return found


def _ngrams(ids: list[int], size: int) -> Iterator[tuple[int, ...]]:
    return zip(*(ids[start:] for start in range(size)), strict=False)


def _duplicate_characters(ids: list[int], lengths: list[int], size: int) -> int:
    ngrams = list(_ngrams(ids, size))
    seen: set[tuple[int, ...]] = set()
    characters = place = 0
    while place < len(ngrams):
        if ngrams[place] in seen:
            characters += sum(lengths[one] for one in ngrams[place])
            place += size
        else:
            seen.add(ngrams[place])
            place += 1
    return characters
