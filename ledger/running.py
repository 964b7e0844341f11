"""Leases that are held now: since when, when they were last heard of, what they cost so far, what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from ledger.book import Ledger
from ledger.breakdown import Scope
from ledger.leases import Span, read_open
from ledger.prices import device_kind, read_prices
from ledger.schema import build, estimate
from ledger.snapshot import BuildRow


@dataclass(frozen=True)
class Held:
    """One open lease. Money in micro-USD, None where a part has no price."""

    span: Span
    build: BuildRow
    expected_device_seconds: float | None
    """What the plan said."""
    cost_micro_usd: int | None
    """Up to the last sign of life: what would be billed if nothing more were heard."""

    def elapsed_seconds(self, now: datetime) -> float:
        """Since the opening, by the clock of whoever looks."""
        return max(0.0, (now - self.span.lease.opened_at).total_seconds())

    def silent_seconds(self, now: datetime) -> float:
        """Since the last sign of life."""
        return max(0.0, (now - self.span.last_sign).total_seconds())

    @property
    def on_gpu(self) -> bool:
        """Whether it holds an accelerator."""
        return device_kind(self.span.lease.device) == "gpu"

    @property
    def share_done(self) -> float | None:
        """Device-seconds held over those expected; above 1 it takes longer than planned."""
        if not self.expected_device_seconds:
            return None
        return self.span.billed_device_seconds / self.expected_device_seconds


def held_now(ledger: Ledger, scope: Scope) -> list[Held]:
    """The open leases of the scope's builds, oldest first; its dates do not matter. Raises LedgerError."""
    with ledger.reading() as connection:
        spans = read_open(connection)
        if not spans:
            return []
        prices = read_prices(connection)
        ids = {span.lease.build_id for span in spans}
        columns = (build.c.id, build.c.vertical, build.c.scale, build.c.team, build.c.started_at)
        rows = {row.id: BuildRow(*row) for row in connection.execute(select(*columns).where(build.c.id.in_(ids)))}
        query = select(estimate).where(estimate.c.build_id.in_(ids)).order_by(estimate.c.id)
        expected = {(row.build_id, row.stage, row.device): row.device_seconds for row in connection.execute(query)}
    return [
        Held(
            span=span,
            build=rows[span.lease.build_id],
            expected_device_seconds=expected.get((span.lease.build_id, span.lease.stage, span.lease.device)),
            cost_micro_usd=span.cost(prices),
        )
        for span in spans
        if scope.covers(rows[span.lease.build_id])
    ]
