"""The stop advisor: what each further device-hour bought in score, and the most that the next ones can add.

The curve is the best score so far over the device-hours that a model is made of. Its gains are taken to diminish, as
learning curves do (a power law of data and compute: Hestness et al. 2017, "Deep Learning Scaling is Predictable,
Empirically", arXiv:1712.00409; that real curves sometimes are not so well behaved: Viering and Loog 2021, "The Shape of
Learning Curves: a Review", arXiv:2103.10948). Under a curve that bends downwards no further hour adds more than the
hours since any earlier point did on average, so the least of these averages is a bound, not a forecast. The interval
of a difference of two scores comes from the scores' own intervals (method 10 of Newcombe 1998, "Interval estimation for
the difference between independent proportions"; the general form: Zou and Donner 2008, "MOVER"): the scores are of the
same items, so it is wider than a paired one, and the advice errs on the side of going on.

Students are trained beside each other, so each has a line of its own: it begins at the teacher, whose hours it takes
over, and bends by the student's own versions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from contracts.reports import Estimate

Verdict = Literal["GO ON", "STOP", "UNSURE", "TOO FEW"]
POINT = 0.01
"""A score point is a hundredth."""
WORTH_POINTS = 1.0
"""Less than so many points is not worth the next device-hours."""


@dataclass(frozen=True)
class Scored:
    """A model, the device-hours of all it is made of, and its score (0 to 1, higher is better)."""

    name: str
    device_hours: float
    score: Estimate


@dataclass(frozen=True)
class Step:
    """From the best model so far to the next better one."""

    before: Scored
    after: Scored

    @property
    def hours(self) -> float:
        """Device-hours between them."""
        return self.after.device_hours - self.before.device_hours

    @property
    def points(self) -> tuple[float, float, float]:
        """Score points gained, with the interval's ends."""
        return difference_points(self.before.score, self.after.score)

    @property
    def points_per_hour(self) -> float | None:
        """None where no time lies between them."""
        return self.points[0] / self.hours if self.hours > 0 else None


@dataclass(frozen=True)
class Advice:
    """What the curve says about going on."""

    verdict: Verdict
    next_hours: float
    at_most_points: float | None
    """The bound by the measured scores; None where there are too few."""
    at_most_points_high: float | None
    """The same by the upper ends of the intervals."""
    worth_points: float
    frontier: tuple[Scored, ...]
    """The best model so far at each number of device-hours at which it changes."""
    steps: tuple[Step, ...]
    spent_hours: float
    """Of the longest of all."""
    sentence: str


@dataclass(frozen=True)
class Line:
    """One way through the models: those tuned one from the other, or the versions of one student."""

    name: str
    teacher: Scored | None
    """Where a student's line begins."""
    models: tuple[Scored, ...]
    """By device-hours."""
    advice: Advice
    steps: tuple[Step, ...]
    """What was bought from one to the next better; a student's first, from its teacher, may be a loss."""

    @property
    def best(self) -> tuple[Scored, ...]:
        """The best of them so far, at each number of device-hours at which it changes."""
        return tuple(one for one in self.advice.frontier if one in self.models)

    @property
    def start_assumed(self) -> bool:
        """Whether the bound rests on a beginning that nobody measured: of one version alone."""
        return self.teacher is not None and len({one.device_hours for one in self.models}) == 1


def difference_points(before: Estimate, after: Estimate) -> tuple[float, float, float]:
    """After minus before in score points: ``(value, low, high)`` from the two intervals."""
    value = after.value - before.value
    low = value - math.hypot(after.value - after.low, before.high - before.value)
    high = value + math.hypot(after.high - after.value, before.value - before.low)
    return value / POINT, low / POINT, high / POINT


def advise(
    scored: Sequence[Scored],
    next_hours: float | None = None,
    worth_points: float = WORTH_POINTS,
    unit: str = "device-hours",
) -> Advice:
    """The advice over models of one quality scale.

    ``next_hours``: how many more are thought of; None: as many again as lie between the last two models. ``unit`` names
    them in the sentence.
    """
    models = _by_hours(scored)
    frontier = _frontier(models)
    steps = tuple(Step(before, after) for before, after in pairwise(frontier))
    spent = models[-1].device_hours if models else 0.0
    earlier = [one for one in models if one.device_hours < spent]
    ahead = next_hours if next_hours is not None else spent - earlier[-1].device_hours if earlier else 0.0
    if not earlier or ahead <= 0:
        told = "Two models of different device-hours are needed before a further hour can be weighed."
        return Advice("TOO FEW", ahead, None, None, worth_points, frontier, steps, spent, told)
    best = frontier[-1].score
    starts = [one for one in frontier if one.device_hours < spent]
    gains = [(difference_points(one.score, best), spent - one.device_hours) for one in starts]
    room = (1 - best.value) / POINT
    at_most = min(room, *(max(0.0, gain[0]) * ahead / hours for gain, hours in gains))
    high = min(room, *(max(0.0, gain[2]) * ahead / hours for gain, hours in gains))
    verdict: Verdict = "STOP" if high < worth_points else "UNSURE" if at_most < worth_points else "GO ON"
    told = _sentence(verdict, f"{ahead:.3g} {unit}", at_most, high, worth_points)
    return Advice(verdict, ahead, at_most, high, worth_points, frontier, steps, spent, told)


def tuning_line(
    scored: Sequence[Scored], next_hours: float | None, worth_points: float, unit: str = "device-hours"
) -> Line:
    """The models that are tuned one from the other, with the advice over them."""
    advice = advise(scored, next_hours, worth_points, unit)
    return Line("tuning", None, _by_hours(scored), advice, advice.steps)


def student_line(
    name: str,
    teacher: Scored | None,
    versions: Sequence[Scored],
    hours_before: float,
    next_hours: float | None,
    worth_points: float,
    unit: str = "device-hours",
) -> Line:
    """The versions of one student, with the advice on its own training.

    ``hours_before``: what was spent before that training began. No untrained student is evaluated; it scores zero or
    more, so zero there keeps the bound one: of a single version it is a loose one.
    """
    untrained = Scored(f"{name} untrained", hours_before, Estimate(value=0.0, low=0.0, high=0.0, n=0))
    advice = advise([untrained, *versions], next_hours, worth_points, unit)
    models = _by_hours(versions)
    best = [one for one in advice.frontier if one is not untrained] or list(models[:1])
    first = (Step(teacher, best[0]),) if teacher is not None else ()
    return Line(name, teacher, models, advice, (*first, *(Step(*pair) for pair in pairwise(best))))


def _by_hours(scored: Sequence[Scored]) -> tuple[Scored, ...]:
    return tuple(sorted(scored, key=lambda one: (one.device_hours, one.score.value)))


def _frontier(models: Sequence[Scored]) -> tuple[Scored, ...]:
    found: list[Scored] = []
    for one in models:
        if not found or one.score.value > found[-1].score.value:
            if found and found[-1].device_hours == one.device_hours:
                found.pop()
            found.append(one)
    return tuple(found)


def _sentence(verdict: Verdict, ahead: str, at_most: float, high: float, worth: float) -> str:
    bound = f"the next {ahead} are expected to add less than {max(at_most, 0.1):.1f} points"
    match verdict:
        case "STOP":
            return f"Stop: {bound}, and less than {max(high, 0.1):.1f} by the intervals' upper ends."
        case "UNSURE":
            return f"Unsure: {bound}, but up to {high:.1f} within the intervals."
        case _:
            return f"Go on: the next {ahead} may add up to {at_most:.1f} points, {worth:g} is asked for."
