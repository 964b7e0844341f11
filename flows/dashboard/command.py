"""``stillroom dashboard``: what was spent, on what, for how good a model, as pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.command_line import stderr, stdout
from flows.settings import Settings

Word = Annotated[str, typer.Option(help="Only this one.")]


def dashboard(
    host: Annotated[str, typer.Option(help="Another than loopback asks for STILLROOM_DASHBOARD_KEY.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8321,
    export: Annotated[
        Path | None, typer.Option(help="Write the pages into this folder instead; they open from a disk.")
    ] = None,
    vertical: Word = "",
    team: Word = "",
    scale: Word = "",
    build: Annotated[str, typer.Option(help="A build's id; its first letters do.")] = "",
    since: Annotated[str, typer.Option("--from", help="A day, e.g. 2026-07-01.")] = "",
    until: Annotated[str, typer.Option("--to", help="A day, all of it.")] = "",
) -> None:
    """The ledger as pages: spend, budgets, plan against actual, quality per hour, lineage, what runs now.

    Served on 127.0.0.1 until interrupted, or written to a folder with `--export`. It only reads: the ledger may be a
    file that cannot be written, or PostgreSQL by `STILLROOM_LEDGER_URL`. The filter options hold for an export; in the
    server the filter is in each page's own form and URL.

    `stillroom dashboard`, then open the address that it prints.

    `stillroom dashboard --export july --vertical finance --from 2026-07-01 --to 2026-07-31`
    """
    from flows.dashboard.export import export as write
    from flows.dashboard.query import parse
    from flows.dashboard.serve import serve
    from flows.dashboard.source import Source

    settings = Settings()
    words = {"vertical": vertical, "team": team, "scale": scale, "build": build, "from": since, "to": until}
    query, source = parse(words), Source(settings)
    source.ledger()  # one that cannot be read is told here, not by every page
    if export is not None:
        count = write(source, query, export)
        stdout.print(f"{export / 'index.html'}: {count:,} pages", soft_wrap=True, highlight=False, markup=False)
        return
    serve(source, host, port, settings.dashboard_key, lambda url: stdout.print(url, soft_wrap=True, highlight=False))
    stderr.print("dashboard ended")
