"""The command line: ``stillroom VERB``. Data to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from contracts.artifacts import unwritable
from contracts.errors import InputError, StillroomError
from flows.budget_commands import budget_app
from flows.command_line import Corpus, Scale, Set, Vertical, stderr, stdout
from flows.cost_command import cost
from flows.curate_commands import curate_app, inbox_app
from flows.dashboard.command import dashboard
from flows.ledger_commands import ledger_app
from flows.plan_commands import plan_app
from flows.promote_command import promote
from flows.settings import Settings, documents
from recipes.load import load, scales, verticals

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turns a company's own documents into a family of small models, and books every GPU-hour on the way.\n\n"
    "Start here: `stillroom plan finance`, then `stillroom demo finance --scale smoke`.",
)
app.add_typer(plan_app, name="plan")
app.add_typer(curate_app, name="curate")
app.add_typer(inbox_app, name="inbox")
app.add_typer(ledger_app, name="ledger")
app.add_typer(budget_app, name="budget")
app.command()(cost)
app.command()(promote)
app.command()(dashboard)
From = Annotated[str, typer.Option("--from", help="Make this stage and all after it anew, e.g. distil.")]
Only = Annotated[str, typer.Option(help="Stop behind this stage, and take all before it from the store, e.g. sft.")]


@app.command()
def validate(vertical: Annotated[str, typer.Argument(help="A vertical; all of them if left out.")] = "") -> None:
    """Check recipes at every scale, and the files beside them: ontology, quality rules, identifiers, writer."""
    from flows.vertical_files import check_files

    names = [vertical] if vertical else verticals()
    for name in names:
        for scale in scales():
            recipe = load(name, scale)
        check_files(recipe)
    stdout.print(f"{len(names)} recipes x {len(scales())} scales and the files beside them are valid")


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(help="recipe, ontology, quality_rules, identifiers, writer or corpus.")],
) -> None:
    """Print the JSON schema of a YAML file that people write; recipes/schemas/ holds all of them for editors."""
    from flows.vertical_files import SCHEMAS, json_schema

    if kind not in SCHEMAS:
        raise InputError("schema", "is of no file", got=repr(kind), hint=f"one of: {', '.join(SCHEMAS)}")
    stdout.out(json_schema(kind), end="", highlight=False)


@app.command()
def run(
    vertical: Vertical, scale: Scale = "local", overrides: Set = None, corpus: Corpus = None,
    from_stage: From = "", only: Only = "",
) -> None:  # fmt: skip
    """Build a vertical here and now, through the same flow as `prefect deployment run`."""
    from flows.stage_names import refuse_unknown_stages

    settings = Settings()
    # what is asked for wrongly is refused before anything is started
    recipe, found = load(vertical, scale, tuple(overrides or ())), documents(corpus, settings)
    refuse_unknown_stages(recipe, settings, found, from_stage, only)
    from flows import platform

    platform.up(settings, stderr.print)
    from flows.build_vertical import build_vertical

    page = build_vertical(vertical, scale, overrides or [], str(found) if found else None, from_stage, only)
    stdout.print(page, soft_wrap=True)


@app.command()
def demo(vertical: Vertical = "finance", scale: Scale = "local", corpus: Corpus = None) -> None:
    """Start everything, launch the deployment, show its progress, and print report, scores and costs."""
    from flows.demo import demo as run_demo

    settings = Settings()
    load(vertical, scale)
    raise typer.Exit(run_demo(settings, vertical, scale, documents(corpus, settings), stdout, stderr))


@app.command()
def why(vertical: Vertical, stage: Annotated[str, typer.Argument(help="A stage of the chain, e.g. distil.")],
        scale: Scale = "local", overrides: Set = None, corpus: Corpus = None) -> None:  # fmt: skip
    """Why a stage would run again: which component of its fingerprint changed since the cached artifact."""
    from flows.why import why as explain

    settings = Settings()
    for line in explain(load(vertical, scale, tuple(overrides or ())), settings, documents(corpus, settings), stage):
        stdout.print(line, soft_wrap=True, highlight=False, markup=False)


@app.command()
def up() -> None:
    """Start Prefect (server, work pool, worker) and register the deployments; state lies in one folder."""
    from flows import platform
    from flows.build import reconcile
    from flows.priced_ledger import open_ledger

    settings = Settings()
    platform.up(settings, stderr.print)
    reconcile(open_ledger(settings), settings)
    stdout.print(f"Prefect: {settings.api_url.removesuffix('/api')}")
    stdout.print(
        f"PREFECT_API_URL={settings.api_url} .venv/bin/prefect deployment run 'build-vertical/finance'", soft_wrap=True
    )


@app.command()
def down() -> None:
    """Stop worker and server, then close what they left open in the ledger."""
    from flows import platform
    from flows.build import reconcile
    from flows.priced_ledger import open_ledger

    settings = Settings()
    platform.down(settings, stderr.print)
    reconcile(open_ledger(settings), settings)


@app.command()
def report(
    build: Annotated[str, typer.Argument(help="A build's id (its first letters do); else the last.")] = "",
) -> None:
    """Print where a build's report lies."""
    folder = Settings().home / "builds"
    pages = [path for path in folder.glob("*/report.html") if path.parent.name.startswith(build)]
    found = sorted(pages, key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError("report", "there is none", got=build or str(folder), hint="stillroom run finance makes one")
    stdout.print(str(found[-1]), soft_wrap=True)


def main() -> None:
    """Run the command line; an error of the house ends with its message and its exit code, not a stack trace."""
    try:
        app(prog_name="stillroom")
    except StillroomError as error:
        _refuse(error)
    except BrokenPipeError:  # whoever read our output has gone, as in `stillroom ledger | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        _refuse(unwritable(error.filename or "a file", error))


def _refuse(error: StillroomError) -> NoReturn:
    stderr.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
