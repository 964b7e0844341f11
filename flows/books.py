"""What ``stillroom ledger`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.errors import InputError
from flows.priced_ledger import open_ledger
from flows.settings import Settings
from ledger import Ledger
from ledger.artifact_estimates import planned_spend
from ledger.budget_state import period_bounds
from ledger.exports import as_json as json_text
from ledger.exports import write
from ledger.reconcile import Reconciled
from ledger.report import BuildTotals, Row, build_lines, build_totals, estimate_lines, json_rows, list_builds
from ledger.spend import SpendLine, spend
from ledger.tables import render, render_builds, render_estimates, render_spend

Bounds = tuple[datetime | None, datetime | None]
ALL_TIME: Bounds = (None, None)


def opened_ledger(settings: Settings) -> Ledger:
    """The ledger for a command that reads or books."""
    return open_ledger(settings)


def show(
    settings: Settings,
    build: str,
    all_builds: bool,
    as_json: bool,
    console: Console,
    *,
    estimates: bool = False,
    out: Path | None = None,
) -> None:
    """One build's lines, or one line a build; as a table, as JSON, or into a file."""
    books = open_ledger(settings)
    builds = list_builds(books)
    if not builds:
        raise InputError("ledger", "holds no build yet", hint="stillroom demo finance --scale smoke makes one")
    if all_builds:
        if out is not None:
            _written(json_rows(builds), out, console)
        else:
            console.print_json(data=json_rows(builds)) if as_json else console.print(render_builds(builds))
        return
    found = named(builds, build)
    if estimates:
        rows = estimate_lines(books, found.build_id)
        _show_rows(rows, as_json, out, console, render_estimates(rows))
        return
    totals, lines = build_totals(books, found.build_id), build_lines(books, found.build_id)
    if out is not None:
        _written(json_rows(lines), out, console)
    elif as_json:
        console.print_json(data={"lines": json_rows(lines), "total": json_rows([totals])[0]})
    else:
        console.print(render(lines, totals))


def named(builds: Sequence[BuildTotals], build: str) -> BuildTotals:
    """The build whose id begins so, the newest where none is named. Raises InputError."""
    found = [one for one in builds if one.build_id.startswith(build)]
    if not found:
        known = ", ".join(one.build_id[:8] for one in builds[:5])
        raise InputError("ledger", "has no such build", got=build, hint=f"the last ones: {known}")
    return found[0]


def show_spend(
    settings: Settings,
    by: Sequence[str],
    bounds: Bounds,
    as_json: bool,
    out: Path | None,
    console: Console,
    *,
    estimates: bool = False,
) -> None:
    """Spend by the groupings asked, of all time also beside what was planned."""
    if estimates and bounds != ALL_TIME:
        raise InputError("--estimates", "are of whole artifacts, not of a month", hint="leave --month out")
    books = open_ledger(settings)
    lines: Sequence[SpendLine] = planned_spend(books, by) if estimates else spend(books, by, *bounds)
    if not lines:
        raise InputError("ledger", "has nothing booked there", hint="stillroom ledger spend without --month shows all")
    if out is not None:
        _written([line.flat() for line in lines], out, console)
    elif as_json:
        console.print_json(json_text([line.flat() for line in lines]))
    else:
        console.print(render_spend(lines))


def months(text: str) -> Bounds:
    """The bounds of a month such as ``2026-03``; none for an empty text. Raises InputError."""
    if not text:
        return ALL_TIME
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise InputError("--month", "must be a month", got=text, hint="for example 2026-03") from None
    return period_bounds("month", first)


def ended(found: Sequence[Reconciled]) -> str:
    """What a reconciliation did, in one line."""
    orphans = sum(one.outcome == "orphan" for one in found)
    return f"{len(found) - orphans} leases ended, {orphans} orphans alive"


def _show_rows(rows: Sequence[Row], as_json: bool, out: Path | None, console: Console, table: Any) -> None:
    if out is not None:
        _written(json_rows(rows), out, console)
    else:
        console.print_json(data=json_rows(rows)) if as_json else console.print(table)


def _written(rows: list[dict[str, Any]], out: Path, console: Console) -> None:
    flat = [{name: "; ".join(cell) if isinstance(cell, list) else cell for name, cell in row.items()} for row in rows]
    write(flat, out)
    console.print(f"{out}: {len(rows):,} rows", soft_wrap=True, highlight=False)
