"""``stillroom ledger ...``: what was spent, in tables and files, and the reconciler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.errors import InputError
from flows.booking_commands import adjust, book, invoice, match, price
from flows.command_line import AsJson, DefaultRun, stderr, stdout
from flows.settings import Settings

GROUPINGS = "month, vertical, team, build, scale, stage, artifact, device, category, kind, status, provider"


class DefaultRunOfNothing(DefaultRun):
    """``ledger`` alone is ``ledger run`` too: the last build."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put ``run`` where there is no word at all."""
        return super().parse_args(ctx, args or ["run"])


ledger_app = typer.Typer(
    cls=DefaultRunOfNothing,
    help="Device-seconds and money, as booked.\n\n"
    "`stillroom ledger` shows the last build, `stillroom ledger BUILD` one of them, `stillroom ledger --all` a line a "
    "build; `run` may be left out.",
)
for booking in (book, adjust, invoice, match, price):
    ledger_app.command()(booking)
Month = Annotated[str, typer.Option(help="One month, e.g. 2026-03; all of them if left out.", metavar="YYYY-MM")]
Out = Annotated[Path | None, typer.Option(help="Write a file: .csv, .json or .parquet.")]


@ledger_app.command()
def run(
    build: Annotated[str, typer.Argument(help="A build's id (its first letters do); else the last build.")] = "",
    all_builds: Annotated[bool, typer.Option("--all", help="One line a build.")] = False,
    estimates: Annotated[bool, typer.Option("--estimates", help="The plan against what happened.")] = False,
    as_json: AsJson = False,
    out: Out = None,
) -> None:
    """One build's stages with their cost, what of it was wasted, what the cache saved; or a line a build."""
    from flows.books import show

    show(Settings(), build, all_builds, as_json, stdout, estimates=estimates, out=out)


@ledger_app.command()
def spend(
    by: Annotated[
        str | None, typer.Option(help=f"Groupings, by commas: {GROUPINGS}. Left out: month,vertical.")
    ] = None,
    month: Month = "",
    estimates: Annotated[
        bool,
        typer.Option("--estimates", help="What was planned beside it, of all time; else by stage,artifact."),
    ] = False,
    as_json: AsJson = False,
    out: Out = None,
) -> None:
    """Spend by any grouping: hours, waste, compute, expenses and adjustments apart."""
    from flows.books import months, show_spend

    asked = by if by is not None else "stage,artifact" if estimates else "month,vertical"
    names = tuple(name.strip() for name in asked.split(",") if name.strip())
    show_spend(Settings(), names, months(month), as_json, out, stdout, estimates=estimates)


@ledger_app.command()
def focus(
    out: Annotated[Path, typer.Option(help="The file: .csv, .json or .parquet.")],
    month: Month = "",
    priced_only: Annotated[bool, typer.Option(help="Leave out charges without a price instead of refusing.")] = False,
    account: Annotated[str, typer.Option(help="BillingAccountId.")] = "stillroom",
    account_name: Annotated[str, typer.Option(help="BillingAccountName.")] = "Stillroom",
    issuer: Annotated[str, typer.Option(help="InvoiceIssuerName.")] = "Stillroom",
    host: Annotated[str, typer.Option(help="HostProviderName of the devices.")] = "self-hosted",
) -> None:
    """Export FOCUS 1.3: one row a charge; checked before it is written."""
    from flows.books import months, opened_ledger
    from ledger.exports import write
    from ledger.focus import Billing, focus_rows
    from ledger.focus_check import check_rows

    start, end = months(month)
    billing = Billing(account, account_name, issuer, host)
    rows = focus_rows(opened_ledger(Settings()), start, end, billing, priced_only=priced_only)
    breaches = check_rows(rows)
    if breaches:
        raise InputError(
            "FOCUS export", "would not conform", got=breaches[0], hint="the ledger may have nothing booked"
        )
    write(rows, out)
    stdout.print(f"{out}: {len(rows):,} rows, FOCUS 1.3", soft_wrap=True, highlight=False)


@ledger_app.command(name="focus-check")
def focus_check(path: Annotated[Path, typer.Argument(help="A FOCUS file: .csv, .json or .parquet.")]) -> None:
    """Check a FOCUS 1.3 file, of ours or of a provider: columns, nulls, allowed values, periods, products."""
    from ledger.focus_check import check_file

    breaches = check_file(path)
    for breach in breaches[:100]:
        stdout.print(breach, markup=False, highlight=False, soft_wrap=True)
    if breaches:
        raise InputError(str(path), f"breaks FOCUS 1.3 in {len(breaches):,} places", hint="each is named above")
    stdout.print(f"{path}: conforms to FOCUS 1.3", soft_wrap=True, highlight=False)


@ledger_app.command()
def reconcile(
    every: Annotated[float, typer.Option(help="Again and again, after so many seconds; 0: once.", min=0)] = 0.0,
    end_orphans: Annotated[bool, typer.Option(help="End orphans on this machine: SIGTERM, then SIGKILL.")] = False,
    as_json: AsJson = False,
) -> None:
    """End the leases whose supervisor died, at its last sign of life and one TTL at most; name living orphans."""
    from flows.books import ended
    from flows.reconciler import reconcile_once, watch

    settings = Settings()
    if every:
        watch(settings, every, end_orphans=end_orphans)
        return
    found = reconcile_once(settings, end_orphans=end_orphans)
    if as_json:
        stdout.print_json(json.dumps([_plain(vars(one)) for one in found]))
        return
    for one in found:
        stdout.print(str(one), markup=False, highlight=False, soft_wrap=True)
    stderr.print(ended(found))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if name == "at" else value for name, value in row.items()}
