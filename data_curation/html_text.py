"""HTML to text: block elements become lines, table cells are parted by `` | ``, scripts and styles are dropped.

Python's parser is linear on what closes and quadratic on what does not (a million ``<!--``): the open end of a page is
stripped by one pattern instead.
"""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

from data_curation.opening import Unreadable

DROPPED = {"script", "style", "noscript", "template", "svg", "head", "ix:header"}
BLOCKS = {
    "p", "div", "br", "hr", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article",
    "header", "footer", "pre", "blockquote", "dt", "dd", "title", "body",
}  # fmt: skip
CELLS = {"td", "th"}
TAG_LIMIT = 5_000_000
"""A page of ten seconds. An annual report with every figure tagged has 300,000."""
OPEN_END_CHARS = 4_096
"""An unclosed construct up to here is left to the parser."""
TAG = re.compile(r"<[^<>]*>?")
LONG_REFERENCE = re.compile(r"&#(?:\d{8,}|[xX][0-9a-fA-F]{7,});?")
"""No character has so many digits, and Python refuses to read a number of 5,000."""


class TextOf(HTMLParser):
    """Collects the visible text of a page in ``parts``."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.dropping: list[str] = []
        self.open: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED:
            self.dropping.append(tag)
            self.open[tag] += 1
        elif tag in BLOCKS:
            self.parts.append("\n")
        elif tag in CELLS:
            self.parts.append(" | ")  # a cell need not have an end tag

    def handle_endtag(self, tag: str) -> None:
        if self.open[tag] and tag in DROPPED:
            last = ""
            while last != tag:
                last = self.dropping.pop()
                self.open[last] -= 1
        elif tag in BLOCKS:
            self.parts.append("\n")
        elif tag in CELLS:
            self.parts.append(" | ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.dropping:
            self.parts.append(re.sub(r"\s+", " ", data))

    def end(self) -> None:
        """Close, whatever is open."""
        if len(self.rawdata) > OPEN_END_CHARS:
            self.rawdata, rest = "", self.rawdata
            self.handle_data(TAG.sub(" ", rest))
        self.close()


def html_to_text(html: str) -> str:
    """The visible text of a page. Broken markup is read as browsers do: what can be read is kept.

    Raises Unreadable for more tags than ``TAG_LIMIT``.
    """
    return text_of_page(html, TextOf())


def text_of_page(html: str, parser: TextOf) -> str:
    """What a parser makes of a page, its lines and cells tidied. Raises Unreadable for more tags than ``TAG_LIMIT``."""
    if html.count("<") > TAG_LIMIT:
        raise Unreadable("page", f"more than {TAG_LIMIT:,} tags")
    try:
        parser.feed(LONG_REFERENCE.sub("\ufffd", html))
        parser.end()
    except AssertionError as error:  # the parser's way to say "unknown declaration"
        raise Unreadable("page", f"broken HTML: {error}") from None
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in "".join(parser.parts).split("\n"))
    cells = (re.sub(r"(\s*\|\s*)+", " | ", line).strip(" |") for line in lines)
    return "\n".join(line for line in cells if line)
