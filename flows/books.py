"""What ``stillroom ledger`` shows."""

from __future__ import annotations

from rich.console import Console

from contracts.errors import InputError
from flows.build import open_ledger
from flows.settings import Settings
from ledger.report import build_lines, build_totals, json_rows, list_builds
from ledger.tables import render, render_builds


def show(settings: Settings, build: str, all_builds: bool, as_json: bool, console: Console) -> None:
    """One build's lines, or one line a build."""
    books = open_ledger(settings)
    builds = list_builds(books)
    if not builds:
        raise InputError("ledger", "holds no build yet", hint="stillroom demo finance --scale smoke makes one")
    if all_builds:
        console.print_json(data=json_rows(builds)) if as_json else console.print(render_builds(builds))
        return
    found = [one for one in builds if one.build_id.startswith(build)]
    if not found:
        known = ", ".join(one.build_id[:8] for one in builds[:5])
        raise InputError("ledger", "has no such build", got=build, hint=f"the last ones: {known}")
    totals = build_totals(books, found[0].build_id)
    lines = build_lines(books, found[0].build_id)
    if as_json:
        console.print_json(data={"lines": json_rows(lines), "total": json_rows([totals])[0]})
    else:
        console.print(render(lines, totals))
