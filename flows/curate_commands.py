"""``stillroom curate ...`` and ``stillroom inbox ...``: the data team's part of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from contracts.errors import InputError
from flows.command_line import Corpus, DefaultRun, Scale, Set, stderr, stdout
from flows.settings import Settings, documents
from recipes.load import load, verticals

Engine = Annotated[
    str | None,
    typer.Option(
        help="Where near-duplicates are found: threads (this machine, the default) or ray (Daft on Ray); same result.",
        show_default=False,
    ),
]
RayAddress = Annotated[
    str, typer.Option(help="A running cluster, host:6379 or ray://host:10001; else --engine ray starts a Ray here.")
]

curate_app = typer.Typer(
    cls=DefaultRun,
    no_args_is_help=True,
    help="Curate a corpus, and tell of every document what became of it; nothing is trained.\n\n"
    "`stillroom curate finance --corpus FOLDER` reads a folder laid out as the recipe says, "
    "`stillroom curate inbox/finance` the complete drops of an inbox. `run` may be left out.",
)
inbox_app = typer.Typer(
    no_args_is_help=True, help="The inbox: `inbox/VERTICAL/CORPUS/` with corpus.yaml and documents."
)


@curate_app.command()
def run(
    target: Annotated[
        str,
        typer.Argument(
            help=f"A vertical ({', '.join(verticals())}), or an inbox: a folder or URL named after its vertical.",
            metavar="VERTICAL|INBOX",
        ),
    ],
    scale: Scale = "local",
    corpus: Corpus = None,
    overrides: Set = None,
    engine: Engine = None,
    ray_address: RayAddress = "",
) -> None:
    """Curate, and print where the card lies. An inbox in which nothing has changed is said to be so, and left alone."""
    from flows.fetch import fetched, is_url  # its file systems take a while to import

    settings = Settings()
    overrides = [*(overrides or ()), *_runner(engine, ray_address)]
    if target in verticals():
        load(target, scale, tuple(overrides or ()))
        found = documents(corpus, settings)
        _flow(settings, vertical=target, scale=scale, corpus=str(found) if found else None, overrides=overrides)
        return
    if corpus is not None:
        hint = "give a vertical and --corpus, or an inbox alone"
        raise InputError("--corpus", "does not go with an inbox", got=corpus, hint=hint)
    if is_url(target):
        _run_inbox(fetched(target, settings, _say), scale, overrides, settings)
    else:
        _run_inbox(Path(target).expanduser(), scale, overrides, settings)


def _say(line: str) -> None:
    stderr.print(line, markup=False, highlight=False, soft_wrap=True)


def _runner(engine: str | None, ray_address: str) -> list[str]:
    """The recipe's keys for the two flags. An address alone asks for Ray."""
    if ray_address and engine == "threads":
        hint = "leave out --engine threads, or the address"
        raise InputError("--ray-address", "does not go with --engine threads", got=ray_address, hint=hint)
    engine = engine or ("ray" if ray_address else None)
    address = [f"curation.ray_address={ray_address}"] if ray_address else []
    return [f"curation.engine={engine}", *address] if engine else []


def _run_inbox(target: Path, scale: str, overrides: list[str] | None, settings: Settings) -> None:
    from flows.inbox import Records, vertical_of, view

    if not target.exists():
        hint = f"a vertical is one of {', '.join(verticals())}; an inbox is a folder, e.g. inbox/finance"
        raise InputError(str(target), "is no vertical and no folder", hint=hint)
    vertical, folder = vertical_of(target), target.resolve()
    seen = view(folder, load(vertical, scale, tuple(overrides or ())), settings)
    for drop in seen.drops:
        if drop.status != "complete":
            _say(f"{drop.name} is {drop.status}: {drop.reason}")
    card = Records(settings).card(seen, scale)
    if card:
        stderr.print("nothing has changed since the last curation")
        stdout.print(card, soft_wrap=True)
    elif all(drop.status == "waiting" for drop in seen.drops):
        stderr.print(f"{folder}: no complete drop")
    else:
        _flow(settings, vertical=vertical, scale=scale, overrides=overrides, inbox=str(folder.parent))


def _flow(settings: Settings, **order: Any) -> None:
    from flows import platform

    platform.up(settings, stderr.print)
    from flows.curate import curate

    stdout.print(curate(**order), soft_wrap=True)


@curate_app.command()
def show(
    identity: Annotated[str, typer.Argument(help="A document's id, e.g. sec_filings/AAPL.", metavar="ID")],
) -> None:
    """One document's whole story: the bytes it came from, every step's verdict, its copies, its shard row or reject."""
    from flows.stories import stories

    for line in stories(Settings().home, identity):
        stdout.print(line, soft_wrap=True, highlight=False, markup=False)


@curate_app.command()
def remove(
    what: Annotated[str, typer.Argument(help="A document's id, or the name of a source or drop.", metavar="ID|CORPUS")],
    why: Annotated[str, typer.Option(help="For the record.")] = "",
) -> None:
    """Ask for removal: the next curation leaves it out. Lists what holds it now, and the cheapest rebuild."""
    from flows.holdings import removal_report
    from flows.removals import request

    settings = Settings()
    lines = removal_report(settings, what)
    new = request(settings.home, what, why)
    stdout.print(f"{what}: removal {'requested' if new else 'was requested already'}", soft_wrap=True, highlight=False)
    for line in lines:
        stdout.print(line, soft_wrap=True, highlight=False, markup=False)


@inbox_app.command(name="list")
def list_drops(scale: Scale = "local") -> None:
    """Every drop of every vertical, and whether it is complete."""
    from data_curation.drops import look
    from flows.watch import clock

    settings = Settings()
    shown = Table("vertical", "drop", "status", "files", "reason")
    for vertical in verticals():
        folder = settings.inbox / vertical
        if folder.is_dir():
            for drop in look(folder, load(vertical, scale).curation, clock(), settings.inbox_rest_seconds):
                shown.add_row(vertical, drop.name, drop.status, f"{len(drop.files):,}", drop.reason)
    stdout.print(shown if shown.row_count else f"{settings.inbox}: no drops", markup=False, highlight=False)


@inbox_app.command()
def watch(scale: Scale = "local") -> None:
    """Look at the inboxes every few seconds, start curate/inbox for what is complete; `stillroom up` does this too."""
    from flows import platform
    from flows.watch import watch as watch_inboxes

    settings = Settings()
    settings.inbox.mkdir(parents=True, exist_ok=True)
    platform.adopt(settings)
    stderr.print(f"watching {settings.inbox}; Ctrl-C ends it", soft_wrap=True)
    watch_inboxes(settings, scale)
