"""Intervals and tests over items, in numpy: percentile bootstrap, its paired form, exact McNemar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from contracts.reports import Estimate

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""``sums_R_C -> values_R``: a figure computed from column sums over items, for R resamples at once."""

LEVEL = 0.95
CHUNK_CELLS = 4_000_000
"""Resampling weights are drawn in chunks of so many cells (32 MB), whatever the number of items."""


def mean(sums_R_C: Floats) -> Floats:
    """First column's sum over the second's (the item count); 0 where nothing was counted."""
    return np.divide(sums_R_C[:, 0], sums_R_C[:, 1], out=np.zeros(len(sums_R_C)), where=sums_R_C[:, 1] > 0)


def micro_f1(sums_R_C: Floats) -> Floats:
    """F1 of summed true positives, false positives, false negatives; 0 where there is nothing at all."""
    twice_right = 2 * sums_R_C[:, 0]
    whole = twice_right + sums_R_C[:, 1] + sums_R_C[:, 2]
    return np.divide(twice_right, whole, out=np.zeros(len(sums_R_C)), where=whole > 0)


def bootstrap(counts_N_C: Floats, statistic: Statistic, resamples: int, seed: int) -> Estimate:
    """The statistic over N items with its 95 % percentile interval, items drawn with replacement.

    A rate that is the same in every item has no spread to resample; its interval is the exact binomial bound.
    """
    if len(counts_N_C) == 0:
        return Estimate(value=0.0, low=0.0, high=1.0, n=0)
    value = float(statistic(counts_N_C.sum(0, keepdims=True))[0])
    drawn = np.concatenate([statistic(sums) for sums in _resampled(counts_N_C, resamples, seed)])
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    bound = ((1 - LEVEL) / 2) ** (1 / len(counts_N_C))
    if value == low == high == 1:
        low = bound
    elif value == low == high == 0:
        high = 1 - bound
    return Estimate(value=value, low=float(low), high=float(high), n=len(counts_N_C))


def paired_difference(
    champion_N_C: Floats, challenger_N_C: Floats, statistic: Statistic, resamples: int, seed: int
) -> Estimate:
    """Challenger minus champion on the same items; both sides of a resample are the same draw of items."""
    columns = champion_N_C.shape[1]
    both = np.hstack([champion_N_C, challenger_N_C])

    def difference(sums: Floats) -> Floats:
        return np.subtract(statistic(sums[:, columns:]), statistic(sums[:, :columns]))

    return _interval(both, difference, resamples, seed)


def paired_ratio(
    champion_N_C: Floats, challenger_N_C: Floats, statistic: Statistic, resamples: int, seed: int
) -> Estimate | None:
    """Challenger over champion on the same items (retention); None where the champion scores nothing."""
    columns = champion_N_C.shape[1]
    if statistic(champion_N_C.sum(0, keepdims=True))[0] <= 0:
        return None

    def ratio(sums: Floats) -> Floats:
        below = statistic(sums[:, :columns])
        kept: Floats = np.divide(statistic(sums[:, columns:]), below, out=np.full(len(sums), np.nan), where=below > 0)
        return kept

    return _interval(np.hstack([champion_N_C, challenger_N_C]), ratio, resamples, seed)


def mcnemar_exact(right_before: NDArray[np.bool_], right_after: NDArray[np.bool_]) -> float:
    """Two-sided exact McNemar test on paired right/wrong: the binomial test of the discordant pairs against 1/2."""
    lost = int((right_before & ~right_after).sum())
    won = int((~right_before & right_after).sum())
    tail = sum(math.comb(lost + won, k) for k in range(min(lost, won) + 1))
    return min(1.0, 2 * tail / int(2 ** (lost + won)))


def _interval(counts_N_C: Floats, statistic: Statistic, resamples: int, seed: int) -> Estimate:
    value = float(statistic(counts_N_C.sum(0, keepdims=True))[0])
    drawn = np.concatenate([statistic(sums) for sums in _resampled(counts_N_C, resamples, seed)])
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, low=float(low), high=float(high), n=len(counts_N_C))


def _resampled(counts_N_C: Floats, resamples: int, seed: int) -> Iterator[Floats]:
    """Column sums of ``resamples`` draws of N items, in chunks ``[R, C]``."""
    items = len(counts_N_C)
    rng = np.random.default_rng(seed)
    share = np.full(items, 1 / items)
    step = max(1, CHUNK_CELLS // items)
    for start in range(0, resamples, step):
        weights_R_N = rng.multinomial(items, share, size=min(step, resamples - start))
        yield weights_R_N.astype(np.float64) @ counts_N_C
