"""Leases and the spans they turn out to cover, read from the rows of ``lease`` and ``lease_event``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, case, func, select

from ledger import processes
from ledger.events import now
from ledger.schema import lease, lease_event

Status = Literal["open", "done", "failed", "killed"]


@dataclass(frozen=True)
class Lease:
    """An open line in the ledger: who holds which device since when."""

    id: str
    build_id: str
    stage: str
    artifact_fingerprint: str
    attempt: int
    device: str
    device_count: int
    host: str
    boot_id: str
    supervisor_pid: int
    supervisor_start_ticks: int
    opened_at: datetime
    opened_boot_seconds: float

    def clock(self) -> datetime:
        """Now, on the lease's own clock: its opening plus the seconds since, whatever the wall clock did meanwhile.

        On another boot than the lease's there is only the wall clock.
        """
        if self.boot_id and self.boot_id == processes.boot_id():
            return self.opened_at + timedelta(seconds=processes.boot_seconds() - self.opened_boot_seconds)
        return now()


@dataclass(frozen=True)
class Span:
    """A lease with what its events tell."""

    lease: Lease
    beat_at: datetime | None
    reconciled_at: datetime | None
    closed_at: datetime | None
    exit_code: int | None

    @property
    def last_sign(self) -> datetime:
        """The last moment at which the device is known to have been held."""
        return max(self.lease.opened_at, self.beat_at or self.lease.opened_at)

    @property
    def ended_at(self) -> datetime | None:
        """Close, else reconciled (unless a later sign of life reopened it), else None: still open."""
        if self.closed_at is not None:
            return max(self.closed_at, self.last_sign)
        if self.reconciled_at is not None and self.reconciled_at >= self.last_sign:
            return self.reconciled_at
        return None

    @property
    def status(self) -> Status:
        """``done`` is closed with exit code 0; ``killed`` was ended by the reconciler."""
        if self.ended_at is None:
            return "open"
        if self.closed_at is None:
            return "killed"
        return "done" if self.exit_code == 0 else "failed"

    @property
    def billed_until(self) -> datetime:
        """The end, or for an open lease the last sign of life."""
        return self.ended_at or self.last_sign

    @property
    def billed_device_seconds(self) -> float:
        """Seconds from the opening to the end, times the devices held."""
        return (self.billed_until - self.lease.opened_at).total_seconds() * self.lease.device_count


def read_spans(connection: Connection, *conditions: ColumnElement[bool]) -> list[Span]:
    """The spans of all leases that meet the conditions, oldest first."""
    event = lease_event.c
    signs = (
        select(
            event.lease_id,
            func.max(case((event.kind.in_(["beat", "child"]), event.at))).label("beat_at"),
            func.max(case((event.kind == "reconciled", event.at))).label("reconciled_at"),
            func.max(case((event.kind == "close", event.at))).label("closed_at"),
            func.max(case((event.kind == "close", event.exit_code))).label("exit_code"),
        )
        .where(event.lease_id.is_not(None), event.kind != "saved")
        .group_by(event.lease_id)
        .subquery()
    )
    told = (signs.c.beat_at, signs.c.reconciled_at, signs.c.closed_at, signs.c.exit_code)
    query = (
        select(lease, *told)
        .outerjoin(signs, signs.c.lease_id == lease.c.id)
        .where(*conditions)
        .order_by(lease.c.opened_at, lease.c.attempt)
    )
    return [_span(dict(row._mapping)) for row in connection.execute(query)]


def _span(row: dict[str, Any]) -> Span:
    told = {name: row.pop(name) for name in ("beat_at", "reconciled_at", "closed_at", "exit_code")}
    return Span(lease=Lease(**row), **told)


def read_open(connection: Connection, *conditions: ColumnElement[bool]) -> list[Span]:
    """The spans that have no end yet."""
    closed = select(lease_event.c.lease_id).where(lease_event.c.kind == "close", lease_event.c.lease_id == lease.c.id)
    return [span for span in read_spans(connection, ~closed.exists(), *conditions) if span.ended_at is None]


def read_children(connection: Connection, lease_id: str) -> list[tuple[int, int]]:
    """``(pid, start ticks)`` of every process that was attached to the lease."""
    query = select(lease_event.c.detail).where(lease_event.c.lease_id == lease_id, lease_event.c.kind == "child")
    return [(detail["pid"], detail["start_ticks"]) for detail in connection.execute(query).scalars()]
