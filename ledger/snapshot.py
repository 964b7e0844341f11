"""The whole ledger as rows in memory, read in one transaction, for pages that show it from many sides.

A row of the view ``charge`` a lease, month and price (or an expense, or an adjustment): 25,000 leases are as many rows,
however many beats they have. ``mark`` tells cheaply whether anything was booked since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from ledger.book import Ledger
from ledger.budget_state import in_force
from ledger.prices import Prices, read_prices
from ledger.schema import build, estimate, lease, lease_event, price
from ledger.schema_money import adjustment, budget, expense
from ledger.views import charge

Mark = tuple[int, ...]


class Charge(NamedTuple):
    """What one lease held in one month at one price, an expense, or an adjustment; an empty text where it has none."""

    kind: str
    """``compute``, ``expense`` or ``adjustment``."""
    category: str
    """``gpu`` or ``cpu`` for compute, else the kind of expense."""
    vertical: str
    team: str
    build_id: str
    scale: str
    stage: str
    artifact: str
    status: str
    item: str
    """The device, or the kind of expense."""
    provider: str
    start_at: datetime
    end_at: datetime
    share_microseconds: int
    """Microseconds held x devices x numerator of the share; 0 for what is no compute."""
    share_denominator: int
    unit_micro_usd: int | None
    """Of a device-hour; None: no price."""
    micro_usd: int | None


class BuildRow(NamedTuple):
    """A build as it was entered."""

    id: str
    vertical: str
    scale: str
    team: str
    started_at: datetime


class EstimateRow(NamedTuple):
    """The latest that a plan said of one build's stage and device."""

    build_id: str
    stage: str
    device: str
    device_seconds: float
    micro_usd: int | None


class Saving(NamedTuple):
    """One cache hit: what the artifact took when it was made, at the prices of the moment of the hit."""

    build_id: str
    stage: str
    artifact: str
    device: str
    device_seconds: float
    at: datetime
    micro_usd: int | None


@dataclass(frozen=True)
class Snapshot:
    """All of it. ``builds`` and ``budgets`` are newest and oldest first."""

    mark: Mark
    builds: tuple[BuildRow, ...] = ()
    charges: tuple[Charge, ...] = ()
    estimates: tuple[EstimateRow, ...] = ()
    savings: tuple[Saving, ...] = ()
    budgets: tuple[dict[str, Any], ...] = ()


EMPTY = Snapshot(())


def snapshot(ledger: Ledger, last: Snapshot | None = None) -> Snapshot:
    """The ledger as it is now; ``last`` itself where nothing was booked since. Raises LedgerError."""
    with ledger.reading() as connection:
        mark = _mark(connection)
        if last is not None and last.mark == mark:
            return last
        prices = read_prices(connection)
        return Snapshot(
            mark,
            tuple(_builds(connection)),
            tuple(_charges(connection)),
            tuple(_estimates(connection)),
            tuple(_savings(connection, prices)),
            tuple(in_force(connection)),
        )


def _mark(connection: Connection) -> Mark:
    """Rows are only ever inserted: the highest ids and the number of leases tell them all."""
    tables = (lease_event, expense, adjustment, price, budget, estimate)
    asked = [select(func.max(table.c.id)).scalar_subquery() for table in tables]
    counts = [select(func.count()).select_from(table).scalar_subquery() for table in (lease, build)]
    return tuple(int(one or 0) for one in connection.execute(select(*asked, *counts)).one())


def builds(ledger: Ledger) -> Sequence[BuildRow]:
    """The builds alone, newest first: what a page offers to choose from. Raises LedgerError."""
    with ledger.reading() as connection:
        return _builds(connection)


def _builds(connection: Connection) -> Sequence[BuildRow]:
    columns = (build.c.id, build.c.vertical, build.c.scale, build.c.team, build.c.started_at)
    query = select(*columns).order_by(build.c.started_at.desc(), build.c.id)
    return [BuildRow(*row) for row in connection.execute(query)]


def _charges(connection: Connection) -> Sequence[Charge]:
    texts = ("kind", "category", "vertical", "team", "build_id", "scale", "stage", "artifact_fingerprint", "status",
             "item", "provider")  # fmt: skip
    figures = ("start_at", "end_at", "share_microseconds", "share_denominator", "unit_micro_usd", "micro_usd")
    query = select(*(func.coalesce(charge.c[name], "") for name in texts), *(charge.c[name] for name in figures))
    held = len(Charge._fields) - 4
    rows = (tuple(row) for row in connection.execute(query))
    return [Charge._make((*row[:held], int(row[held] or 0), int(row[held + 1] or 1), *row[held + 2 :])) for row in rows]


def _estimates(connection: Connection) -> Sequence[EstimateRow]:
    latest = select(func.max(estimate.c.id)).group_by(estimate.c.build_id, estimate.c.stage, estimate.c.device)
    columns = (
        estimate.c.build_id,
        estimate.c.stage,
        estimate.c.device,
        estimate.c.device_seconds,
        estimate.c.micro_usd,
    )
    return [EstimateRow(*row) for row in connection.execute(select(*columns).where(estimate.c.id.in_(latest)))]


def _savings(connection: Connection, prices: Prices) -> Sequence[Saving]:
    # Only savings name a build: the index over it finds them among a million beats.
    query = select(lease_event.c.build_id, lease_event.c.detail, lease_event.c.at).where(
        lease_event.c.build_id > "", lease_event.c.kind == "saved"
    )
    found = []
    for row in connection.execute(query.order_by(lease_event.c.id)):
        told, seconds = row.detail, float(row.detail["device_seconds"])
        cost = prices.cost(told["device"], row.at, row.at + timedelta(seconds=seconds))
        found.append(Saving(row.build_id, told["stage"], told["fingerprint"], told["device"], seconds, row.at, cost))
    return found
