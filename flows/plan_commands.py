"""``stillroom plan ...``: what a build would take, alternatives to it, and how right the planner is."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from flows.command_line import AsJson, Corpus, DefaultRun, Scale, Set, Vertical, stderr, stdout
from flows.settings import Settings, documents
from recipes.load import load

plan_app = typer.Typer(
    cls=DefaultRun,
    no_args_is_help=True,
    help="What a build would run, take and cost, without running anything.\n\n"
    "`stillroom plan finance --scale production --device 8xH100-SXM` plans one; `run` may be left out.",
)
Devices = Annotated[
    list[str] | None,
    typer.Option("--device", help="Of recipes/devices.yaml, e.g. 8xH100-SXM; several times: side by side."),
]


@plan_app.command()
def run(
    vertical: Vertical, scale: Scale = "local", overrides: Set = None, corpus: Corpus = None, device: Devices = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Every stage of a build: device-hours, cost, memory by part, what does not fit, verdicts; refused over budget."""
    from flows.budget_commands import refuse_over_budget
    from flows.history import history
    from flows.plan import plan, require_budget
    from flows.plan_tables import comparison, table

    settings = Settings()
    recipe, found, past = load(vertical, scale, tuple(overrides or ())), documents(corpus, settings), history(settings)
    plans = [plan(recipe, settings, found, one, past) for one in device or [""]]
    if as_json:
        told = [made.model_dump(mode="json") for made in plans]
        stdout.print_json(json.dumps(told[0] if len(told) == 1 else told))
    elif len(plans) > 1:
        stdout.print(comparison(plans))
    else:
        stdout.print(table(plans[0]))
    for note in dict.fromkeys(note for made in plans for note in made.notes):
        stderr.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
    if len(plans) == 1:
        require_budget(plans[0])
        refuse_over_budget(settings, vertical, plans[0].usd_to_run[1] if plans[0].usd_to_run else None)


@plan_app.command()
def check(
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As the table of docs/plan.md.")] = False,
) -> None:
    """The planner against published figures: what it computes, how far off, and which figures contradict themselves."""
    from contracts.errors import GateError
    from flows.plan_check import markdown, rows_as_json, table
    from recipes.published import published

    rows = published()
    if as_json:
        stdout.print_json(json.dumps(rows_as_json(rows)))
    elif as_markdown:
        print(markdown(rows), end="")
    else:
        stdout.print(table(rows))
    outside = [row.id for row in rows if not row.stands]
    if outside:
        hint = "a formula of recipes/ or a row of recipes/published.yaml has changed"
        raise GateError("plan check", "figures are outside of their tolerance", got=", ".join(outside), hint=hint)


@plan_app.command()
def compare(
    vertical: Vertical, scale: Scale = "production", overrides: Set = None,
    device: Annotated[str, typer.Option(help="The build's devices, e.g. 8xH100-SXM.")] = "8xH100-SXM",
    serve_on: Annotated[str, typer.Option(help="The device that students are served on.")] = "L40S",
    tokens_a_day: Annotated[float, typer.Option(help="Prompts and answers together.")] = 5e6,
    months: Annotated[int, typer.Option(help="The horizon.")] = 36,
    student: Annotated[str, typer.Option(help="The student that is served; else the smallest.")] = "",
    build_usd: Annotated[float | None, typer.Option(help="What the build costs in all; else its compute.")] = None,
    refresh_usd: Annotated[float, typer.Option(help="What keeping it up costs a quarter.")] = 0.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """From scratch, fine-tuned or an API: training ratios, costs, break-even and return, from dated facts."""
    from datetime import UTC, datetime

    from flows.compare import Wish
    from flows.compare import compare as make
    from flows.compare_tables import table
    from flows.plan import plan
    from recipes.estimate import group

    settings = Settings()
    recipe, today = load(vertical, scale, tuple(overrides or ())), datetime.now(UTC).date()
    wish = Wish(group(serve_on), tokens_a_day, months, today, student, build_usd, refresh_usd)
    made = make(recipe, plan(recipe, settings, None, device), group(device), wish)
    if as_json:
        stdout.print_json(made.model_dump_json())
    else:
        stdout.print(table(made))


@plan_app.command("history")
def show_history(as_json: AsJson = False) -> None:
    """What earlier builds taught the planner: factors by stage, how wide, and each build predicted by the others."""
    from flows.history import history
    from flows.history_tables import rows, table

    calibration, told = history(Settings())
    if as_json:
        stdout.print_json(json.dumps(rows(calibration)))
    else:
        stdout.print(table(calibration))
    for note in told:
        stderr.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
