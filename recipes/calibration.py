"""Predictions corrected by what happened: actual device-seconds over predicted ones, by stage, device and scale.

A ratio is the median over the runs (Tukey 1977: half of them may be spoilt and it stands), their width the median
absolute deviation of its logarithm, scaled to a normal's standard deviation. Few runs say little of the width, so it is
not taken for less than ``UNKNOWN_SPREAD / sqrt(runs)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from recipes.speed import Band

MAD_TO_SIGMA = 1.4826
UNKNOWN_SPREAD = 0.2
"""Standard deviation of the logarithm that one run alone leaves open: shared machines differ by a fifth."""
TENTH = 1.2816
"""Standard deviations between the median and the tenth percentile."""


@dataclass(frozen=True)
class Run:
    """One whole attempt of a stage: predicted by the formulas of today (None where there is none), and as booked."""

    stage: str
    device: str
    scale: str
    predicted_seconds: float | None
    actual_seconds: float
    build: str = ""

    @property
    def kind(self) -> str:
        """``evaluate`` of ``evaluate:base``."""
        return self.stage.partition(":")[0]


@dataclass(frozen=True)
class Correction:
    """What history says of a stage: the factor on the prediction, or (``absolute``) the seconds themselves."""

    factor: float
    spread: float
    """Standard deviation of the factor's logarithm."""
    runs: int
    basis: str
    absolute: bool = False

    def band(self, predicted: Band | None) -> Band:
        """p10 / p50 / p90 after the correction."""
        usual = self.factor if self.absolute or predicted is None else predicted[1] * self.factor
        wide = math.exp(TENTH * self.spread)
        return (usual / wide, usual, usual * wide)

    def __str__(self) -> str:
        what = f"{self.factor:,.1f} s" if self.absolute else f"x {self.factor:.2f}"
        runs = f"{self.runs} run{'s' if self.runs > 1 else ''}"
        return f"{what}, {runs} of {self.basis}, within {math.expm1(TENTH * self.spread):.0%}"


@dataclass(frozen=True)
class Calibration:
    """The runs that a ledger holds."""

    runs: tuple[Run, ...] = ()

    def correction(self, stage: str, device: str, scale: str, predicted: bool) -> Correction | None:
        """The nearest runs that there are: of the stage, of its kind, at other scales, on the device at all.

        A stage without a formula is expected to take what it took at that scale. None where nothing is known.
        """
        kind = stage.partition(":")[0]
        here = [one for one in self.runs if one.device == device and (one.predicted_seconds is not None) == predicted]
        levels: list[tuple[str, Callable[[Run], bool]]] = [
            (f"{stage} at {scale}", lambda one: one.stage == stage and one.scale == scale),
            (f"{kind} at {scale}", lambda one: one.kind == kind and one.scale == scale),
        ]
        if predicted:
            levels.append((f"{kind} at any scale", lambda one: one.kind == kind))
            levels.append((f"all stages on {device}", lambda _: True))
        for basis, belongs in levels:
            found = [one for one in here if belongs(one)]
            if found:
                return _correction(found, basis, absolute=not predicted)
        return None

    def corrected(self, stage: str, device: str, scale: str, predicted: Band | None) -> tuple[Band | None, str]:
        """The band after the correction and what it rests on; the prediction itself where there is no history."""
        found = self.correction(stage, device, scale, predicted is not None)
        if found is None:
            return predicted, "published bands" if predicted else ""
        return found.band(predicted), str(found)

    def __str__(self) -> str:
        if not self.runs:
            return "no whole run in the ledger yet: the bands are those of published runs"
        devices = ", ".join(sorted({one.device for one in self.runs}))
        return f"calibrated by {len(self.runs)} stage runs of the ledger on {devices}"


@dataclass(frozen=True)
class HeldOut:
    """A build's whole stages as the other builds have them, beside what they took. ``unknown``: they have no figure."""

    build: str
    scale: str
    predicted_seconds: float
    actual_seconds: float
    stages: int
    unknown: tuple[str, ...]

    @property
    def error(self) -> float:
        """Predicted over actual, less one."""
        return self.predicted_seconds / self.actual_seconds - 1


def each_by_the_others(calibration: Calibration) -> list[HeldOut]:
    """Every build predicted by all others: what calibration is worth, in figures."""
    builds = list(dict.fromkeys(one.build for one in calibration.runs))
    return [_held_out(calibration, build) for build in builds] if len(builds) > 1 else []


def _held_out(calibration: Calibration, build: str) -> HeldOut:
    others = Calibration(tuple(one for one in calibration.runs if one.build != build))
    own = [one for one in calibration.runs if one.build == build]
    predicted = {one: _usual(others, one) for one in own}
    known = [(one, seconds) for one, seconds in predicted.items() if seconds is not None]
    return HeldOut(
        build=build,
        scale=own[0].scale,
        predicted_seconds=sum(seconds for _, seconds in known),
        actual_seconds=sum(one.actual_seconds for one, _ in known),
        stages=len(known),
        unknown=tuple(one.stage for one, seconds in predicted.items() if seconds is None),
    )


def _usual(calibration: Calibration, run: Run) -> float | None:
    """A run's seconds as these others have it; None where they know nothing."""
    found = calibration.correction(run.stage, run.device, run.scale, run.predicted_seconds is not None)
    if found is None:
        return None
    return found.factor * (1.0 if found.absolute else run.predicted_seconds or 0.0)


def _correction(runs: Sequence[Run], basis: str, absolute: bool) -> Correction:
    measured = [one.actual_seconds / (1.0 if absolute else one.predicted_seconds or 1.0) for one in runs]
    factor = median(measured)
    spread = MAD_TO_SIGMA * median(abs(math.log(one / factor)) for one in measured)
    return Correction(factor, max(spread, UNKNOWN_SPREAD / math.sqrt(len(runs))), len(runs), basis, absolute)
