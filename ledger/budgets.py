"""Setting, withdrawing and reading budgets, and asking them: at the plan, and at a checkpoint of a running stage."""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, insert, select

from contracts.errors import BudgetError, LedgerError
from ledger.amounts import micro_usd
from ledger.book import Ledger
from ledger.budget_state import BudgetState, in_force, read_reserved, read_state
from ledger.database import UnreachableError
from ledger.events import now, utc
from ledger.leases import Lease
from ledger.prices import read_prices
from ledger.reservations import outlook, overspent
from ledger.schema import build
from ledger.schema_money import BUDGET_PERIODS, BUDGET_POLICIES, BUDGET_SCOPES, budget

logger = logging.getLogger(__name__)


def set_budget(
    ledger: Ledger,
    name: str,
    usd: Decimal | float | str,
    *,
    scope: str = "all",
    scope_value: str = "",
    period: str = "total",
    policy: str = "block",
    warn_share: float = 0.8,
) -> None:
    """Make a budget, or change the one of that name; the old version stays in the ledger.

    Raises LedgerError for a name, scope, period or policy that is not known, or a share outside 0 to 1.
    """
    subject = f"budget {name}"
    if not name.strip():
        raise LedgerError("budget", "needs a name", hint="for example finance-monthly")
    for what, value, known in (
        ("scope", scope, BUDGET_SCOPES),
        ("period", period, BUDGET_PERIODS),
        ("policy", policy, BUDGET_POLICIES),
    ):
        if value not in known:
            raise LedgerError(subject, f"has a {what} that is not known", got=value, hint=f"one of {', '.join(known)}")
    if (scope == "all") != (not scope_value):
        hint = "for example --vertical finance; without any it is over all builds"
        raise LedgerError(subject, "must name what it is over", got=f"{scope} {scope_value}".strip(), hint=hint)
    if not 0 < warn_share <= 1:
        raise LedgerError(subject, "must warn at a share above 0 and up to 1", got=warn_share)
    amount = micro_usd(subject, usd)
    with ledger.writing() as connection:
        values = {"scope": scope, "scope_value": scope_value, "period": period, "policy": policy}
        _insert(connection, name, values | {"micro_usd": amount, "warn_share": warn_share})


def withdraw_budget(ledger: Ledger, name: str) -> None:
    """End a budget. Raises LedgerError where none of that name is in force."""
    with ledger.writing() as connection:
        known = [row for row in in_force(connection) if row["name"] == name]
        if not known:
            names = ", ".join(row["name"] for row in in_force(connection)) or "there is none"
            raise LedgerError(f"budget {name}", "is not in force", hint=f"in force: {names}")
        kept = {key: known[0][key] for key in ("scope", "scope_value", "period", "policy", "warn_share")}
        _insert(connection, name, kept | {"micro_usd": None})


def budget_states(ledger: Ledger, at: datetime | None = None) -> list[BudgetState]:
    """Every budget in force, in the period that holds ``at`` (now)."""
    moment = utc(at or now())
    with ledger.reading() as connection:
        prices = read_prices(connection)
        return [read_state(connection, row, moment, prices) for row in in_force(connection)]


def reserved_now(ledger: Ledger, at: datetime | None = None) -> dict[str, int]:
    """Micro-USD that running stages reserve in each budget in force, by its name: what they have cost is not in it."""
    moment = utc(at or now())
    with ledger.reading() as connection:
        prices = read_prices(connection)
        return {row["name"]: read_reserved(connection, row, moment, prices) for row in in_force(connection)}


def refuse_plan(ledger: Ledger, vertical: str, team: str, expected_micro_usd: int, at: datetime | None = None) -> None:
    """Raise BudgetError where a plan's cost would pass a budget that blocks or stops."""
    with ledger.reading() as connection:
        states = outlook(connection, {"id": "", "vertical": vertical, "team": team}, utc(at or now()))
    for state in states:
        if state.binding and not state.allows(expected_micro_usd):
            raise state.refusal(f"this plan of {vertical}", expected_micro_usd)


def stop_if_overspent(ledger: Ledger, lease: Lease) -> None:
    """At a checkpoint of a running stage: raise BudgetError where a budget that stops is spent.

    The lease is billed up to now first. A run is not ended because its ledger cannot be reached: then nothing happens.
    """
    try:
        ledger.beat(lease.id)
        error = _overspent(ledger, lease)
    except UnreachableError as unreachable:
        logger.warning("budgets could not be asked at a checkpoint: %s", unreachable.line)
        return
    if error is not None:
        raise error


def _overspent(ledger: Ledger, lease: Lease) -> BudgetError | None:
    with ledger.reading() as connection:
        if not in_force(connection):
            return None
    with ledger.writing() as connection:
        entered = connection.execute(select(build).where(build.c.id == lease.build_id)).mappings().one()
        return overspent(connection, dict(entered), lease, lease.clock())


def _insert(connection: Connection, name: str, values: dict[str, object]) -> None:
    """A new version; the unique ``supersedes`` lets only one of two changes at once through."""
    latest = select(budget.c.id).where(budget.c.name == name).order_by(budget.c.id.desc()).limit(1)
    before = connection.execute(latest).scalar()
    row = values | {"name": name, "valid_from": now(), "recorded_at": now(), "supersedes": before}
    connection.execute(insert(budget).values(**row))
