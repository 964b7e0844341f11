"""Bootstrap and McNemar against known values."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.intervals import bootstrap, mean, micro_f1, paired_difference, paired_ratio, sign_test, unseen_share


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
    ("worse", "better", "p"),
    [(1, 9, 0.021484375), (0, 5, 0.0625), (2, 10, 0.03857421875), (3, 3, 1.0), (0, 0, 1.0), (9, 1, 0.021484375)],
)
def test_the_sign_test_is_exact(worse: int, better: int, p: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p)


def test_intervals_over_twelve_items_hold_the_mean_more_often_than_plain_ones() -> None:
    """On skewed figures; ``benchmarks/intervals.py`` measures it on answers."""
    rng = np.random.default_rng(3)
    scores = rng.beta(5, 1, size=(400, 12))
    found = [bootstrap(rates(row), mean, 400, trial) for trial, row in enumerate(scores)]
    covered = sum(one.low <= 5 / 6 <= one.high for one in found) / len(found)
    plain = sum(low <= 5 / 6 <= high for low, high in (_plain_percentiles(row) for row in scores)) / len(found)
    assert covered > plain + 0.02 and covered > 0.9


def _plain_percentiles(row: np.ndarray) -> tuple[float, float]:
    drawn = np.random.default_rng(0).choice(row, size=(400, len(row))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def test_items_that_all_differ_alike_leave_doubt() -> None:
    same = paired_difference(rates([1.0, 0.0] * 6), rates([1.0, 0.0] * 6), mean, 200, 7)
    assert (same.value, same.low, same.high) == (0.0, -unseen_share(12), unseen_share(12))
    won = paired_difference(rates([0.0] * 12), rates([1.0] * 12), mean, 200, 7)
    assert (won.value, won.high) == (1.0, 1.0) and won.low == pytest.approx(1 - unseen_share(12))
    kept = paired_ratio(rates([1.0] * 12), rates([1.0] * 12), mean, 200, 7)
    assert kept is not None and kept.low == pytest.approx(1 - unseen_share(12)) and kept.value == 1.0
    # none of n items differs with probability (1 - p)^n
    assert (1 - unseen_share(72)) ** 72 == pytest.approx(0.025) and unseen_share(72) == pytest.approx(0.05, abs=0.001)
