"""Leases and the spans they turn out to cover, read from the rows of ``lease`` and ``lease_event``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, ScalarSelect, func, select

from ledger import processes
from ledger.events import now
from ledger.prices import Prices
from ledger.schema import lease, lease_event

Status = Literal["open", "done", "failed", "killed", "stopped"]
STOPPED_EXIT_CODE = 75
"""Closes a lease whose run was ended at a checkpoint to go on later (``EX_TEMPFAIL`` of sysexits.h)."""
WHOLE = Fraction(1)
SIGNS = ("beat_at", "child_at", "reconciled_at", "closed_at", "exit_code")


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
    share_numerator: int = 1
    share_denominator: int = 1

    @property
    def share(self) -> Fraction:
        """Which part of each device is held: 1, or what a MIG instance takes of its device."""
        return Fraction(self.share_numerator, self.share_denominator)

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
        """``done`` is closed with exit code 0, ``stopped`` to go on later; ``killed`` was ended by the reconciler."""
        if self.ended_at is None:
            return "open"
        if self.closed_at is None:
            return "killed"
        if self.exit_code == STOPPED_EXIT_CODE:
            return "stopped"
        return "done" if self.exit_code == 0 else "failed"

    @property
    def wasted(self) -> bool:
        """Ended without an artifact and without a checkpoint that was meant to be gone on from."""
        return self.status in ("failed", "killed")

    @property
    def billed_until(self) -> datetime:
        """The end, or for an open lease the last sign of life."""
        return self.ended_at or self.last_sign

    def cost(self, prices: Prices, start: datetime | None = None, end: datetime | None = None) -> int | None:
        """Micro-USD of what was held, or of its part between two moments; None where a part has no price."""
        first = max(self.lease.opened_at, start or self.lease.opened_at)
        last = min(self.billed_until, end or self.billed_until)
        if (start or end) and last <= first:
            return 0
        return prices.cost(self.lease.device, first, last, self.lease.device_count, self.lease.share)

    @property
    def billed_device_seconds(self) -> float:
        """Seconds from the opening to the end, times the devices held, or the part of one."""
        held = (self.billed_until - self.lease.opened_at).total_seconds() * self.lease.device_count
        return held * self.lease.share_numerator / self.lease.share_denominator


def read_spans(connection: Connection, *conditions: ColumnElement[bool]) -> list[Span]:
    """The spans of all leases that meet the conditions, oldest first.

    Each sign is a seek of its own in the index of the events: what this costs does not grow with the beats. The view
    ``lease_span`` says the same for all leases; a test holds the two equal.
    """
    query = (
        select(
            lease,
            _last(lease_event.c.at, "beat").label("beat_at"),
            _last(lease_event.c.at, "child").label("child_at"),
            _last(lease_event.c.at, "reconciled").label("reconciled_at"),
            _last(lease_event.c.at, "close").label("closed_at"),
            _last(lease_event.c.exit_code, "close").label("exit_code"),
        )
        .where(*conditions)
        .order_by(lease.c.opened_at, lease.c.attempt)
    )
    return [_span(dict(row._mapping)) for row in connection.execute(query)]


def _last(column: ColumnElement[Any], kind: str) -> ScalarSelect[Any]:
    mine = lease_event.c.lease_id == lease.c.id
    return select(func.max(column)).where(mine, lease_event.c.kind == kind).scalar_subquery()


def _span(row: dict[str, Any]) -> Span:
    told = {name: row.pop(name) for name in SIGNS}
    signs = [told.pop(name) for name in ("beat_at", "child_at")]
    return Span(lease=Lease(**row), beat_at=max((one for one in signs if one is not None), default=None), **told)


def read_open(connection: Connection, *conditions: ColumnElement[bool]) -> list[Span]:
    """The spans that have no end yet."""
    closed = select(lease_event.c.lease_id).where(lease_event.c.kind == "close", lease_event.c.lease_id == lease.c.id)
    return [span for span in read_spans(connection, ~closed.exists(), *conditions) if span.ended_at is None]


def read_children(connection: Connection, lease_id: str) -> list[tuple[int, int]]:
    """``(pid, start ticks)`` of every process that was attached to the lease."""
    query = select(lease_event.c.detail).where(lease_event.c.lease_id == lease_id, lease_event.c.kind == "child")
    return [(detail["pid"], detail["start_ticks"]) for detail in connection.execute(query).scalars()]
