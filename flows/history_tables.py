"""What the planner has learned, in the terminal: factors by stage, and how well builds predict each other."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from flows.plan_tables import figure, titled
from recipes.calibration import Calibration, Run, each_by_the_others


def rows(calibration: Calibration) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "runs": [vars(one) for one in calibration.runs],
        "builds": [vars(one) | {"error": one.error} for one in each_by_the_others(calibration)],
    }


def table(calibration: Calibration) -> Group:
    """Both tables and what they rest on."""
    return Group(str(calibration), _factors(calibration), _builds(calibration))


def _factors(calibration: Calibration) -> Table:
    shown = titled("actual device-seconds over those of the formulas", ("stage", "device", "scale"))
    for heading in ("runs", "formula s", "actual s", "factor or seconds"):
        shown.add_column(heading, justify="right")
    shown.add_column("applied to the next build", overflow="fold")
    for one in _newest(calibration):
        found = calibration.correction(one.stage, one.device, one.scale, one.predicted_seconds is not None)
        factor = one.actual_seconds / one.predicted_seconds if one.predicted_seconds else None
        shown.add_row(
            *map(Text, (one.stage, one.device, one.scale)),
            str(found.runs) if found else "-",
            figure(one.predicted_seconds) if one.predicted_seconds else "-",
            figure(one.actual_seconds),
            f"x {factor:.2f}" if factor else figure(one.actual_seconds),
            Text(str(found)),
        )
    return shown


def _newest(calibration: Calibration) -> list[Run]:
    """The newest run of each stage, device and scale, in the order of the chain."""
    seen: dict[tuple[str, str, str], Run] = {}
    for one in calibration.runs:
        seen.setdefault((one.stage, one.device, one.scale), one)
    return list(seen.values())


def _builds(calibration: Calibration) -> Table:
    shown = titled("each build as the others predict it", ("build", "scale"))
    for heading in ("stages", "predicted s", "actual s", "error"):
        shown.add_column(heading, justify="right")
    shown.add_column("no figure for", overflow="fold")
    for one in each_by_the_others(calibration):
        row = (str(one.stages), figure(one.predicted_seconds), figure(one.actual_seconds), f"{one.error:+.1%}")
        shown.add_row(Text(one.build[:8]), Text(one.scale), *row, Text(", ".join(one.unknown)))
    return shown
