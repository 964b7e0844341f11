"""Where a gold value is printed, and the part of a document around it."""

from __future__ import annotations

import re
import unicodedata

from recipes.schema import Window

YEAR = re.compile(r"\b(19|20)\d\d\b")
MONTH = r"(january|february|march|april|may|june|july|august|september|october|november|december)"
HEADING = re.compile(rf"\b(19|20)\d\d\b|\b{MONTH}\b|\b(months|weeks|year|years|quarter) ended\b", re.IGNORECASE)
HEADING_LINES = 4
HEADING_CHARS = 200
CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
GLUED_START = r"(?:(?<!\w)|(?-i:(?<=[a-z0-9])(?=[A-Z])))"
GLUED_END = r"(?:(?!\w)|(?-i:(?<![A-Z])(?=[A-Z])))"
NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


def is_printed(value: object, text: str) -> bool:
    """True when the value stands in the text, not inside a longer word or number; case, blanks, table bars folded.

    A capital after a small letter or a digit begins the next cell of a table that was flattened, it does not go on with
    the word.
    """
    folded = _folded(str(value)).strip(" .,;:\"'")
    if not folded:
        return False
    forms = [re.escape(folded)]
    if folded.isdigit() and int(folded) < len(NUMBER_WORDS):
        forms.append(NUMBER_WORDS[int(folded)])
    pattern = rf"{GLUED_START}(?<!\d[.,])(?:{'|'.join(forms)}){GLUED_END}(?![.,]\d)"
    return re.search(pattern, _folded(text), re.IGNORECASE) is not None


def window_of(text: str, printed: str, about: str, window: Window) -> str | None:
    """The lines around ``printed``, on the line that shares most words with ``about``; None where it does not stand.

    Columns need their heading: where no year stands above the figure, the nearest line above with one comes first.
    """
    words = {word.casefold() for word in CAMEL.findall(about) if len(word) > 2}
    best: tuple[int, int] | None = None
    for found in re.finditer(_bounded(printed), text):
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()].casefold()
        score = sum(word in line for word in words)
        if best is None or score > best[0]:
            best = (score, found.start())
    if best is None:
        return None
    at = best[1]
    start, end = max(0, at - window.before_chars), min(len(text), at + len(printed) + window.after_chars)
    start = text.find("\n", start, at) + 1 or start if start else 0
    last = text.rfind("\n", at + len(printed), end)
    end = last if last > 0 and end < len(text) else end
    return (_heading(text, start, at) + text[start:end]).strip()


def _heading(text: str, start: int, at: int) -> str:
    """What must stand above ``text[start:]`` for its columns to be read: empty where the window begins with it."""
    before = text[:start].rstrip("\n").split("\n") if start else []
    inside = text[start : text.rfind("\n", 0, at) + 1].split("\n")
    if not YEAR.search("\n".join(inside)):
        while before and not (YEAR.search(before[-1]) and len(before[-1]) <= HEADING_CHARS):
            before.pop()
    elif not HEADING.search(inside[0]):
        return ""
    heading: list[str] = []
    while before and len(heading) < HEADING_LINES and len(before[-1]) <= HEADING_CHARS and HEADING.search(before[-1]):
        heading.insert(0, before.pop().strip())
    return "".join(f"{line}\n" for line in heading)


def _bounded(text: str) -> str:
    return rf"(?<!\w)(?<!\d[.,]){re.escape(text)}(?!\w)(?![.,]\d)"


def _folded(text: str) -> str:
    return re.sub(r"[\s|]+", " ", unicodedata.normalize("NFKC", text))
