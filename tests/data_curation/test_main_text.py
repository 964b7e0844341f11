"""Main text of pages: what must stay, what must go, and the rows of tables that must hold together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_curation.html_text import html_to_text
from data_curation.main_text import main_text

PAGES = Path(__file__).parent / "pages"
NAMES = sorted(page.stem for page in PAGES.glob("*.html"))


def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PAGES / f"{name}.yaml").read_text("utf-8"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_pages_text_stays_and_what_is_beside_it_goes(name: str) -> None:
    case = expected(name)
    text = main_text((PAGES / f"{name}.html").read_bytes())
    flat = " ".join(text.split())
    assert [piece for piece in case["keep"] if " ".join(piece.split()) not in flat] == []
    assert [piece for piece in case["drop"] if piece in flat] == []
    for row in case.get("rows", []):
        assert any(all(cell in line.split(" | ") for cell in row) for line in text.split("\n")), row


def test_where_markup_says_nothing_the_page_is_whole() -> None:
    for page in ("<p>One</p><p>Two</p>", "<div class=navbar>Everything is in here", "<nav>All of it.</nav><p>.</p>"):
        assert main_text(page) == html_to_text(page)


def test_nested_elements_of_one_tag_end_where_they_end() -> None:
    page = "<div class='menu'><div>a</div><div><div>b</div></div></div><div>The text stays, all of it.</div>"
    assert main_text(page) == "The text stays, all of it."


@pytest.mark.parametrize(
    "page", ["", "<", "<nav>", b"\xff\xfe<p>x", "<div class='menu'>" * 5000 + "x", "</nav>" * 100, "<p class=>x"]
)
def test_broken_pages_end_in_a_text(page: str | bytes) -> None:
    assert isinstance(main_text(page), str)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["MCD_10-Q.html", "RKT_10-Q.html"])
def test_every_tagged_figure_of_a_real_filing_survives(shared_data: Path, name: str) -> None:
    html = (shared_data / "finance" / "sec_raw_html" / name).read_text("utf-8")
    figures = re.findall(r"<ix:nonFraction[^>]*>(?:<[^>]*>)*([\d,.]+)<", html)
    text = main_text(html)
    printed = set(re.findall(r"[\d,.]*\d", text))
    assert len(figures) > 500 and not {one.strip(".,") for one in figures} - printed
    assert len(text) > 0.97 * len(html_to_text(html))
