"""The dashboard in a real Chromium: clicked, filtered, by keyboard, in the dark, on paper, with hostile names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from typer.testing import CliRunner

from flows.cli import app
from flows.dashboard.query import PAGES
from flows.settings import Settings
from tests.flows.dashboard_sample import CHAIN, HOSTILE, close_lease, fp, open_a_lease, sample_home
from tests.flows.dashboard_server import dashboard_of

pytestmark = pytest.mark.e2e
PANELS = ["", *(name for name in PAGES if name != "overview")]
SIDEWAYS = "return document.documentElement.scrollWidth > window.innerWidth"
A4_LANDSCAPE_PX = 1031
"""297 mm less two margins of 12, at 96 pixels an inch."""
INJECTED = "return window.injected"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return sample_home(tmp_path / "home")


@pytest.fixture
def site(settings: Settings) -> Iterator[str]:
    with dashboard_of(settings) as url:
        yield url


def until(browser: Any, holds: Callable[[Any], Any]) -> Any:
    return WebDriverWait(browser, 120).until(holds)


def headline(browser: Any) -> str:
    return str(browser.find_element(By.ID, "headline").text)


def elapsed(browser: Any, lease: str) -> str:
    """What the row of a lease says of its time; asked in one go, since the page replaces its cells."""
    return str(
        browser.execute_script(f"return document.querySelector('tr[data-lease=\"{lease}\"]').cells[4].textContent")
    )


def press(browser: Any, key: str) -> Any:
    """A key for whatever has the focus; what has it then."""
    ActionChains(browser).send_keys(key).perform()
    return browser.switch_to.active_element


def click(browser: Any, selector: str) -> None:
    """As a hand would: the driver scrolls to no part of a drawing by itself."""
    seen = browser.find_element(By.CSS_SELECTOR, selector)
    middle = "{block: 'center', inline: 'center', behavior: 'instant'}"
    browser.execute_script(f"arguments[0].scrollIntoView({middle})", seen)
    seen.click()


def complaints(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_a_click_leads_from_the_graph_to_an_artifact_and_on(browser: Any, site: str) -> None:
    browser.get(f"{site}/lineage?build=b1")
    boxes = browser.find_elements(By.CSS_SELECTOR, "svg.lineage a")
    assert len(boxes) == len(CHAIN)
    click(browser, f'a[data-artifact="{fp("merge:sft")}"]')
    until(browser, lambda one: one.current_url.startswith(f"{site}/artifacts/{fp('merge:sft')}"))
    assert "build=b1" in browser.current_url, "the filter stays"
    assert headline(browser) == "merge:sft: a model"
    assert browser.get_screenshot_as_png()[:4] == b"\x89PNG"
    click(browser, f'#users a[href*="{fp("student:small")}"]')
    until(browser, lambda one: headline(one) == "student:small: a model")
    assert complaints(browser) == []


def test_the_form_filters_and_the_url_holds_it(browser: Any, site: str) -> None:
    browser.get(f"{site}/spend")
    assert "$15.54" in headline(browser)
    Select(browser.find_element(By.NAME, "vertical")).select_by_value("real_estate")
    browser.find_element(By.CSS_SELECTOR, ".filter button").click()
    until(browser, lambda one: "vertical=real_estate" in one.current_url)
    assert headline(browser).startswith("$2.00 spent")
    browser.find_element(By.LINK_TEXT, "Overview").click()
    until(browser, lambda one: "/spend" not in one.current_url)
    assert "vertical=real_estate" in browser.current_url
    browser.refresh()
    assert headline(browser).startswith("$2.00 spent")
    browser.find_element(By.LINK_TEXT, "Clear").click()
    until(browser, lambda one: headline(one).startswith("$15.54"))


def test_running_leases_appear_and_go_while_the_focus_stays(browser: Any, settings: Settings, site: str) -> None:
    first = open_a_lease(settings, "dpo")
    browser.get(f"{site}/running")
    link = browser.find_element(By.CSS_SELECTOR, "#live tbody a")
    browser.execute_script("arguments[0].focus()", link)
    before = elapsed(browser, first)
    second = open_a_lease(settings, "sft", 5)
    until(browser, lambda one: one.find_elements(By.CSS_SELECTOR, f'tr[data-lease="{second}"]'))
    until(browser, lambda one: elapsed(one, first) != before)
    assert browser.execute_script("return document.activeElement === arguments[0]", link)
    assert headline(browser).startswith("2 stages running")
    assert "sft began" in browser.find_element(By.ID, "news").get_attribute("textContent")
    close_lease(settings, second)
    until(browser, lambda one: not one.find_elements(By.CSS_SELECTOR, f'tr[data-lease="{second}"]'))
    assert browser.execute_script("return document.activeElement === arguments[0]", link)
    assert complaints(browser) == []


def test_a_keyboard_is_enough(browser: Any, site: str) -> None:
    browser.get(f"{site}/lineage?build=b1")
    skip = press(browser, Keys.TAB)
    assert skip.text == "Skip to the figures"
    assert browser.execute_script("return arguments[0].getBoundingClientRect().top >= 0", skip), "it shows when focused"
    press(browser, Keys.ENTER)
    seen: list[str] = []
    for _ in range(45):
        active = press(browser, Keys.TAB)
        outline = "const s = getComputedStyle(arguments[0]); const b = arguments[0].matches('svg a') && " \
                  "arguments[0].querySelector('.box');" \
                  "return b ? getComputedStyle(b).strokeWidth : s.outlineStyle + s.outlineWidth"  # fmt: skip
        if active.get_attribute("type") == "date":  # the parts inside have marks of their own
            continue
        told = browser.execute_script(outline, active)
        assert told not in ("none0px", "1.2px"), active.get_attribute("outerHTML")[:200]
        seen.append(active.get_attribute("data-artifact") or active.tag_name)
        if active.get_attribute("data-artifact") == fp("sft"):
            break
    assert seen[-1] == fp("sft"), seen
    assert "select" in seen
    press(browser, Keys.ENTER)
    until(browser, lambda one: headline(one) == "sft: an adapter")


@pytest.mark.parametrize("width", [1200, 420])
def test_nothing_runs_out_of_the_page_or_complains(browser: Any, site: str, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    for path in [*PANELS, "builds/b1", f"artifacts/{fp('merge:sft')}"]:
        browser.get(f"{site}/{path}")
        assert not browser.execute_script(SIDEWAYS), path
    assert complaints(browser) == []
    fetched = "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))"
    browser.get(f"{site}/")
    assert browser.execute_script(fetched) == []


@pytest.mark.parametrize("media", ["print", "dark"])
def test_text_can_be_read_on_paper_and_in_the_dark(browser: Any, site: str, media: str) -> None:
    told = {"media": "print"} if media == "print" else {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", told)
    contrast = """
        const rgb = c => (c.match(/[\\d.]+/g) || []).slice(0, 3).map(Number);
        const part = v => v <= 10 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
        const light = c => { const [r, g, b] = rgb(c).map(part); return .2126 * r + .7152 * g + .0722 * b };
        const ratio = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);
        const paper = getComputedStyle(document.body).backgroundColor;
        return [...document.querySelectorAll('h1, h2, p, th, td, dd, figcaption')].filter(e => e.textContent.trim())
            .map(e => ratio(getComputedStyle(e).color, paper))
            .concat([...document.querySelectorAll('svg text')].map(e => ratio(getComputedStyle(e).fill, paper)));
    """
    for path in ("", "spend", "lineage?build=b1", "quality"):
        browser.get(f"{site}/{path}")
        assert min(browser.execute_script(contrast)) >= 4.5, path
        hidden = browser.execute_script("return getComputedStyle(document.querySelector('nav')).display === 'none'")
        assert hidden == (media == "print")


def test_a_page_on_paper_is_whole(browser: Any, site: str) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    paper = {"width": A4_LANDSCAPE_PX, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", paper)
    cut = """
        const width = document.documentElement.clientWidth;
        return [...document.querySelectorAll('table, svg.chart, svg.lineage')]
            .filter(one => one.getBoundingClientRect().right > width + 1).map(one => one.outerHTML.slice(0, 200));
    """
    closed = """
        return [...document.querySelectorAll('details table')].filter(one => !one.getBoundingClientRect().height).length
    """
    shown = "return [...document.querySelectorAll('.filter, .skip, nav')].filter(one => one.offsetParent).length"
    for path in [*PANELS, "builds/b1", f"artifacts/{fp('merge:sft')}"]:
        browser.get(f"{site}/{path}")
        assert browser.execute_script(cut) == [], path
        assert browser.execute_script(closed) == 0, path
        assert browser.execute_script(shown) == 0, path
        assert "Ledger sqlite" in browser.find_element(By.TAG_NAME, "footer").text, "whose figures, and of when"


def test_hostile_names_run_nothing(browser: Any, tmp_path: Path) -> None:
    settings = sample_home(tmp_path / "hostile", hostile=True)
    with dashboard_of(settings) as site:
        for path in PANELS:
            browser.get(f"{site}/{path}")
            assert browser.execute_script(INJECTED) is None, path
            assert browser.execute_script("return document.images.length") == 0
            assert not browser.execute_script(SIDEWAYS), path
        browser.get(f"{site}/spend")
        Select(browser.find_element(By.NAME, "vertical")).select_by_value(HOSTILE)
        browser.find_element(By.CSS_SELECTOR, ".filter button").click()
        until(browser, lambda one: "vertical=" in one.current_url)
        assert headline(browser).startswith("$2.00 spent")
        assert browser.execute_script(INJECTED) is None
        assert complaints(browser) == []


def test_the_export_opens_from_a_disk(browser: Any, settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = CliRunner().invoke(app, ["dashboard", "--export", str(out)], env={"STILLROOM_HOME": str(settings.home)})
    assert told.exit_code == 0, told.output
    browser.get((out / "index.html").as_uri())
    assert "$15.54" in headline(browser)
    assert browser.execute_script("return getComputedStyle(document.querySelector('.tile')).borderRadius") == "10px"
    browser.find_element(By.LINK_TEXT, "Lineage").click()
    browser.find_element(By.CSS_SELECTOR, f'a[data-artifact="{fp("sft")}"]').click()
    assert headline(browser) == "sft: an adapter"
    browser.find_element(By.LINK_TEXT, "Spend").click()
    browser.find_element(By.LINK_TEXT, "real_estate").click()
    assert headline(browser).startswith("$2.00 spent")
    assert browser.execute_script("return document.scripts.length") == 0
    assert complaints(browser) == []
