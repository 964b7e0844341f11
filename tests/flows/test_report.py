"""The build report's page: whole, escaped, self-contained, and there for a build that stopped half-way."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.build_report import BuildReport, StageLine
from contracts.errors import PublishError
from contracts.serving_report import Knee
from flows import report_figures
from flows.report import knee_load, markdown_summary, render_page, write_page
from flows.report_tables import forgetting, invented_told, retention, served, suites
from tests.flows.build_sample import whole_build

HOSTILE = '<script>window.injected=1</script><a href="javascript:alert(1)">"x"</a>'


def empty_build() -> BuildReport:
    return BuildReport(
        build_id="b1",
        vertical="real_estate",
        scale="smoke",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        stopped_at="curate",
        stop_reason="corpus: is empty, got 0 documents\n\nhint: give --corpus a folder with documents",
        synthetic_input=True,
    )


def hostile_build() -> BuildReport:
    """Every name that comes from outside is an attack."""
    build = whole_build()
    rename = {"dpo": HOSTILE, "student-7B": HOSTILE + "7"}
    card = build.curation
    assert card is not None
    return build.model_copy(
        update={
            "teacher": HOSTILE,
            "students": ["student-14B", HOSTILE + "7"],
            "evaluations": [
                one.model_copy(update={"model": rename.get(one.model, one.model)}) for one in build.evaluations
            ],
            "curation": card.model_copy(
                update={
                    "sources": [one.model_copy(update={"source": HOSTILE}) for one in card.sources],
                    "quarantined": {HOSTILE: HOSTILE},
                }
            ),
            "servings": [one.model_copy(update={"model": HOSTILE, "flags": [HOSTILE]}) for one in build.servings],
            "stages": [
                StageLine(stage=HOSTILE, error=HOSTILE, device=HOSTILE, device_seconds=1, metrics={HOSTILE: HOSTILE})
            ],
            "losses": {HOSTILE: [(0.0, 1.0), (1.0, 0.5)]},
            "licences": {HOSTILE: HOSTILE},
            "notes": [HOSTILE],
        }
    )  # fmt: skip


def data_part(page: str) -> str:
    """The page without plotly's own script, which holds strings like ``</script>`` and addresses of its own."""
    return re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.DOTALL)


def test_page_is_one_file_with_plotly_once() -> None:
    page = render_page(whole_build())
    assert page.count("plotly.js v") == 1
    assert len(re.findall(r'<div id="figure-[a-z]+"', page)) == 6
    for tag in ("src=", "<link", "@import", "url(", "http://", "https://"):
        assert tag not in data_part(page), tag


def test_every_part_is_named_in_the_contents() -> None:
    page = data_part(render_page(whole_build()))
    anchors = re.findall(r'<a href="#([a-z]+)">', page)
    assert anchors == re.findall(r'<section id="([a-z]+)">', page)
    assert len(anchors) == 11


def test_hostile_names_are_escaped() -> None:
    page = data_part(render_page(hostile_build()))
    assert "<script>window.injected" not in page
    assert 'javascript:alert(1)">' not in page
    assert html.escape("<script>window.injected=1</script>") in page
    assert "<script>" not in markdown_summary(hostile_build())


def test_a_build_that_stopped_says_where() -> None:
    page = render_page(empty_build())
    assert "Stopped at curate." in page
    assert "corpus: is empty, got 0 documents" in page
    assert "Synthetic documents." in page
    assert len(page) < 50_000, "without a figure there is no plotting script"
    assert "**Stopped at curate**" in markdown_summary(empty_build())


@pytest.mark.parametrize("part", [name for name, field in BuildReport.model_fields.items() if not field.is_required()])
def test_any_part_may_be_missing(part: str) -> None:
    build = whole_build()
    left: dict[str, Any] = {name: getattr(build, name) for name in BuildReport.model_fields if name != part}
    assert "</html>" in render_page(BuildReport(**left))
    assert markdown_summary(BuildReport(**left))


def test_retention_and_its_interval() -> None:
    kept = {row["student"]: row for row in retention(whole_build())}
    assert kept["student-14B"]["kept"] == pytest.approx(0.917 / 0.944)
    assert kept["student-14B"]["met"] is True
    assert kept["student-7B"]["met"] is False
    # the paired difference is -0.142 +- 0.02 of a teacher of 0.944
    assert kept["student-7B"]["low"] == pytest.approx(1 - 0.162 / 0.944)
    assert kept["student-7B"]["high"] == pytest.approx(1 - 0.122 / 0.944)
    # 90 % are asked of it, and its interval ends at 87 %; 95 % of the other, whose interval begins at 95.0 %
    assert kept["student-7B"]["certain"] is True
    assert "85.0 % (82.8 % to 87.1 %)" in markdown_summary(whole_build())
    strict = whole_build().model_copy(update={"retention_floors": {"student-14B": 0.96}})
    (row,) = [one for one in retention(strict) if one["student"] == "student-14B"]
    assert (row["met"], row["certain"]) == (True, False)
    assert "kept, not certain" in render_page(strict)


def test_forgetting_is_counted_from_the_base() -> None:
    change = {row["model"]: (row["change"], row["over"]) for row in forgetting(whole_build())}
    assert change["base"] == (0.0, False)
    assert change["dpo"][0] == pytest.approx(-0.025)
    assert change["dpo"][1] is False
    assert change["student-7B"][0] == pytest.approx(-0.1)
    assert change["student-7B"][1] is None, "the budget is the teacher's"
    tight = whole_build().model_copy(update={"forgetting_budget": 0.02})
    assert {row["model"] for row in forgetting(tight) if row["over"]} == {"dpo"}


def test_what_a_gate_changed_stands_beside_its_verdict() -> None:
    gate = next(one for one in whole_build().comparisons if one.challenger == "dpo")
    told = invented_told(gate)
    # 32 of 128 before, and what the sample's difference makes of them
    assert told.startswith("32 to ") and told.endswith(" of 128: 9 answers lost theirs, 2 got one")
    page, markdown = data_part(render_page(whole_build())), markdown_summary(whole_build())
    assert told in page and told in markdown
    assert "Every suite and metric, paired" in page
    old = gate.model_copy(update={"changes": []})
    assert invented_told(old) == ""
    assert "Every suite and metric" not in render_page(whole_build().model_copy(update={"comparisons": [old]}))


def test_best_score_is_the_least_rate_of_invented_numbers() -> None:
    table = suites(whole_build())[0]
    assert table["name"] == "cover_page"
    assert table["best"]["field_f1"] == 0.944
    assert table["best"]["invented_number_rate"] == pytest.approx((1 - 0.944) / 4)


def test_speed_is_compared_at_the_same_concurrency() -> None:
    rows = {row["card"].model: row for row in served(whole_build())}
    assert rows["dpo"]["speedup"] == 1.0
    assert rows["student-7B"]["speedup"] == pytest.approx(2.6)


def test_the_slo_knee_stands_in_the_page_and_in_the_markdown() -> None:
    page, markdown = data_part(render_page(whole_build())), markdown_summary(whole_build())
    for told in (
        "1 request/s: 97 % of 480 requests within the SLO, 90 % asked; at 2 requests/s 71 %",
        "none of the concurrencies held it: at best 62 % of 48 requests within the SLO, 90 % asked",
        "the highest load tried, so the knee is there or above; too few requests to be sure",
        "8 streams: 41.0 to 60.2 output tokens a second over 3 repeats, 37 % of the median",
    ):
        assert told in page, told
        assert told in markdown, told
    assert "2 requests/s or more" in page
    assert "| student-14B | 48.0 at 1 stream | 1.40 x |" in markdown


def test_knee_in_short() -> None:
    assert knee_load(Knee(kind="rate", asked=0.9)) == "no rate tried"
    assert knee_load(Knee(kind="rate", asked=0.9, load=4, next_load=8)) == "4 requests/s"
    assert knee_load(Knee(kind="concurrency", asked=0.9, load=1)) == "1 stream or more"


def test_the_serving_chart_rings_the_knee_and_bars_the_repeats() -> None:
    cards = whole_build().servings
    figure = report_figures.serving(cards, "rate")
    assert figure is not None
    rings = [trace for trace in figure.data if trace.name == "SLO knee"]
    # in each of the three plots at the loads of the three models' knees, once in the legend
    assert [list(ring.x) for ring in rings] == [[1.0, 1.0, 2.0]] * 3
    assert [ring.showlegend for ring in rings] == [True, False, False]
    rates = [card.points[5].output_tokens_per_second for card in cards[:2]] + [
        cards[2].points[6].output_tokens_per_second
    ]
    assert list(rings[0].y) == rates
    line = next(trace for trace in figure.data if trace.name == "dpo")
    assert line.error_y.array[0] == pytest.approx(0.08 * line.y[0])
    assert line.error_y.arrayminus[0] == pytest.approx(0.06 * line.y[0])
    # none of the concurrencies held it: nothing to ring
    closed = report_figures.serving(cards, "concurrency")
    assert closed is not None
    assert "SLO knee" not in {trace.name for trace in closed.data}


def test_cards_of_one_repeat_and_without_a_knee_are_shown_as_before() -> None:
    build = whole_build()
    old = [
        card.model_copy(
            update={
                "knees": [],
                "disagreements": [],
                "points": [point.model_copy(update={"repeats": 1, "spreads": {}}) for point in card.points],
            }
        )
        for card in build.servings
    ]
    page = data_part(render_page(build.model_copy(update={"servings": old})))
    assert "SLO knee" not in page
    assert "repeats" not in page


def test_cpu_and_gpu_time_stay_apart() -> None:
    lines = [
        StageLine(stage="curate", device_seconds=10),
        StageLine(stage="sft", device="NVIDIA H100", device_seconds=3600, usd=3.0, wasted_device_seconds=60),
    ]
    build = empty_build().model_copy(update={"stages": lines})
    assert build.seconds(gpu=False) == 10
    assert build.seconds(gpu=True) == 3600
    assert build.usd == 3.0
    assert "Total: 10.0 s of CPU, 1 h 0 min of GPU, $3.00; saved by cache 0 s, wasted 1 min 0 s." in markdown_summary(
        build
    )


def test_page_replaces_its_forerunner_whole(tmp_path: Path) -> None:
    out = write_page(empty_build(), tmp_path / "builds" / "report.html")
    out.write_text("old", encoding="utf-8")
    write_page(empty_build(), out)
    assert out.read_text(encoding="utf-8").endswith("</html>")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PublishError, match="the report could not be written"):
        write_page(empty_build(), tmp_path / "file" / "report.html")


def test_report_survives_its_json() -> None:
    build = whole_build()
    assert BuildReport.model_validate_json(build.model_dump_json()) == build


@pytest.mark.e2e
@pytest.mark.parametrize("build", [whole_build(), hostile_build(), empty_build()], ids=["whole", "hostile", "stopped"])
def test_the_page_in_a_real_browser(build: BuildReport, browser: Any, tmp_path: Path) -> None:
    page = write_page(build, tmp_path / "report.html")
    browser.get(page.as_uri())
    figures = render_page(build).count('<div id="figure-')
    drawn = "return document.querySelectorAll('.plotly-graph-div:has(svg.main-svg path)').length"
    assert browser.execute_script(drawn) == figures
    assert browser.execute_script("return window.injected") is None
    assert browser.execute_script("return document.querySelectorAll('a[href^=javascript]').length") == 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    fetched = "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))"
    assert browser.execute_script(fetched) == []
    # nothing runs out of the page sideways
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
