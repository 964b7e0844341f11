"""The main text of a page: what ``html_text`` reads, without what the markup itself calls navigation, footer, banner.

Only markup decides, never a guess by density of links: such guesses cost lists and short paragraphs of the pages in
``tests/data_curation/pages`` (figures in ``docs/log.md``), and a filing's tables are nothing but short lines. Where the
rest would be too little, or an element never ends, the whole page is kept.
"""

from __future__ import annotations

import re

from data_curation.html_text import TextOf, html_to_text, text_of_page

DROPPED = {"nav", "footer", "aside", "button", "select", "dialog", "iframe", "menu"}
JUDGED_BY_NAME = {"div", "section", "header", "ul", "ol", "form", "span"}
"""Elements that always end with a tag of their own: a cell or a paragraph may not, and would take the rest with it."""
NAMES = {
    "nav", "navbar", "navigation", "menu", "sidebar", "breadcrumb", "breadcrumbs", "footer", "cookie", "cookies",
    "consent", "gdpr", "newsletter", "subscribe", "related", "recommended", "share", "sharing", "social", "comments",
    "advert", "advertisement", "ads", "banner", "popup", "modal", "masthead", "pagination", "pager", "toolbar", "promo",
}  # fmt: skip
ROLES = {"navigation", "banner", "contentinfo", "complementary", "search", "dialog", "menu", "menubar"}
HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
LEAST_SHARE = 0.25
"""Of the page's text; less is no main text but a page built otherwise."""
Attributes = list[tuple[str, str | None]]


class _MainOf(TextOf):
    def __init__(self) -> None:
        super().__init__()
        self.skipped = ""
        self.depth = 0
        self.beside_chars = 0

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        if self.skipped:
            self.depth += tag == self.skipped
        elif is_beside(tag, attrs):
            self.skipped, self.depth = tag, 1
        else:
            super().handle_starttag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        if not self.skipped:
            super().handle_startendtag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.skipped:
            super().handle_endtag(tag)
        elif tag == self.skipped:
            self.depth -= 1
            if not self.depth:
                self.skipped = ""
                self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self.skipped:
            self.beside_chars += len(data)
        else:
            super().handle_data(data)


def main_text(html: bytes | str) -> str:
    """The main text of a page, one block a line, cells parted by `` | ``. Bytes are read as UTF-8.

    Raises Unreadable as ``html_to_text`` does.
    """
    page = html.decode("utf-8", "replace") if isinstance(html, bytes) else html
    parser = _MainOf()
    main = text_of_page(page, parser)
    too_little = len(main) < LEAST_SHARE * (len(main) + parser.beside_chars)
    return html_to_text(page) if parser.skipped or too_little else main


def is_beside(tag: str, attrs: Attributes) -> bool:
    """Whether an element says of itself that it stands beside the main text."""
    if tag in DROPPED:
        return True
    if tag not in JUDGED_BY_NAME:
        return False
    given = {name: value or "" for name, value in attrs}
    if given.get("role", "").lower() in ROLES or "hidden" in given or HIDDEN.search(given.get("style", "")):
        return True
    names = f"{given.get('class', '')} {given.get('id', '')}".lower()
    return not NAMES.isdisjoint(re.split(r"[^a-z0-9]+", names))
