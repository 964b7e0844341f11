"""The reports in a terminal, as rich renderables. Text from outside is shown as it is, never read as markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ledger.report import BuildTotals, EstimateLine, StageLine


def render(lines: Sequence[StageLine], totals: BuildTotals) -> RenderableType:
    """A build's lines, its total and its notes."""
    names = ("stage", "artifact", "device", "status")
    numbers = ("attempts", "device-s", "CPU-device-s", "GPU-s", "wasted s", "saved s", "USD")
    table = _table(f"{totals.build_id} · {totals.vertical} · {totals.scale}", names, numbers)
    for line in lines:
        cells = (line.stage, line.artifact_fingerprint[:12], line.device, line.status, str(line.attempts))
        table.add_row(*map(Text, cells), *_figures(line))
    table.add_section()
    hours = Text(f"{totals.gpu_hours:.3f} GPU-hours")
    table.add_row(Text("total", style="bold"), hours, Text(""), Text(""), str(totals.attempts), *_figures(totals))
    notes = list(totals.notes)
    if totals.micro_usd is None and totals.known_micro_usd:
        notes.append(f"Of the cost, {usd(totals.known_micro_usd)} USD is known.")
    return Group(table, *(Text(note, style="yellow" if "unknown" in note else "") for note in notes))


def render_builds(builds: Sequence[BuildTotals]) -> RenderableType:
    """One row a build."""
    names = ("build", "vertical", "scale", "started (UTC)")
    table = _table("", names, ("attempts", "device-s", "CPU-device-s", "GPU-s", "wasted s", "saved s", "USD"))
    for one in builds:
        cells = (one.build_id, one.vertical, one.scale, f"{one.started_at:%Y-%m-%d %H:%M:%S}", str(one.attempts))
        table.add_row(*map(Text, cells), *_figures(one))
    return table


def render_estimates(lines: Sequence[EstimateLine]) -> RenderableType:
    """The plan against what happened."""
    names, numbers = ("stage", "device"), ("planned s", "actual s", "saved s", "actual/planned", "planned USD", "USD")
    table = _table("", names, numbers)
    for line in lines:
        table.add_row(
            Text(line.stage),
            Text(line.device),
            "-" if line.estimated_device_seconds is None else f"{line.estimated_device_seconds:,.1f}",
            f"{line.actual_device_seconds:,.1f}",
            f"{line.saved_seconds:,.1f}",
            "-" if line.ratio is None else f"{line.ratio:.2f}",
            usd(line.estimated_micro_usd),
            usd(line.actual_micro_usd),
        )
    return table


def usd(micro_usd: int | None) -> str:
    """Micro-USD as USD, all six places below one dollar, two above; ``unknown`` for None."""
    if micro_usd is None:
        return "unknown"
    return f"{micro_usd / 1_000_000:,.{6 if 0 < micro_usd < 1_000_000 else 2}f}"


def _table(title: str, names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=Text(title) if title else None)
    for name in names:
        table.add_column(name, overflow="fold", min_width=8)  # a narrow terminal folds names, it does not lose them
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _figures(row: StageLine | BuildTotals) -> list[str]:
    seconds = (row.device_seconds, row.cpu_device_seconds, row.gpu_seconds, row.wasted_seconds, row.saved_seconds)
    return [*(f"{one:,.1f}" for one in seconds), usd(row.micro_usd)]
