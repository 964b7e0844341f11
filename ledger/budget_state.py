"""Budgets as they stand: what each may spend, has spent and has reserved in its period.

A budget covers a vertical, a team, a build or everything, in all, a calendar month or a calendar quarter (UTC). Its
spend is the cost of leases' time inside the period, up to the last sign of life, plus expenses and adjustments whose
period begins there. A running lease's reservation counts as far as it exceeds what the lease has cost so far, and
lapses with the lease. Time on a device without a price counts nothing and is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, Table, func, select, true

from contracts.errors import BudgetError
from ledger.leases import read_open, read_spans
from ledger.prices import Prices
from ledger.schema import build, lease
from ledger.schema_money import adjustment, budget, budget_event, expense

FIRST_EVER, LAST_EVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class BudgetState(BaseModel):
    """One budget in force, in its current period."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    name: str
    scope: str
    scope_value: str
    period: str
    policy: str
    """``warn`` only tells; ``block`` starts nothing past it; ``stop`` also ends runs at their next checkpoint."""
    warn_share: float
    period_start: datetime
    period_end: datetime
    limit_micro_usd: int
    spent_micro_usd: int
    reserved_micro_usd: int
    """Of running leases, beyond what they have cost so far."""
    unpriced_leases: int

    @property
    def committed_micro_usd(self) -> int:
        """Spent and reserved."""
        return self.spent_micro_usd + self.reserved_micro_usd

    @property
    def binding(self) -> bool:
        """Whether it refuses."""
        return self.policy != "warn"

    def allows(self, expected_micro_usd: int) -> bool:
        """Whether so much more stays within it; nothing more does once it is used up."""
        return (
            self.committed_micro_usd < self.limit_micro_usd
            and self.committed_micro_usd + expected_micro_usd <= self.limit_micro_usd
        )

    def warns(self, expected_micro_usd: int) -> bool:
        """Whether so much more reaches the share at which it warns."""
        return self.committed_micro_usd + expected_micro_usd >= self.warn_share * self.limit_micro_usd

    @property
    def told(self) -> str:
        """The budget in words: ``vertical finance may spend 100 USD a month``."""
        who = "all builds" if self.scope == "all" else f"{self.scope} {self.scope_value}"
        often = {"total": "in all", "month": "a month", "quarter": "a quarter"}[self.period]
        return f"{who} may spend {self.limit_micro_usd / 1e6:,.2f} USD {often}"

    def refusal(self, what: str, expected_micro_usd: int) -> BudgetError:
        """The error of something that would pass it."""
        spent = f"{self.spent_micro_usd / 1e6:,.4f} spent and {self.reserved_micro_usd / 1e6:,.4f} reserved"
        wait = "" if self.period == "total" else f", or wait for {self.period_end:%Y-%m-%d}"
        return BudgetError(
            f"budget {self.name}",
            f"{self.told}, {spent} since {self.period_start:%Y-%m-%d}"
            if self.period != "total"
            else f"{self.told}, {spent}",
            got=f"{expected_micro_usd / 1e6:,.4f} USD more for {what}",
            hint=f"raise it with stillroom budget set {self.name} --usd AMOUNT{wait}; what is complete stays",
        )


def period_bounds(period: str, moment: datetime) -> tuple[datetime, datetime]:
    """Start (inclusive) and end (exclusive) of the calendar month or quarter that holds the moment, or of all time."""
    if period == "total":
        return FIRST_EVER, LAST_EVER
    months = 1 if period == "month" else 3
    first = (moment.month - 1) // months * months
    years, month = divmod(first + months, 12)
    return datetime(moment.year, first + 1, 1, tzinfo=UTC), datetime(moment.year + years, month + 1, 1, tzinfo=UTC)


def in_force(connection: Connection, *, lock: bool = False) -> list[dict[str, Any]]:
    """Budgets neither superseded nor withdrawn, by id; ``lock`` holds their rows to the transaction's end."""
    replaced = select(budget.c.supersedes).where(budget.c.supersedes.is_not(None))
    query = select(budget).where(budget.c.id.not_in(replaced), budget.c.micro_usd.is_not(None)).order_by(budget.c.id)
    return [dict(row) for row in connection.execute(query.with_for_update() if lock else query).mappings()]


def covers(row: Mapping[str, Any], of: Mapping[str, Any]) -> bool:
    """Whether a budget is over a build (its row: ``id``, ``vertical``, ``team``)."""
    named = {"all": "", "vertical": of["vertical"], "team": of["team"], "build": of["id"]}
    return bool(row["scope_value"] == named[row["scope"]])


def read_state(connection: Connection, row: Mapping[str, Any], at: datetime, prices: Prices) -> BudgetState:
    """A budget's row with what is spent and reserved in the period that holds ``at``."""
    start, end = period_bounds(row["period"], at)
    spans = read_spans(connection, *_leases_of(row), lease.c.opened_at < end)
    costs = {span.lease.id: span.cost(prices, start, end) for span in spans}
    known = sum(cost for cost in costs.values() if cost is not None)
    booked = sum(_booked(connection, table, row, start, end) for table in (expense, adjustment))
    running = [span for span in spans if span.status == "open"]
    return BudgetState(
        **{name: row[name] for name in ("id", "name", "scope", "scope_value", "period", "policy", "warn_share")},
        period_start=start,
        period_end=end,
        limit_micro_usd=row["micro_usd"],
        spent_micro_usd=known + booked,
        reserved_micro_usd=_reserved(connection, row["id"], {span.lease.id: costs[span.lease.id] for span in running}),
        unpriced_leases=sum(cost is None for cost in costs.values()),
    )


def read_reserved(connection: Connection, row: Mapping[str, Any], at: datetime, prices: Prices) -> int:
    """What a budget's running leases reserved beyond their cost so far; reads nothing of those that have ended."""
    start, end = period_bounds(row["period"], at)
    running = read_open(connection, *_leases_of(row), lease.c.opened_at < end)
    return _reserved(connection, row["id"], {span.lease.id: span.cost(prices, start, end) for span in running})


def _leases_of(row: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    match row["scope"]:
        case "all":
            return []
        case "build":
            return [lease.c.build_id == row["scope_value"]]
        case scope:
            return [lease.c.build_id.in_(select(build.c.id).where(build.c[scope] == row["scope_value"]))]


def _booked(connection: Connection, table: Table, row: Mapping[str, Any], start: datetime, end: datetime) -> int:
    """Expenses or adjustments; one that names a build belongs to that build's vertical and team too."""
    joined = table.outerjoin(build, build.c.id == table.c.build_id)
    scope, value = row["scope"], row["scope_value"]
    mine: ColumnElement[bool] = true()
    if scope == "build":
        mine = table.c.build_id == value
    elif scope != "all":
        named = func.coalesce(func.nullif(table.c[scope], ""), build.c[scope])
        mine = named == value
    query = select(func.sum(table.c.micro_usd)).select_from(joined)
    query = query.where(mine, table.c.period_start >= start, table.c.period_start < end)
    return int(connection.execute(query).scalar() or 0)


def _reserved(connection: Connection, budget_id: int, running: Mapping[str, int | None]) -> int:
    query = select(budget_event.c.lease_id, budget_event.c.micro_usd).where(
        budget_event.c.budget_id.in_(_lineage(connection, budget_id)), budget_event.c.kind == "reserved",
        budget_event.c.lease_id.in_(list(running)),
    )  # fmt: skip
    return sum(max(0, row.micro_usd - (running[row.lease_id] or 0)) for row in connection.execute(query))


def _lineage(connection: Connection, budget_id: int) -> list[int]:
    """A budget's row and those it supersedes: what an earlier version reserved is still reserved."""
    found = [budget_id]
    while True:
        query = select(budget.c.supersedes).where(budget.c.id == found[-1])
        before = connection.execute(query).scalar()
        if before is None:
            return found
        found.append(int(before))
