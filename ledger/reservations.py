"""What budgets do about a stage: refuse its start, reserve for it, warn, or end it at a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from contracts.errors import BudgetError
from ledger.budget_state import BudgetState, covers, in_force, read_state
from ledger.database import insert_once
from ledger.events import now
from ledger.leases import Lease
from ledger.prices import read_prices
from ledger.schema_money import budget_event

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reservation:
    """What to write once the lease's own row is there."""

    lease: Lease
    expected_micro_usd: int
    states: list[BudgetState]

    def insert(self, connection: Connection) -> None:
        """Reserve in every budget over the build; warn where the reservation reaches the share that warns."""
        for state in self.states:
            _tell(connection, "reserved", state, self.lease, self.expected_micro_usd, self.lease.opened_at)
            if state.warns(self.expected_micro_usd):
                committed = state.committed_micro_usd + self.expected_micro_usd
                _tell(connection, "warned", state, self.lease, committed, self.lease.opened_at)
                part = committed / state.limit_micro_usd if state.limit_micro_usd else 1.0
                logger.warning("budget %s: %s, %.0f %% is committed", state.name, state.told, 100 * part)


def refuse_or_reserve(
    connection: Connection, entered: Mapping[str, Any], lease: Lease, expected_micro_usd: int | None
) -> Reservation | BudgetError:
    """Ask every budget over the build (its row ``entered``), holding their rows until the transaction ends.

    A refusal is noted and returned. A stage without an estimate is refused only once a budget is used up.
    """
    expected = expected_micro_usd or 0
    states = _states(connection, entered, lease.opened_at, lock=True)
    for state in states:
        if state.binding and not state.allows(expected):
            _tell(connection, "refused", state, lease, expected, lease.opened_at, started=False)
            return state.refusal(f"stage {lease.stage}", expected)
    return Reservation(lease, expected, states)


def outlook(connection: Connection, entered: Mapping[str, Any], at: datetime) -> list[BudgetState]:
    """The budgets over a build that may not have started yet: a mapping with ``id``, ``vertical`` and ``team``."""
    return _states(connection, entered, at, lock=False)


def overspent(connection: Connection, entered: Mapping[str, Any], lease: Lease, at: datetime) -> BudgetError | None:
    """At a checkpoint: the error of a ``stop`` budget that is spent, noted. Needs a writing connection."""
    for state in _states(connection, entered, at, lock=False):
        if state.spent_micro_usd <= state.limit_micro_usd:
            continue
        if state.policy == "stop":
            _tell(connection, "stopped", state, lease, state.spent_micro_usd, at)
            return state.refusal(f"stage {lease.stage}, stopped at a checkpoint", 0)
        if _tell(connection, "warned", state, lease, state.spent_micro_usd, at):
            logger.warning("budget %s: %s and is overspent", state.name, state.told)
    return None


def _states(connection: Connection, entered: Mapping[str, Any], at: datetime, *, lock: bool) -> list[BudgetState]:
    rows = [row for row in in_force(connection, lock=lock) if covers(row, entered)]
    if not rows:
        return []
    prices = read_prices(connection)
    return [read_state(connection, row, at, prices) for row in rows]


def _tell(
    connection: Connection,
    kind: str,
    state: BudgetState,
    lease: Lease,
    micro_usd: int,
    at: datetime,
    *,
    started: bool = True,
) -> bool:
    row = {
        "idempotency_key": f"{kind}:{state.id}:{lease.id}",
        "budget_id": state.id,
        "kind": kind,
        "build_id": lease.build_id,
        "lease_id": lease.id if started else None,  # a refused start has no lease
        "stage": lease.stage,
        "micro_usd": micro_usd,
        "at": at,
        "recorded_at": now(),
        "detail": {"spent_micro_usd": state.spent_micro_usd, "limit_micro_usd": state.limit_micro_usd},
    }
    return insert_once(connection, budget_event, row)
