"""``stillroom budget ...``: what may be spent, by whom, in which time, and what happens at the end of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from contracts.errors import InputError
from flows.command_line import AsJson, stdout
from flows.settings import Settings

budget_app = typer.Typer(
    no_args_is_help=True,
    help="Budgets by vertical, team or build, in all, a month or a calendar quarter.\n\n"
    "A plan over a budget is refused, a stage reserves what it is expected to cost before it starts, and a running "
    "stage is asked at every checkpoint.",
)


@budget_app.command(name="set")
def set_one(
    name: Annotated[str, typer.Argument(help="Its name, e.g. finance-monthly.")],
    usd: Annotated[str, typer.Option(help="How much may be spent.")],
    vertical: Annotated[str, typer.Option(help="Over a vertical.")] = "",
    team: Annotated[str, typer.Option(help="Over a team.")] = "",
    build: Annotated[str, typer.Option(help="Over one build, by its id.")] = "",
    period: Annotated[str, typer.Option(help="total, month or quarter.")] = "total",
    policy: Annotated[
        str, typer.Option(help="warn: only tell; block: start nothing past it; stop: also end runs at a checkpoint.")
    ] = "block",
    warn_at: Annotated[float, typer.Option(help="Warn from this share of it on.")] = 0.8,
) -> None:
    """Make a budget, or change the one of that name; without vertical, team or build it is over all builds."""
    from flows.books import opened_ledger
    from ledger.budgets import set_budget

    over = {scope: value for scope, value in (("vertical", vertical), ("team", team), ("build", build)) if value}
    if len(over) > 1:
        raise InputError(f"budget {name}", "is over one thing", got=" and ".join(over), hint="set one budget for each")
    scope, value = next(iter(over.items()), ("all", ""))
    books = opened_ledger(Settings())
    set_budget(books, name, usd, scope=scope, scope_value=value, period=period, policy=policy, warn_share=warn_at)
    stdout.print(f"budget {name} is set", highlight=False, markup=False)


@budget_app.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """Every budget in force: spent, reserved and left in its current period."""
    from flows.books import opened_ledger
    from ledger.budgets import budget_states
    from ledger.tables import render_budgets

    states = budget_states(opened_ledger(Settings()))
    if as_json:
        stdout.print_json(json.dumps([state.model_dump(mode="json") for state in states]))
    else:
        stdout.print(render_budgets(states) if states else "no budget is in force; stillroom budget set makes one")


@budget_app.command()
def withdraw(name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """End a budget; what it did stays in the ledger."""
    from flows.books import opened_ledger
    from ledger.budgets import withdraw_budget

    withdraw_budget(opened_ledger(Settings()), name)
    stdout.print(f"budget {name} is withdrawn", highlight=False, markup=False)


def refuse_over_budget(settings: Settings, vertical: str, usd: float | None) -> None:
    """Raise BudgetError where a plan's expected cost passes a budget of the ledger; a ledger not begun has none."""
    from flows.books import opened_ledger
    from ledger.budgets import refuse_plan
    from ledger.database import sqlite_file

    file = sqlite_file(settings.ledger)
    if usd is not None and (file is None or file.exists()):
        refuse_plan(opened_ledger(settings), vertical, settings.team, round(usd * 1e6))
