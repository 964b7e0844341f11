"""The stop advisor: its curve, its bound, its verdicts."""

from __future__ import annotations

import pytest

from contracts.reports import Estimate
from evaluation.stop_advisor import Scored, advise, difference_points, student_line, tuning_line


def scored(name: str, hours: float, value: float, half: float = 0.001) -> Scored:
    return Scored(name, hours, Estimate(value=value, low=value - half, high=value + half, n=400))


CURVE = [scored("base", 1, 0.10), scored("cpt", 3, 0.30), scored("sft", 5, 0.42), scored("dpo", 9, 0.46)]


def test_the_difference_of_two_intervals_is_newcombes() -> None:
    # his example, 56 of 70 against 48 of 80: a difference of .2, .0524 to .3339 from the two Wilson intervals
    before = Estimate(value=0.6, low=0.4904, high=0.7004, n=80)
    after = Estimate(value=0.8, low=0.6918, high=0.8769, n=70)
    value, low, high = difference_points(before, after)
    assert value == pytest.approx(20)
    assert low == pytest.approx(5.24, abs=0.1)
    assert high == pytest.approx(33.39, abs=0.1)


def test_every_step_says_what_it_bought() -> None:
    advice = advise(CURVE)
    assert [(step.before.name, step.after.name, step.hours) for step in advice.steps] == [
        ("base", "cpt", 2), ("cpt", "sft", 2), ("sft", "dpo", 4),
    ]  # fmt: skip
    assert [step.points_per_hour for step in advice.steps] == pytest.approx([10, 6, 1])


def test_the_bound_is_the_least_of_the_mean_gains_and_scales_with_the_hours() -> None:
    # from dpo back: 4 points in 4 hours, 16 in 6, 36 in 8
    advice = advise(CURVE, worth_points=1)
    assert (advice.next_hours, advice.at_most_points) == (4, pytest.approx(4))
    assert advice.verdict == "GO ON"
    assert advise(CURVE, next_hours=0.5).at_most_points == pytest.approx(0.5)
    stop = advise(CURVE, next_hours=0.5, worth_points=1)
    assert stop.verdict == "STOP"
    assert "expected to add less than 0.5 points" in stop.sentence


def test_hours_that_gained_nothing_end_it() -> None:
    advice = advise([*CURVE, scored("more", 12, 0.44)])
    assert (advice.at_most_points, advice.verdict) == (0, "STOP")  # three hours since the best one brought nothing
    flat = advise([scored("a", 1, 0.5), scored("b", 9, 0.5)])
    assert (flat.verdict, flat.at_most_points) == ("STOP", 0)
    assert [one.name for one in flat.frontier] == ["a"]


def test_wide_intervals_leave_it_open() -> None:
    wide = [scored("a", 1, 0.50, 0.2), scored("b", 2, 0.505, 0.2)]
    assert advise(wide).verdict == "UNSURE"
    assert "within the intervals" in advise(wide).sentence


def test_there_is_no_more_room_than_up_to_the_whole_score() -> None:
    near = advise([scored("a", 1, 0.1), scored("b", 2, 0.995, 0.0)], next_hours=10)
    assert near.at_most_points == pytest.approx(0.5)
    assert near.verdict == "STOP"


@pytest.mark.parametrize("models", [[], CURVE[:1], [scored("a", 1, 0.1), scored("b", 1, 0.2)]])
def test_too_few_models_are_told(models: list[Scored]) -> None:
    advice = advise(models)
    assert advice.verdict == "TOO FEW"
    assert advice.at_most_points is None
    assert "Two models" in advice.sentence


def test_of_models_of_equal_hours_the_better_one_stands() -> None:
    advice = advise([scored("a", 1, 0.1), scored("b", 1, 0.2), scored("c", 2, 0.3)])
    assert [one.name for one in advice.frontier] == ["b", "c"]


def test_a_single_version_is_bound_by_a_beginning_at_zero() -> None:
    line = student_line("small", scored("dpo", 9, 0.46), [scored("small", 12, 0.40)], 10, 1, 1)
    assert line.advice.at_most_points == pytest.approx(20), "40 points in two hours: one more brings 20 at most"
    assert line.advice.verdict == "GO ON"
    assert line.start_assumed
    assert [(step.before.name, step.hours, round(step.points[0], 6)) for step in line.steps] == [("dpo", 3, -6)]


def test_a_further_version_says_more_than_the_assumed_beginning() -> None:
    versions = [scored("longer", 14, 0.402), scored("small", 12, 0.40)]
    line = student_line("small", scored("dpo", 9, 0.46), versions, 10, 2, 1)
    assert (line.advice.at_most_points, line.advice.verdict) == (pytest.approx(0.2), "STOP")
    assert not line.start_assumed
    assert [(step.before.name, step.after.name) for step in line.steps] == [("dpo", "small"), ("small", "longer")]


def test_a_student_that_scores_nothing_has_a_line_and_a_verdict() -> None:
    line = student_line("small", scored("dpo", 9, 0.46), [scored("small", 12, 0.0, 0.0)], 10, None, 1)
    assert (line.advice.at_most_points, line.advice.verdict, line.best) == (0, "STOP", ())
    assert [step.after.name for step in line.steps] == ["small"]


def test_students_leave_the_line_of_the_tuning_alone() -> None:
    line = tuning_line(CURVE, None, 1)
    assert (line.teacher, line.steps, line.best) == (None, line.advice.steps, tuple(CURVE))
    assert not line.start_assumed
