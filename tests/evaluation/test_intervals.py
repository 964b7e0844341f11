"""Bootstrap and McNemar against known values."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.intervals import bootstrap, mcnemar_exact, mean, micro_f1, paired_difference, paired_ratio


def rates(values: list[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    return np.stack([values, np.ones_like(values)], axis=1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        estimate = bootstrap(rates(rng.random(80) < 0.7), mean, 300, trial)
        covered += estimate.low <= 0.7 <= estimate.high
    assert 0.90 <= covered / 300 <= 0.985


def test_the_paired_interval_is_that_of_the_mean_difference() -> None:
    rng = np.random.default_rng(2)
    before = rng.random(400) < 0.6
    after = np.where(rng.random(400) < 0.2, ~before, before)
    difference = after.astype(float) - before
    half = 1.96 * difference.std() / np.sqrt(400)
    estimate = paired_difference(rates(before), rates(after), mean, 4000, 7)
    assert estimate.value == pytest.approx(difference.mean())
    assert estimate.low == pytest.approx(difference.mean() - half, abs=0.005)
    assert estimate.high == pytest.approx(difference.mean() + half, abs=0.005)


def test_many_items_are_drawn_in_chunks_with_the_same_seed() -> None:
    values = rates(np.arange(18_000) % 3 == 0)
    first = bootstrap(values, mean, 300, 7)
    assert first == bootstrap(values, mean, 300, 7)
    assert first.low == pytest.approx(1 / 3 - 1.96 * np.sqrt(2 / 9 / 18_000), abs=0.001)


def test_all_items_alike_still_leave_doubt() -> None:
    right, wrong = bootstrap(rates([1.0] * 20), mean, 200, 7), bootstrap(rates([0.0] * 20), mean, 200, 7)
    assert (right.value, right.high) == (1.0, 1.0) and right.low == pytest.approx(0.025 ** (1 / 20))
    assert (wrong.value, wrong.low) == (0.0, 0.0) and wrong.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_no_items_say_nothing() -> None:
    nothing = bootstrap(np.zeros((0, 2)), mean, 200, 7)
    assert (nothing.value, nothing.low, nothing.high, nothing.n) == (0.0, 0.0, 1.0, 0)


def test_micro_f1_of_sums() -> None:
    assert micro_f1(np.array([[8.0, 2.0, 4.0], [0.0, 0.0, 0.0]])).tolist() == [pytest.approx(16 / 22), 0.0]


def test_retention_is_a_ratio_on_the_same_items() -> None:
    before, after = rates([1.0] * 8 + [0.0] * 2), rates([1.0] * 6 + [0.0] * 4)
    kept = paired_ratio(before, after, mean, 1000, 7)
    assert kept is not None and kept.value == pytest.approx(0.75) and kept.low < 0.75 < kept.high <= 1
    assert paired_ratio(rates([0.0] * 5), after[:5], mean, 100, 7) is None


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [(1, 9, 0.021484375), (0, 5, 0.0625), (2, 10, 0.03857421875), (3, 3, 1.0), (0, 0, 1.0), (9, 1, 0.021484375)],
)
def test_mcnemar_exact(lost: int, won: int, p: float) -> None:
    before = np.array([True] * lost + [False] * won + [True] * 7 + [False] * 4)
    after = np.array([False] * lost + [True] * won + [True] * 7 + [False] * 4)
    assert mcnemar_exact(before, after) == pytest.approx(p)
