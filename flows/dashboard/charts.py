"""Figures as geometry: where the marks of a chart lie. The templates draw them as SVG and escape every name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.dashboard.amounts import amount, digits_for, money, nice_step, plain
from ledger.breakdown import Unit, bucket
from ledger.burn_down import Burn
from ledger.prices import MICROSECOND

WIDTH = 860.0
LEFT, RIGHT, TOP, BOTTOM = 74.0, 38.0, 12.0, 28.0
SERIES = 7
"""Colours of the style sheet; what comes after them is drawn as "others"."""
OTHERS = "others"


@dataclass(frozen=True)
class Bar:
    """A rectangle with its colour's number and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Columns:
    """Stacked columns over time."""

    height: float
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    legend: tuple[str, ...]
    width: float = WIDTH
    left: float = LEFT
    right: float = WIDTH - RIGHT
    base: float = 0.0


def columns(
    values: dict[tuple[datetime, str], float],
    buckets: Sequence[datetime],
    unit: Unit,
    show: Callable[[float], str],
    height: float = 250.0,
) -> Columns | None:
    """``(bucket, series) -> value`` as columns, largest series lowest; None where there is nothing above zero."""
    sums: dict[str, float] = {}
    for (_, name), value in values.items():
        sums[name] = sums.get(name, 0.0) + max(0.0, value)
    ranked = [name for name in sorted(sums, key=lambda one: -sums[one]) if sums[name] > 0]
    if not ranked:
        return None
    legend = ranked if len(ranked) <= SERIES else [*ranked[: SERIES - 1], OTHERS]
    place = {name: min(number, len(legend) - 1) for number, name in enumerate(ranked)}
    stacks = {start: [0.0] * len(legend) for start in buckets}
    for (start, name), value in values.items():
        if name in place and start in stacks:
            stacks[start][place[name]] += max(0.0, value)
    most = max(sum(stack) for stack in stacks.values())
    if most <= 0:  # all of it lies before the first bucket shown
        return None
    step, base = nice_step(most), height - BOTTOM
    ceiling = step * -(-most // step)
    slot = (WIDTH - LEFT - RIGHT) / len(buckets)
    thick, bars = min(54.0, slot * 0.72), []
    for number, start in enumerate(buckets):
        y = base
        for series, value in enumerate(stacks[start]):
            if value > 0:
                tall = value / ceiling * (base - TOP)
                y -= tall
                title = f"{_name(start, unit)}, {plain(legend[series], 60)}: {show(value)}"
                bars.append(Bar(LEFT + number * slot + (slot - thick) / 2, y, thick, tall, series, title))
    shown = max(1, -(-len(buckets) // (7 if unit == "hour" else 12)))
    x_ticks = [
        Tick(LEFT + (number + 0.5) * slot, _name(start, unit))
        for number, start in enumerate(buckets)
        if number % shown == 0
    ]
    y_ticks = [
        Tick(base - one * step / ceiling * (base - TOP), show(one * step)) for one in range(round(ceiling / step) + 1)
    ]
    names = tuple(plain(name, 40) or "none" for name in legend)
    return Columns(height, tuple(bars), tuple(x_ticks), tuple(y_ticks), names, base=base)


def _name(moment: datetime, unit: Unit) -> str:
    return {"hour": f"{moment:%d %b %H:%M}", "day": f"{moment:%d %b}", "month": f"{moment:%b %Y}"}[unit]


def bucket_name(moment: datetime, unit: Unit) -> str:
    """A bucket in a table: ``2026-07``, ``2026-07-01``, ``2026-07-01 13:00``."""
    return {"hour": f"{moment:%Y-%m-%d %H:%M}", "day": f"{moment:%Y-%m-%d}", "month": f"{moment:%Y-%m}"}[unit]


@dataclass(frozen=True)
class BurnFigure:
    """A budget's spend as a stepped line under its limit."""

    height: float
    line: str
    area: str
    limit_y: float
    warn_y: float
    even: tuple[float, float, float, float] | None
    now_x: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: float = WIDTH
    left: float = LEFT
    right: float = WIDTH - RIGHT
    base: float = 0.0


def burn_figure(burn: Burn, height: float = 210.0) -> BurnFigure | None:
    """None where nothing was spent, or the budget is of nothing."""
    if not burn.points or burn.start is None or not burn.limit_micro_usd:
        return None
    start, end = burn.start, burn.end or max(burn.now, burn.points[-1][0])
    length = max((end - start).total_seconds(), 1.0)
    most = max(burn.limit_micro_usd, burn.spent.known_micro_usd)
    step, base = nice_step(most / 1e6) * 1e6, height - BOTTOM
    ceiling = step * -(-most // step)

    def x(moment: datetime) -> float:
        return LEFT + min(1.0, max(0.0, (moment - start).total_seconds() / length)) * (WIDTH - LEFT - RIGHT)

    def y(micro_usd: float) -> float:
        return base - max(0.0, micro_usd) / ceiling * (base - TOP)

    path, before = [f"M{LEFT:.1f},{base:.1f}"], 0
    for moment, spent in burn.points:  # flat up to the bucket's start, where nothing was spent before it
        path.append(f"L{x(bucket(moment - MICROSECOND, burn.unit)):.1f},{y(before):.1f}")
        path.append(f"L{x(moment):.1f},{y(spent):.1f}")
        before = spent
    last = x(burn.now)
    path.append(f"L{last:.1f},{y(burn.points[-1][1]):.1f}")
    line = " ".join(path)
    many = 6
    marks = [start + (end - start) * number / many for number in range(many + 1)]
    form = "%d %b" if length > many * 2 * 86_400 else "%d %b %H:%M"
    digits = digits_for([step])
    return BurnFigure(
        height=height,
        line=line,
        area=f"{line} L{last:.1f},{base:.1f} Z",
        limit_y=y(burn.limit_micro_usd),
        warn_y=y(burn.limit_micro_usd * burn.warn_share),
        even=(LEFT, base, WIDTH - RIGHT, y(burn.limit_micro_usd)) if burn.end else None,
        now_x=last,
        x_ticks=tuple(Tick(x(mark), mark.strftime(form)) for mark in marks),
        y_ticks=tuple(Tick(y(one * step), money(one * step, digits)) for one in range(round(ceiling / step) + 1)),
        base=base,
    )


def usd_label(micro_usd: float) -> str:
    """Money on an axis or in a bar's title."""
    return amount(micro_usd) if micro_usd else "$0"
