"""Predictions corrected by history: nearest runs first, robust against a spoilt one, and honest about how few."""

from __future__ import annotations

import pytest

from recipes.calibration import Calibration, Run, each_by_the_others

BAND = (50.0, 100.0, 200.0)


def run(stage: str, ratio: float, scale: str = "local", device: str = "cpu") -> Run:
    return Run(stage, device, scale, 10.0, 10.0 * ratio)


def test_without_history_the_published_bands_stand() -> None:
    assert Calibration().corrected("sft", "cpu", "local", BAND) == (BAND, "published bands")
    assert Calibration((run("sft", 2.0, device="H200"),)).corrected("sft", "cpu", "local", BAND)[0] == BAND


def test_the_nearest_runs_decide() -> None:
    known = Calibration((run("evaluate:base", 2.0), run("evaluate:sft", 3.0), run("sft", 5.0, "smoke")))
    for stage, expected, basis in (
        ("evaluate:base", 200.0, "evaluate:base at local"),
        ("evaluate:dpo", 250.0, "evaluate at local"),
        ("sft", 500.0, "sft at any scale"),
        ("cpt", 300.0, "all stages on cpu"),
    ):
        band, told = known.corrected(stage, "cpu", "local", BAND)
        assert band is not None and band[1] == pytest.approx(expected)
        assert basis in told


def test_one_spoilt_run_of_five_moves_nothing() -> None:
    sound = [run("sft", 2.0 + 0.01 * at) for at in range(4)]
    band, told = Calibration((*sound, run("sft", 40.0))).corrected("sft", "cpu", "local", BAND)
    assert band is not None and band[1] == pytest.approx(202.0)
    assert "5 runs" in told


def test_the_band_narrows_with_runs_and_widens_with_their_spread() -> None:
    def width(*ratios: float) -> float:
        band, _ = Calibration(tuple(run("sft", one) for one in ratios)).corrected("sft", "cpu", "local", BAND)
        assert band is not None
        return band[2] / band[0]

    assert width(2.0) > width(*[2.0] * 9)
    assert width(1.0, 2.0, 4.0, 8.0, 16.0) > width(2.0)


def test_a_stage_without_a_formula_takes_what_it_took() -> None:
    known = Calibration((Run("curate", "cpu", "local", None, 9.0), Run("curate", "cpu", "smoke", None, 90.0)))
    band, told = known.corrected("curate", "cpu", "local", None)
    assert band is not None and band[1] == 9.0 and "9.0 s, 1 run of curate at local" in told
    assert known.corrected("curate", "cpu", "production", None) == (None, "")


def test_each_build_is_predicted_by_the_others() -> None:
    one = [Run("sft", "cpu", "local", 10.0, 20.0, "a"), Run("write", "cpu", "local", None, 5.0, "a")]
    other = [Run("sft", "cpu", "local", 20.0, 44.0, "b")]
    first, second = each_by_the_others(Calibration((*one, *other)))
    assert (first.predicted_seconds, first.actual_seconds, first.unknown) == (22.0, 20.0, ("write",))
    assert first.error == pytest.approx(0.1) and second.error == pytest.approx(-1 / 11)
    assert each_by_the_others(Calibration(tuple(one))) == []
