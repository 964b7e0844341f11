"""``stillroom promote BUILD --as NAME``: which build a vertical's ``production`` is, who said so, when and why."""

from __future__ import annotations

import json
import os
import pwd
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from contracts.errors import InputError
from flows.command_line import AsJson, stdout
from flows.settings import Settings


def promote(
    build: Annotated[str, typer.Argument(help="A build's id (its first letters do); none: show the register.")] = "",
    name: Annotated[str, typer.Option("--as", help="The name it goes by in its vertical.")] = "production",
    why: Annotated[str, typer.Option(help="What it rests on, for whoever asks later.")] = "",
    model: Annotated[str, typer.Option(help="One served model of it; else all that it served.")] = "",
    by: Annotated[str, typer.Option(help="Who says so; this machine's user if left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say which build goes by a name, e.g. production; `stillroom cost VERTICAL@NAME` then tells what it cost.

    Nothing is served or moved by it. To go back, promote the earlier build again: all promotions stay in the register.
    """
    if not build:
        _show(as_json)
        return
    from flows.attribution import served_models
    from flows.books import named, opened_ledger
    from ledger.promotions import promote as enter
    from ledger.report import list_builds

    settings = Settings()
    books = opened_ledger(settings)
    found = named(list_builds(books), build)
    served = served_models(settings, found.build_id)
    if not served:
        hint = "promote a build that ran to its end; stillroom ledger --all lists them"
        raise InputError(f"build {found.build_id}", "served no model", hint=hint)
    if model and model not in served:
        raise InputError("--model", "was not served by this build", got=model, hint=f"served: {', '.join(served)}")
    new = enter(books, found.build_id, name, by=by or pwd.getpwuid(os.getuid()).pw_name, reason=why, model=model)
    state = "is" if new else "was already"
    what = model or ", ".join(served)
    stdout.print(f"{found.vertical}@{name} {state} build {found.build_id} ({what})", soft_wrap=True, highlight=False,
                 markup=False)  # fmt: skip


def _show(as_json: bool) -> None:
    from flows.books import opened_ledger
    from ledger.promotions import promotions

    rows = promotions(opened_ledger(Settings()))
    if as_json:
        stdout.print_json(json.dumps([row.model_dump(mode="json") for row in rows]))
        return
    if not rows:
        stdout.print("no build is promoted; stillroom promote BUILD --as production --why REASON does it")
        return
    shown = Table("name", "build", "model", "since (UTC)", "by", "why")
    for row in rows:
        since = f"{row.promoted_at:%Y-%m-%d %H:%M}"
        cells = (f"{row.vertical}@{row.name}", row.build_id, row.model or "all", since, row.promoted_by, row.reason)
        shown.add_row(*map(Text, cells))
    stdout.print(shown)
