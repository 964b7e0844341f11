"""The card's page: whole, escaped, self-contained, and with what a reader looks for."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from contracts.curation_report import CurationCard, TextCounts
from data_curation.card_page import chars, render_card, share
from data_curation.card_samples import read, samples_of
from data_curation.curate import curate
from recipes.corpus import Corpus, Inbox
from recipes.ontology import Ontology
from tests.data_curation.corpus_sample import corpus, lease, section

HOSTILE = '<script>window.injected=1</script><a href="javascript:alert(1)">"x"</a>'
ONTOLOGY = Ontology.model_validate(
    {"concepts": {"monthly_rent": {"phrases": ["monthly rent"], "source": "a test"},
                  "property_tax": {"phrases": ["property tax"], "source": "a test"}}}
)  # fmt: skip
DROP = Corpus(source="A test", licence="CC0-1.0", dates={"first": "2020-01-01", "last": "2021-01-01"},
              jurisdiction="DE", language="en", personal_data=False)  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    rows = [lease(n) | {"signed": f"20{n:02d}"} for n in range(40)]
    copies = [lease(n) | {"id": f"copy-{n}", "text": lease(n)["text"] + " Copied."} for n in (1, 2)]
    hostile = [lease(50) | {"id": HOSTILE, "party": HOSTILE, "text": f"{lease(50)['text']} {HOSTILE}"}]
    made = section(corpus(folder / "corpus", [*rows, *copies, *hostile, {"id": "short", "text": HOSTILE}]))
    dated = made.sources | {"leases": made.sources["leases"].model_copy(update={"date": "signed"})}
    inbox = Inbox(drops={"leases.jsonl": DROP}, quarantined={"later": HOSTILE})
    (folder / "out").mkdir()
    curate(made.model_copy(update={"sources": dated, "ontology": ONTOLOGY, "inbox": inbox}), {}, folder / "out")
    return folder / "out"


@pytest.fixture
def page(out: Path) -> str:
    return (out / "card.html").read_text(encoding="utf-8")


def test_every_part_is_there(page: str) -> None:
    anchors = re.findall(r'<li><a href="#(\w+)">', page)
    assert anchors == re.findall(r'<section id="(\w+)">', page)
    assert set(anchors) >= {
        "sources",
        "reasons",
        "lengths",
        "duplicates",
        "coverage",
        "licences",
        "removed",
        "examples",
    }
    assert "property tax <b>missing</b>" in page
    assert "<th>DE</th>" in page


def test_near_duplicates_stand_side_by_side_with_their_difference_marked(page: str) -> None:
    assert "kept: leases/lease-1<" in page
    assert "removed: leases/copy-1<" in page
    assert "<mark>Copied.</mark>" in page


def test_nothing_shown_is_read_as_markup(page: str) -> None:
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert html.escape("<script>window.injected=1</script>", quote=False) in page


def test_it_asks_nobody_for_anything(page: str) -> None:
    assert "http://" not in page and "https://" not in page
    assert "default-src 'none'" in page
    assert len(page) < 200_000


@pytest.mark.parametrize("part", [name for name, field in CurationCard.model_fields.items() if not field.is_required()])
def test_any_part_may_be_missing(out: Path, part: str) -> None:
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    left: dict[str, Any] = {name: getattr(card, name) for name in CurationCard.model_fields if name != part}
    assert "</html>" in render_card(CurationCard(**left), samples_of(out, card))


def test_personal_data_is_counted_and_never_shown(out: Path) -> None:
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    counts = TextCounts(
        personal_data={"email": 7}, kept={"ticker": 3}, languages={"en": 9}, numbers_before=40, numbers_after=39
    )
    page = render_card(card.model_copy(update={"texts": {"leases": counts}}), read(out))
    assert '<td>email</td><td class="n">7</td><td class="soft">leases 7</td>' in page
    assert "97.500 %" in page


@pytest.mark.parametrize(("value", "told"), [(1, "1"), (512, "512"), (4096, "4k"), (1 << 21, "2M")])
def test_axis(value: int, told: str) -> None:
    assert chars(value) == told


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 0, "0 %"), (1, 3, "33 %"), (999, 1000, "99.9 %"), (1, 1000, "0.1 %"), (5, 5, "100 %")],
)
def test_a_share_is_whole_only_where_it_is(part: int, whole: int, told: str) -> None:
    assert share(part, whole) == told


@pytest.mark.e2e
def test_the_page_in_a_real_browser(out: Path, browser: Any) -> None:
    browser.get((out / "card.html").as_uri())
    assert browser.execute_script("return window.injected") is None
    assert browser.execute_script("return document.querySelectorAll('script, a[href^=javascript]').length") == 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    drawn = "return [...document.querySelectorAll('.chart i')].filter(e => e.getBoundingClientRect().height > 2).length"
    assert browser.execute_script(drawn) >= 3, "the histogram has columns"
    side = "const [a, b] = document.querySelector('.pair').children; return b.offsetLeft - a.offsetLeft - a.offsetWidth"
    assert browser.execute_script(side) >= 0, "the pair stands side by side"
    assert len(browser.get_screenshot_as_png()) > 20_000
