"""A plan in the terminal: for whoever pays for it, and for whoever builds it. Text from outside is never markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.plan import Plan, PlannedStage
from recipes.memory import GIB
from recipes.speed import Band

COLOUR = {"passes": "", "warns": "yellow", "fails": "red"}


def table(made: Plan) -> Group:
    """One plan: what it costs, what a device holds, and what speaks against it."""
    return Group(_summary(made), _stages(made), _memory(made), _candidates(made), _verdicts(made))


def comparison(plans: Sequence[Plan]) -> Table:
    """The same build on several device lists, a row each."""
    first = plans[0]
    shown = titled(f"{first.vertical} at scale {first.scale}, what is not cached", ("devices", "does not fit"))
    for heading in ("device-hours p50 (p10 to p90)", "wall-clock p50", "USD p50 (p10 to p90)", "USD an hour"):
        shown.add_column(heading, justify="right")
    for made in plans:
        usd = made.usd_to_run
        missing = [one.stage for one in made.stages if one.fits is False]
        shown.add_row(
            made.device,
            Text(", ".join(missing) or "all of it fits", style="red" if missing else ""),
            spread(made.seconds_to_run, 3600),
            duration(made.wall_seconds_to_run[1]),
            spread(usd) if usd else "no price",
            f"{made.price.usual:,.2f}" if made.price.usual is not None else "-",
        )
    return shown


def spread(band: Band, unit: float = 1.0) -> str:
    """``p50 (p10 to p90)``."""
    low, usual, high = (figure(value / unit) for value in band)
    return f"{usual} ({low} to {high})"


def figure(value: float) -> str:
    """A number with as many places as tell something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}" if value >= 0.01 or value == 0 else f"{value:.4f}"


def time_unit(made: Plan) -> tuple[float, str]:
    """Seconds of the unit that a plan's times are shown in, and its name."""
    whole = sum(one.device_seconds[1] for one in made.stages if one.device_seconds)
    return (3600.0, "device-hours") if whole >= 2 * 3600 else (1.0, "device-seconds")


def duration(seconds: float) -> str:
    """Days, hours, minutes: the two largest that there are."""
    days, hours, minutes = int(seconds // 86_400), int(seconds % 86_400 // 3600), int(seconds % 3600 // 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def titled(title: str, names: Sequence[str]) -> Table:
    """A table with left-hand columns of names, which fold in a narrow terminal."""
    shown = Table(title=Text(title), title_justify="left")
    for name in names:
        shown.add_column(name, overflow="fold")
    return shown


def _summary(made: Plan) -> RenderableType:
    usd, price = made.usd_to_run, made.price
    unit, name = time_unit(made)
    lines = [
        f"[b]{escape(made.vertical)}[/b] at scale {escape(made.scale)} on [b]{escape(made.device)}[/b]",
        f"  to run      {spread(made.seconds_to_run, unit)} {name}, {made.flops_to_run:.2e} FLOPs, "
        f"{duration(made.wall_seconds_to_run[1])} on the clock ({duration(made.wall_seconds_to_run[0])} to "
        f"{duration(made.wall_seconds_to_run[2])}), p50 (p10 to p90)",
    ]
    if usd is None or price.usual is None:
        lines.append(f"  cost        unknown: {escape(price.source)}")
    else:
        lines.append(f"  cost        [b]{spread(usd)} USD[/b] of {made.budget_usd:,.0f} budgeted, "
                     f"at {price.usual:,.2f} an hour ({escape(price.source)})")  # fmt: skip
        if price.low is not None and price.high is not None:
            low, high = (usd[1] * one / price.usual for one in (price.low, price.high))
            lines.append(f"              {figure(low)} to {figure(high)} USD at the ends of the price band")
    lines.append(f"  cached      {sum(one.cached for one in made.stages)} of {len(made.stages)} stages, "
                 f"{figure(made.saved_seconds / unit)} {name} saved")  # fmt: skip
    lines.append(f"  rests on    {escape(made.calibration)}")
    return "\n".join(lines) + "\n"


def _stages(made: Plan) -> Table:
    unit, name = time_unit(made)
    shown = titled("stages", ("stage", "cached"))
    for heading in (f"{name} p50 (p10 to p90)", "USD p50", "wall-clock", "FLOPs", "memory GiB", "fits"):
        shown.add_column(heading, justify="right")
    shown.add_column("rests on", overflow="fold")
    for one in made.stages:
        gib = f"{sum(one.memory_bytes.values()) / GIB:.1f}" if one.memory_bytes else "-"
        shown.add_row(
            Text(one.stage),
            "yes" if one.cached else "no",
            spread(one.device_seconds, unit) if one.device_seconds else "-",
            f"{one.usd[1]:,.2f}" if one.usd else "-",
            duration(one.wall_seconds[1]) if one.wall_seconds else "-",
            f"{one.flops:.1e}" if one.flops else "-",
            gib,
            "-" if one.fits is None else "yes" if one.fits else "[red]no[/red]",
            Text(one.basis),
            style="dim" if one.cached else "",
        )
    return shown


def _memory(made: Plan) -> RenderableType:
    """What each device holds, stages of the same figures in one row; below, what would make the others fit."""
    alike: dict[tuple[tuple[str, float], ...], list[PlannedStage]] = {}
    for one in made.stages:
        if one.memory_bytes:
            alike.setdefault(tuple(one.memory_bytes.items()), []).append(one)
    parts = list(dict.fromkeys(part for held in alike for part, _ in held))
    shown = titled("memory of each device in GiB, by part", ("stages",))
    for part in (*parts, "all"):
        shown.add_column(part, justify="right")
    for held, stages in alike.items():
        sizes = dict(held)
        cells = [f"{sizes[part] / GIB:.1f}" if part in sizes else "" for part in parts]
        style = "red" if stages[0].fits is False else ""
        total = f"{sum(sizes.values()) / GIB:.1f}"
        shown.add_row(Text(", ".join(one.stage for one in stages)), *cells, total, style=style)
    return Group(shown, *_ways_out(made))


def _ways_out(made: Plan) -> list[str]:
    """What does not fit, and the settings nearest to the recipe's with which it does; stages alike in one line."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for one in made.stages:
        if one.fits is False:
            alike.setdefault(one.nearest, []).append(one.stage)
    return [
        f"[red]{escape(', '.join(stages))}[/red] {'does' if len(stages) == 1 else 'do'} not fit {escape(made.device)}; "
        f"nearest settings that do: {escape(' | '.join(offered)) or 'none known here'}"
        for offered, stages in alike.items()
    ]


def _candidates(made: Plan) -> Table:
    shown = titled("candidates, as the catalogue states them", ("candidate", "verdict", "check", "passed", "reason"))
    for one in made.candidates:
        shown.add_section()
        for at, check in enumerate(one.checks):
            name, verdict = (escape(one.model), one.verdict) if at == 0 else ("", "")
            passed = "yes" if check.passed else "[red]no[/red]"
            shown.add_row(name, verdict, check.kind, passed, escape(check.reason))
    return shown


def _verdicts(made: Plan) -> Table:
    shown = titled("students, corpora, release", ("subject", "check", "verdict", "reason"))
    for one in made.verdicts:
        verdict = Text(one.verdict, style=COLOUR[one.verdict])
        shown.add_row(Text(one.subject), one.check, verdict, Text(one.reason))
    return shown
