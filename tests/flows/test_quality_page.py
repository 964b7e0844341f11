"""The quality page's curves: the tuning as one line, each student as one of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation.stop_advisor import Line
from flows.dashboard.quality_page import Curve, quality
from flows.dashboard.query import parse
from flows.dashboard.source import Source
from flows.settings import Settings
from ledger import Ledger
from ledger.budgets import withdraw_budget
from tests.flows.dashboard_sample import HOUR, NOON, add_stages, fp, sample_home

BEFORE = 0.25 + 2.0 + 0.5 + 0.1 + 0.2
"""GPU-hours in the student before its own training: base, SFT and its failed attempt, merge, the distilled set."""


def curve_of(settings: Settings, **words: str) -> Curve:
    page = quality(Source(settings), parse(words))
    (curve,) = page.told["curves"]
    assert isinstance(curve, Curve)
    return curve


def steps_of(line: Line) -> list[tuple[str, str, float, float]]:
    return [(step.before.name, step.after.name, round(step.hours, 6), round(step.points[0], 6)) for step in line.steps]


def test_a_student_has_a_line_of_its_own_from_its_teacher_on(tmp_path: Path) -> None:
    curve = curve_of(sample_home(tmp_path / "home"))
    tuning, student = curve.lines
    assert [one.name for one in tuning.models] == ["base", "sft"]
    assert steps_of(tuning) == [("base", "sft", 2.6, 80.0)]
    assert student.teacher == tuning.models[1]
    assert steps_of(student) == [("sft", "small", 3.2, 0.5)]
    assert student.advice.spent_hours == pytest.approx(BEFORE + 3)
    assert student.advice.next_hours == pytest.approx(3), "as much as its own training took"
    assert (len(curve.figure.ways), {dot.series for dot in curve.figure.dots}) == (2, {0, 1})


def test_versions_of_a_student_are_weighed_against_each_other_alone(tmp_path: Path) -> None:
    settings = sample_home(tmp_path / "home")
    longer = (
        ("student:small", "model", {"teacher": "merge:sft", "distilled": "distil"}, 6.0, {}),
        ("evaluate:small", "evaluation", {"model": "student:small", "corpus": "curate"}, 0.1, {"score": 0.908}),
        ("student:tiny", "model", {"teacher": "merge:sft", "distilled": "distil"}, 1.0, {}),
        ("evaluate:tiny", "evaluation", {"model": "student:tiny", "corpus": "curate"}, 0.1, {"score": 0.4}),
    )
    withdraw_budget(Ledger.open(settings.ledger), "finance-month")  # it would not bear them
    add_stages(settings, "b2", longer, NOON + 42 * HOUR, prefix="g")
    tuning, small, tiny = curve_of(settings, worth="1", hours="3").lines
    assert steps_of(small) == [("sft", "small", 3.2, 0.5), ("small", "small", 3.0, 0.3)]
    assert small.advice.at_most_points == pytest.approx(0.3), "three hours brought .3, three more no more than that"
    assert small.advice.verdict == "UNSURE"
    assert (small.start_assumed, tiny.start_assumed) == (False, True)
    assert steps_of(tiny) == [("sft", "tiny", 1.2, -50.0)], "what it lost to its teacher is said"
    assert tuning.advice.verdict == "GO ON"


def test_students_alone_have_lines_without_a_teacher(tmp_path: Path) -> None:
    settings = sample_home(tmp_path / "home")
    for name in ("evaluate:base", "evaluate:sft"):
        (record,) = (settings.home / "store").glob(f"*/{fp(name)}*/artifact.json")
        told = json.loads(record.read_text())
        told["section"] = {}
        record.write_text(json.dumps(told))
    (student,) = curve_of(settings).lines
    assert (student.name, student.teacher, steps_of(student)) == ("small", None, [])
