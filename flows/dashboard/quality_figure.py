"""The quality curve as geometry: score over device-hours, a line for the tuning and one for each student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.stop_advisor import POINT, Line, Scored
from flows.dashboard.amounts import hours, nice_step, plain
from flows.dashboard.charts import BOTTOM, LEFT, RIGHT, SERIES, TOP, WIDTH, Tick

HEIGHT = 330.0


@dataclass(frozen=True)
class Dot:
    """A model; ``y_low`` lies below ``y_high`` on the page."""

    x: float
    y: float
    y_low: float
    y_high: float
    label: str
    title: str
    best: bool
    """Whether none of its line had scored so high with so few hours."""
    label_left: bool
    series: int


@dataclass(frozen=True)
class Way:
    """A line's best so far, and the bound on what comes next."""

    series: int
    path: str
    bound: str
    bound_end: tuple[float, float] | None
    stop: tuple[float, float] | None
    """Where the advice is to stop."""


@dataclass(frozen=True)
class QualityFigure:
    """Every model, and every line through them."""

    dots: tuple[Dot, ...]
    ways: tuple[Way, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_title: str
    height: float = HEIGHT
    width: float = WIDTH
    left: float = LEFT
    right: float = WIDTH - RIGHT
    base: float = HEIGHT - BOTTOM - 16


class _Scale:
    """Hours and points to places on the page."""

    def __init__(self, most_hours: float) -> None:
        self.most = most_hours * 1.04 or 1.0

    def x(self, device_hours: float) -> float:
        return LEFT + device_hours / self.most * (WIDTH - LEFT - RIGHT)

    def y(self, score: float) -> float:
        return QualityFigure.base - min(1.0, max(0.0, score)) * (QualityFigure.base - TOP)

    def at(self, one: Scored) -> str:
        return f"{self.x(one.device_hours):.1f},{self.y(one.score.value):.1f}"


def quality_figure(lines: Sequence[Line], kind: str) -> QualityFigure:
    """The lines, none of them without a model; ``kind`` is whose hours count, ``GPU`` or ``CPU``."""
    scale = _Scale(max(_end_hours(line) for line in lines))
    step = nice_step(scale.most, 6)
    return QualityFigure(
        dots=tuple(_dot(one, line, number, scale, kind) for number, line in enumerate(lines) for one in line.models),
        ways=tuple(_way(line, number, scale) for number, line in enumerate(lines)),
        x_ticks=tuple(Tick(scale.x(one * step), f"{one * step:g}") for one in range(int(scale.most / step) + 1)),
        y_ticks=tuple(Tick(scale.y(one * POINT), f"{one:g}") for one in (0, 20, 40, 60, 80, 100)),
        x_title=f"{kind}-hours of all that a model is made of",
    )


def _end_hours(line: Line) -> float:
    return line.advice.spent_hours + (line.advice.next_hours if line.advice.at_most_points is not None else 0.0)


def _dot(one: Scored, line: Line, number: int, scale: _Scale, kind: str) -> Dot:
    at, score = scale.x(one.device_hours), one.score
    told = f"{score.value / POINT:.1f} points ({score.low / POINT:.1f} to {score.high / POINT:.1f})"
    return Dot(
        x=at,
        y=scale.y(score.value),
        y_low=scale.y(score.low),
        y_high=scale.y(score.high),
        label=plain(one.name, 20),
        title=f"{plain(one.name, 60)}: {told}, {hours(one.device_hours)} {kind}-hours",
        best=one in line.best,
        label_left=at > WIDTH * 0.72,
        series=_series(number),
    )


def _way(line: Line, number: int, scale: _Scale) -> Way:
    """Steps from the best so far to the next better; from a teacher to its student straight, up or down."""
    best, advice = line.best or line.models[:1], line.advice
    path = [f"M{scale.at(line.teacher)}", f"L{scale.at(best[0])}"] if line.teacher else [f"M{scale.at(best[0])}"]
    for one in best[1:]:
        path += [f"H{scale.x(one.device_hours):.1f}", f"V{scale.y(one.score.value):.1f}"]
    spent, height = scale.x(advice.spent_hours), best[-1].score.value
    path.append(f"H{spent:.1f}")
    bound, end = "", None
    if advice.at_most_points is not None:
        end = (scale.x(_end_hours(line)), scale.y(height + advice.at_most_points * POINT))
        bound = f"M{spent:.1f},{scale.y(height):.1f} L{end[0]:.1f},{end[1]:.1f}"
    stop = (spent, scale.y(height)) if advice.verdict == "STOP" else None
    return Way(_series(number), " ".join(path), bound, end, stop)


def _series(number: int) -> int:
    return min(number, SERIES - 1)
