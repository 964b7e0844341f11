"""``stillroom ledger book|adjust|invoice|match|price``: what people bring to the ledger, always with evidence."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import InputError
from flows.command_line import AsJson, stdout
from flows.settings import Settings

Usd = Annotated[str, typer.Option(help="How much, e.g. 1234.56.")]
Currency = Annotated[str, typer.Option(help="USD; nothing else is booked.")]
Evidence = Annotated[str, typer.Option(help="What it rests on: an invoice's number, a file, a URL.")]
From = Annotated[str, typer.Option("--from", help="First day, or a time with its zone.")]
To = Annotated[str, typer.Option("--to", help="End, exclusive; the first day if left out.")]
OfVertical = Annotated[str, typer.Option(help="Whose it is.")]
OfTeam = Annotated[str, typer.Option(help="Whose it is; STILLROOM_TEAM if left out.")]
OfBuild = Annotated[str, typer.Option(help="The build it belongs to, by its id.")]
Device = Annotated[str, typer.Option(help="The device it is about.")]
Provider = Annotated[str, typer.Option(help="Who is paid.")]


def book(
    category: Annotated[str, typer.Argument(help="annotation, storage, people, api_tokens, licence or other.")],
    usd: Usd,
    provider: Provider,
    evidence: Evidence,
    start: From,
    end: To = "",
    quantity: Annotated[float, typer.Option(help="How many units.")] = 1.0,
    unit: Annotated[str, typer.Option(help="Of what: Hours, Rows, GB-Months, Tokens.")] = "Units",
    vertical: OfVertical = "",
    team: OfTeam = "",
    build: OfBuild = "",
    stage: Annotated[str, typer.Option(help="The stage it was for.")] = "",
    artifact: Annotated[str, typer.Option(help="The artifact it was for, by its fingerprint.")] = "",
    note: Annotated[str, typer.Option(help="For the record.")] = "",
    currency: Currency = "USD",
) -> None:
    """Book an expense that no device metered. The same booking twice is one."""
    from flows.books import opened_ledger
    from ledger.amounts import micro_usd
    from ledger.charges import Expense, book_expense

    first, last = _period(start, end)
    booked = Expense(
        category=category, provider=provider, micro_usd=micro_usd(f"expense {category}", usd, currency),
        evidence=evidence, evidence_sha256=_digest(evidence), period_start=first, period_end=last, quantity=quantity,
        unit=unit, vertical=vertical, team=team or Settings().team, build_id=build or None, stage=stage,
        artifact_fingerprint=artifact, note=note,
    )  # fmt: skip
    _told(book_expense(opened_ledger(Settings()), booked), f"{category}, {usd} USD to {provider}")


def adjust(
    usd: Annotated[str, typer.Option(help="How much, with its sign; as --usd=-12.50 where it is negative.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    evidence: Evidence,
    start: From,
    end: To = "",
    vertical: OfVertical = "",
    team: OfTeam = "",
    build: OfBuild = "",
    device: Device = "",
    currency: Currency = "USD",
) -> None:
    """Book a signed correction: it stands beside what it corrects, in every report a column of its own."""
    from flows.books import opened_ledger
    from ledger.amounts import micro_usd
    from ledger.charges import Adjustment
    from ledger.charges import adjust as book_adjustment

    first, last = _period(start, end)
    booked = Adjustment(
        micro_usd=micro_usd("adjustment", usd, currency, signed=True), reason=reason, evidence=evidence,
        period_start=first, period_end=last, vertical=vertical, team=team, build_id=build or None, device=device,
    )  # fmt: skip
    _told(book_adjustment(opened_ledger(Settings()), booked), f"adjustment of {usd} USD")


def invoice(
    path: Annotated[Path, typer.Argument(help="CSV with a header, or a JSON list of objects.")],
    provider: Provider,
) -> None:
    """Import a provider's invoice: invoice, line, device, period_start, period_end, amount, currency, device_hours."""
    from flows.books import opened_ledger
    from ledger.invoices import import_invoice, read_invoice

    lines = read_invoice(path, provider)
    added = import_invoice(opened_ledger(Settings()), lines)
    stdout.print(f"{path}: {added} lines are new, {len(lines) - added} were known", soft_wrap=True, highlight=False)


def match(
    provider: Annotated[str, typer.Option(help="Of one provider only.")] = "",
    settle: Annotated[bool, typer.Option(help="Book the open differences as adjustments.")] = False,
    as_json: AsJson = False,
) -> None:
    """Invoices beside what was booked: equal, billed more, billed less, and what cannot be judged."""
    from flows.books import opened_ledger
    from ledger.invoice_match import match_invoices
    from ledger.invoice_match import settle as settle_differences
    from ledger.tables import render_matches

    books = opened_ledger(Settings())
    if settle:
        stdout.print(f"{len(settle_differences(books, provider))} differences settled")
    matches = match_invoices(books, provider)
    if as_json:
        stdout.print_json(json.dumps([one.model_dump(mode="json") for one in matches]))
    else:
        stdout.print(render_matches(matches))


def price(
    device: Annotated[str, typer.Argument(help="As the ledger books it, e.g. NVIDIA H200.")],
    usd: Annotated[str, typer.Option(help="USD per device-hour.")],
    start: From,
    source: Annotated[str, typer.Option(help="Contract or list.")],
    currency: Currency = "USD",
) -> None:
    """Say what a device-hour costs from a day on; another price for the same day supersedes the first."""
    from flows.books import opened_ledger
    from ledger.amounts import micro_usd
    from ledger.moments import moment

    amount = micro_usd(f"price of {device}", usd, currency) / 1e6
    if not source.strip():
        raise InputError(f"price of {device}", "needs a source", hint="a contract's number, or a list's address")
    added = opened_ledger(Settings()).load_prices({device: [(moment("--from", start), amount, source)]})
    _told(bool(added), f"{device}: {usd} USD a device-hour from {start}")


def _period(start: str, end: str) -> tuple[datetime, datetime]:
    from ledger.moments import moment

    first = moment("--from", start)
    return first, moment("--to", end) if end else first


def _digest(evidence: str) -> str:
    """SHA-256 of the evidence where it is a file here: what it was can be shown later."""
    path = Path(evidence)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _told(new: bool, what: str) -> None:
    stdout.print(f"{what}: {'booked' if new else 'was booked already'}", soft_wrap=True, highlight=False, markup=False)
