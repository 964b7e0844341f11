"""The planner learns from the ledger: what was done whole counts, what was killed or of another schema does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.usage import Usage
from flows.build import opened
from flows.cli import app
from flows.history import history
from flows.plan import plan
from flows.settings import Settings
from ledger import estimate_lines
from recipes.load import load


def booked(tmp_path: Path, build: str, *ends: tuple[str, int]) -> Settings:
    """A build in a real ledger, its stages opened and closed with these exit codes."""
    settings = Settings(home=tmp_path / "home")
    with opened(build, load("finance", "smoke"), settings, None, "", "") as running:
        for at, (stage, code) in enumerate(ends):
            lease = running.open_lease(stage, f"{build}{at}", device=True)
            running.ledger.close(lease.id, code, Usage(device=lease.device))
    return settings


def test_whole_attempts_are_compared_with_todays_formulas(tmp_path: Path) -> None:
    settings = booked(tmp_path, "one", ("sft", 0), ("dpo", 1), ("curate", 0))
    found, told = history(settings)
    assert told == []
    assert {(one.stage, one.predicted_seconds is None) for one in found.runs} == {("sft", False), ("curate", True)}
    made = plan(load("finance", "smoke"), settings, None)
    assert made.calibration == "calibrated by 2 stage runs of the ledger on cpu"
    assert next(one for one in made.stages if one.stage == "sft").basis.endswith("1 run of sft at smoke, within 29%")
    assert next(one for one in made.stages if one.stage == "curate").device_seconds is not None


def test_a_recipe_that_is_none_of_todays_is_left_out(tmp_path: Path) -> None:
    settings = booked(tmp_path, "one", ("sft", 0))
    place = settings.home / "builds" / "one" / "recipe.json"
    kept = json.loads(place.read_text())
    unknown = kept | {"selection": kept["selection"] | {"candidates": ["a model that left the catalogue"]}}
    for text in ('{"vertical": "finance", "gone": 1}', "[1", "[]", json.dumps(unknown), "\udcff"):
        place.write_text(text, errors="surrogateescape")
        assert history(settings)[0].runs == ()
    place.write_text(json.dumps(kept))
    assert len(history(settings)[0].runs) == 1


@pytest.mark.parametrize("content", [b"not a database at all, and long enough to be looked at" * 40, b""])
def test_a_ledger_that_cannot_be_read_leaves_a_plan_with_a_note(tmp_path: Path, content: bytes) -> None:
    settings = booked(tmp_path, "one", ("sft", 0))
    for path in settings.home.glob("ledger.sqlite3*"):
        path.unlink()
    (settings.home / "ledger.sqlite3").write_bytes(content)
    made = plan(load("finance", "smoke"), settings, None)
    assert made.calibration.startswith("no whole run")
    assert any(note.startswith("planned without ") for note in made.notes)


def test_a_plan_leaves_no_trace(tmp_path: Path) -> None:
    plan(load("finance", "smoke"), Settings(home=tmp_path / "home"), None)
    assert not (tmp_path / "home").exists()


def test_the_next_builds_estimate_is_the_corrected_one(tmp_path: Path) -> None:
    settings = booked(tmp_path, "one", ("sft", 0))
    found, _ = history(settings)
    (run,) = found.runs
    with opened("two", load("finance", "smoke"), settings, None, "", "") as running:
        running.calibration = found
        running.open_lease("sft", "f", device=True)
        (line,) = estimate_lines(running.ledger, "two")
    assert line.estimated_device_seconds == pytest.approx(run.actual_seconds)


def test_what_was_learned_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    booked(tmp_path, "first", ("sft", 0), ("curate", 0))
    booked(tmp_path, "second", ("sft", 0), ("[red]", 0))
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    runner = CliRunner(env={"COLUMNS": "180"})
    shown = runner.invoke(app, ["plan", "history"]).output
    assert "2 runs of sft at smoke" in shown and "each build as the others predict it" in shown and "[red]" in shown
    told = json.loads(runner.invoke(app, ["plan", "history", "--json"]).stdout)
    assert {one["build"]: one["unknown"] for one in told["builds"]} == {"first": ["curate"], "second": ["[red]"]}
