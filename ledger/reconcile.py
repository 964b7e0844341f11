"""The reconciler: ends the leases of supervisors that died without a word, and finds the orphans they left.

Runs at ``up``, before each build, each minute in the worker and by command; any number at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from ledger import processes
from ledger.events import Event, beat_event, insert_event, utc
from ledger.leases import Lease, Span, read_children, read_open


@dataclass(frozen=True)
class Reconciled:
    """What was done about one lease."""

    lease_id: str
    build_id: str
    stage: str
    attempt: int
    outcome: Literal["ended", "orphan"]
    """``ended``: billed up to ``at``. ``orphan``: the supervisor is gone, its child ``pid`` still holds the device."""
    reason: str
    at: datetime
    billed_device_seconds: float
    pid: int | None = None

    def __str__(self) -> str:
        """One line for a log."""
        what = f"orphan {self.pid} still holds" if self.outcome == "orphan" else "ended the lease of"
        held = f"{self.billed_device_seconds:.1f} device-seconds billed up to {self.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{what} build {self.build_id}, {self.stage}, attempt {self.attempt}: {self.reason}; {held}"


def reconcile(connection: Connection, at: datetime | None, ttl_seconds: float) -> list[Reconciled]:
    """Look at every open lease once; ``at`` None means each lease's own clock. Needs a writing connection."""
    done = []
    for span in read_open(connection):
        moment = span.lease.clock() if at is None else utc(at)
        found = _judge(connection, span, moment, ttl_seconds)
        if found is not None:
            done.append(found)
    return done


def _judge(connection: Connection, span: Span, at: datetime, ttl_seconds: float) -> Reconciled | None:
    lease, ttl = span.lease, timedelta(seconds=ttl_seconds)
    if lease.host != processes.host() or not processes.visible():
        if at <= span.last_sign + ttl:
            return None
        return _end(connection, span, at, ttl, f"no sign from {lease.host} for over {ttl_seconds:g} s")
    if lease.boot_id != processes.boot_id():
        return _end(connection, span, at, ttl, "the machine was started anew")
    if processes.alive(lease.supervisor_pid, lease.supervisor_start_ticks):
        return None
    for pid, started_at_ticks in read_children(connection, lease.id):
        if processes.alive(pid, started_at_ticks):
            # The orphan is itself a sign of life: what it holds from now on must not fall out of the bill.
            insert_event(connection, beat_event(lease.id, at, orphan_pid=pid))
            return _told(lease, "orphan", f"supervisor {lease.supervisor_pid} is gone, its child lives", span, at, pid)
    return _end(connection, span, at, ttl, f"supervisor {lease.supervisor_pid} is gone")


def _end(connection: Connection, span: Span, at: datetime, ttl: timedelta, reason: str) -> Reconciled | None:
    limit = span.last_sign + ttl
    # A clock that stands before the last sign was set back and tells nothing: the whole TTL is billed.
    end = limit if at < span.last_sign else min(at, limit)
    event = Event(
        idempotency_key=f"{span.lease.id}:reconciled:{span.last_sign.isoformat()}",
        kind="reconciled",
        lease_id=span.lease.id,
        at=end,
        detail={"reason": reason},
    )
    return _told(span.lease, "ended", reason, span, end) if insert_event(connection, event) else None


def _told(
    lease: Lease,
    outcome: Literal["ended", "orphan"],
    reason: str,
    span: Span,
    at: datetime,
    pid: int | None = None,
) -> Reconciled:
    held_seconds = (max(at, span.last_sign) - lease.opened_at).total_seconds()
    return Reconciled(
        lease_id=lease.id,
        build_id=lease.build_id,
        stage=lease.stage,
        attempt=lease.attempt,
        outcome=outcome,
        reason=reason,
        at=at,
        billed_device_seconds=held_seconds * lease.device_count * float(lease.share),
        pid=pid,
    )
