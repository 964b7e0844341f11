"""Invoices against the ledger: a group is all lines of one invoice for one device over one period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, select

from contracts.errors import LedgerError
from ledger.book import Ledger
from ledger.charges import Adjustment, insert_adjustment
from ledger.leases import Span, read_spans
from ledger.prices import Prices, read_prices
from ledger.schema import build, lease
from ledger.schema_money import adjustment, provider_charge

TOLERANCE = 0.005
"""A difference below this share of the invoice is called equal: providers round to seconds and cents."""


class Match(BaseModel):
    """One device over one period: invoiced, booked, adjusted. Money in micro-USD, hours are device-hours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    invoice: str
    device: str
    period_start: datetime
    period_end: datetime
    invoiced_hours: float | None
    booked_hours: float
    invoiced_micro_usd: int
    booked_micro_usd: int | None
    """None where the device has no price for a part of the time."""
    adjusted_micro_usd: int
    verdict: str
    """``equal``, ``billed more`` or ``billed less`` than booked, ``nothing booked``, ``no price``, ``still open``,
    ``settled``, ``overlaps`` another period of the same device."""
    provider_charge_id: int

    @property
    def difference_micro_usd(self) -> int | None:
        """Invoiced less booked and adjusted."""
        if self.booked_micro_usd is None:
            return None
        return self.invoiced_micro_usd - self.booked_micro_usd - self.adjusted_micro_usd


def match_invoices(ledger: Ledger, provider: str = "") -> list[Match]:
    """Every invoiced device and period beside what the ledger booked for it; of one provider, or of all."""
    with ledger.reading() as connection:
        return [match for match, _, _ in _matched(connection, provider)]


def settle(ledger: Ledger, provider: str = "") -> list[Match]:
    """Book the open differences as adjustments, and return what was settled. Doing it again changes nothing.

    Each is split over the verticals and teams whose leases held the device, in proportion to their booked cost. What
    cannot be judged (no price, overlapping periods, leases still open) is left, and ``match_invoices`` says why.
    """
    settled = []
    with ledger.writing() as connection:
        for match, spans, prices in _matched(connection, provider):
            difference = match.difference_micro_usd
            if match.verdict in ("billed more", "billed less", "nothing booked") and difference:
                for (vertical, team), amount in _split(connection, difference, match, spans, prices).items():
                    insert_adjustment(connection, _adjustment(match, vertical, team, amount))
                settled.append(match)
    return settled


def _matched(connection: Connection, provider: str) -> Iterable[tuple[Match, list[Span], Prices]]:
    prices = read_prices(connection)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    query = select(provider_charge).order_by(provider_charge.c.id)
    for row in connection.execute(query).mappings():
        key = tuple(row[name] for name in ("provider", "invoice", "device", "period_start", "period_end"))
        if not provider or row["provider"] == provider:
            groups.setdefault(key, []).append(dict(row))
    if provider and not groups:
        raise LedgerError(f"provider {provider}", "has no invoice here", hint="stillroom book invoice FILE imports one")
    for key, rows in groups.items():
        spans = read_spans(connection, lease.c.device == key[2], lease.c.opened_at < key[4])
        spans = [span for span in spans if span.billed_until > key[3]]
        overlaps = any(
            other != key and other[2] == key[2] and other[3] < key[4] and key[3] < other[4] for other in groups
        )
        yield _judged(connection, key, rows, spans, prices, overlaps), spans, prices


def _judged(
    connection: Connection, key: tuple[Any, ...], rows: list[dict[str, Any]], spans: list[Span], prices: Prices,
    overlaps: bool,
) -> Match:  # fmt: skip
    costs = [span.cost(prices, key[3], key[4]) for span in spans]
    ids = [row["id"] for row in rows]
    query = select(func.sum(adjustment.c.micro_usd)).where(adjustment.c.provider_charge_id.in_(ids))
    hours = [row["device_hours"] for row in rows if row["device_hours"] is not None]
    invoiced, booked = sum(row["micro_usd"] for row in rows), sum(cost for cost in costs if cost is not None)
    adjusted = int(connection.execute(query).scalar() or 0)
    if overlaps:
        verdict = "overlaps"
    elif any(cost is None for cost in costs):
        verdict = "no price"
    elif any(span.status == "open" for span in spans):
        verdict = "still open"
    elif abs(invoiced - booked - adjusted) <= TOLERANCE * abs(invoiced):
        verdict = "settled" if adjusted else "equal"
    elif not spans:
        verdict = "nothing booked"
    else:
        verdict = "billed more" if invoiced > booked + adjusted else "billed less"
    return Match(
        provider=key[0], invoice=key[1], device=key[2], period_start=key[3], period_end=key[4],
        invoiced_hours=sum(hours) if hours else None,
        booked_hours=sum(_held_seconds(span, key[3], key[4]) for span in spans) / 3600,
        invoiced_micro_usd=invoiced,
        booked_micro_usd=None if any(cost is None for cost in costs) else booked,
        adjusted_micro_usd=adjusted,
        verdict=verdict,
        provider_charge_id=ids[0],
    )  # fmt: skip


def _held_seconds(span: Span, start: datetime, end: datetime) -> float:
    held = (min(span.billed_until, end) - max(span.lease.opened_at, start)).total_seconds()
    return max(0.0, held) * span.lease.device_count * span.lease.share_numerator / span.lease.share_denominator


def _split(
    connection: Connection, difference: int, match: Match, spans: list[Span], prices: Prices
) -> Mapping[tuple[str, str], int]:
    """The difference over (vertical, team), to the last micro-USD; to nobody where nothing was booked."""
    held = {row.id: (row.vertical, row.team) for row in connection.execute(select(build))}
    booked: dict[tuple[str, str], int] = {}
    for span in spans:
        cost = span.cost(prices, match.period_start, match.period_end) or 0
        booked[held[span.lease.build_id]] = booked.get(held[span.lease.build_id], 0) + cost
    whole = sum(booked.values())
    if not whole:
        return {("", ""): difference}
    shares = {key: difference * cost // whole for key, cost in booked.items()}
    largest = max(booked, key=lambda key: booked[key])
    shares[largest] += difference - sum(shares.values())
    return {key: amount for key, amount in shares.items() if amount}


def _adjustment(match: Match, vertical: str, team: str, amount: int) -> Adjustment:
    return Adjustment(
        period_start=match.period_start,
        period_end=match.period_end,
        micro_usd=amount,
        evidence=f"{match.provider} invoice {match.invoice}",
        vertical=vertical,
        team=team,
        device=match.device,
        provider_charge_id=match.provider_charge_id,
        reason=f"{match.verdict}: {match.invoiced_micro_usd / 1e6:.2f} USD invoiced for {match.device}, "
        f"{match.adjusted_micro_usd / 1e6:.2f} USD adjusted before",
    )
