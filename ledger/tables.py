"""The reports in a terminal, as rich renderables. Text from outside is shown as it is, never read as markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ledger.artifact_estimates import PlannedSpend
from ledger.budget_state import BudgetState
from ledger.invoice_match import Match
from ledger.report import BuildTotals, EstimateLine, StageLine
from ledger.spend import SpendLine

JOULES_PER_KWH = 3_600_000


def render(lines: Sequence[StageLine], totals: BuildTotals) -> RenderableType:
    """A build's lines, its total and its notes."""
    names = ("stage", "artifact", "device", "status")
    metered = any(line.energy_joules is not None or line.utilisation is not None for line in lines)
    numbers = ("attempts", "device-s", "CPU-device-s", "GPU-s", "wasted s", "saved s", "USD")
    numbers_told = (*numbers, "kWh", "busy") if metered else numbers
    table = _table(f"{totals.build_id} · {totals.vertical} · {totals.scale}", names, numbers_told)
    for line in lines:
        cells = (line.stage, line.artifact_fingerprint[:12], line.device, line.status, str(line.attempts))
        table.add_row(*map(Text, cells), *_figures(line, metered))
    table.add_section()
    hours = Text(f"{totals.gpu_hours:.3f} GPU-hours")
    total = (Text("total", style="bold"), hours, Text(""), Text(""), str(totals.attempts))
    table.add_row(*total, *_figures(totals, metered))
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


def render_spend(lines: Sequence[SpendLine]) -> RenderableType:
    """One row a group; a note where hours have no price."""
    groups = list(lines[0].group) if lines else []
    numbers = ("GPU-hours", "CPU-hours", "wasted h", "compute USD", "expenses", "adjusted", "USD")
    beside_plan = any(isinstance(line, PlannedSpend) for line in lines)
    more = ("planned h", "took h", "took/planned", "planned USD") if beside_plan else ()
    table = _table("", groups, (*numbers, *more))
    for line in lines:
        hours = (f"{one:,.3f}" for one in (line.gpu_hours, line.cpu_hours, line.wasted_hours))
        money = (usd(one) for one in (line.compute_micro_usd, line.expense_micro_usd, line.adjustment_micro_usd))
        planned = _planned(line) if isinstance(line, PlannedSpend) else ()
        table.add_row(*map(Text, line.group.values()), *hours, *money, usd(line.micro_usd), *planned)
    unpriced = sum(line.unpriced_hours for line in lines)
    if not unpriced:
        return table
    known = usd(sum(line.known_micro_usd for line in lines))
    note = f"{unpriced:,.3f} device-hours have no price: what they cost is unknown. {known} USD is known."
    return Group(table, Text(note, style="yellow"))


def _planned(line: PlannedSpend) -> tuple[str, ...]:
    """Of the artifacts that a plan was recorded for; dashes where there is none."""
    if line.planned_hours is None:
        return ("-",) * 4
    ratio = "-" if line.ratio is None else f"{line.ratio:.2f}"
    return f"{line.planned_hours:,.3f}", f"{line.planned_took_hours:,.3f}", ratio, usd(line.planned_micro_usd)


def render_budgets(states: Sequence[BudgetState]) -> RenderableType:
    """One row a budget in force."""
    names = ("budget", "over", "period", "policy")
    table = _table("", names, ("USD", "spent", "reserved", "left", "used"))
    for state in states:
        over = state.scope if state.scope == "all" else f"{state.scope} {state.scope_value}"
        since = "" if state.period == "total" else f" from {state.period_start:%Y-%m-%d}"
        left = state.limit_micro_usd - state.committed_micro_usd
        used = f"{100 * state.committed_micro_usd / state.limit_micro_usd:.0f} %" if state.limit_micro_usd else "-"
        figures = (state.limit_micro_usd, state.spent_micro_usd, state.reserved_micro_usd, left)
        table.add_row(*map(Text, (state.name, over, state.period + since, state.policy)), *map(usd, figures), used)
    unpriced = sum(state.unpriced_leases for state in states)
    return (
        Group(table, Text(f"{unpriced} leases have no price and count nothing here.", style="yellow"))
        if unpriced
        else table
    )


def render_matches(matches: Sequence[Match]) -> RenderableType:
    """Invoices against the ledger."""
    names = ("invoice", "device", "from", "to", "verdict")
    table = _table("", names, ("hours invoiced", "hours booked", "USD invoiced", "booked", "adjusted", "difference"))
    for one in matches:
        cells = (
            f"{one.provider} {one.invoice}",
            one.device,
            f"{one.period_start:%Y-%m-%d}",
            f"{one.period_end:%Y-%m-%d}",
        )
        hours = ("-" if one.invoiced_hours is None else f"{one.invoiced_hours:,.2f}", f"{one.booked_hours:,.2f}")
        money = (one.invoiced_micro_usd, one.booked_micro_usd, one.adjusted_micro_usd, one.difference_micro_usd)
        table.add_row(*map(Text, (*cells, one.verdict)), *hours, *map(usd, money))
    return table


def usd(micro_usd: int | None) -> str:
    """Micro-USD as USD, all six places below one dollar, two above; ``unknown`` for None."""
    if micro_usd is None:
        return "unknown"
    return f"{micro_usd / 1_000_000:,.{6 if 0 < abs(micro_usd) < 1_000_000 else 2}f}"


def _table(title: str, names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=Text(title) if title else None)
    for name in names:
        table.add_column(name, overflow="fold", min_width=8)  # a narrow terminal folds names, it does not lose them
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _figures(row: StageLine | BuildTotals, metered: bool = False) -> list[str]:
    """Seconds and USD; where the devices were metered kWh and percent, a dash where they told nothing."""
    seconds = (row.device_seconds, row.cpu_device_seconds, row.gpu_seconds, row.wasted_seconds, row.saved_seconds)
    cells = [*(f"{one:,.1f}" for one in seconds), usd(row.micro_usd)]
    if metered:
        busy = row.utilisation if isinstance(row, StageLine) else None
        cells.append("-" if row.energy_joules is None else f"{row.energy_joules / JOULES_PER_KWH:,.4f}")
        cells.append("-" if busy is None else f"{100 * busy:.0f} %")
    return cells
