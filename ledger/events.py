"""Events of a lease: how a lease's life is told, by inserts only.

| kind         | written by                    | means                              | idempotency key                 |
| ------------ | ----------------------------- | ---------------------------------- | ------------------------------- |
| `child`      | supervisor, after the start   | this process works under the lease | lease, kind, pid, start ticks   |
| `beat`       | supervisor, or the reconciler | the device is still held           | lease, kind, time               |
| `close`      | supervisor, at the end        | ended, with exit code and usage    | lease, kind                     |
| `reconciled` | reconciler                    | supervisor died, billed up to `at` | lease, kind, last sign of life  |
| `saved`      | supervisor, on a cache hit    | device-seconds spared this build   | kind, build, stage, fingerprint |

A lease ends at its `close`; without one at its `reconciled`, unless a later `beat` arrived (a supervisor that another
host gave up too early): then it is open again. The end never lies before the last sign of life.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from contracts.errors import LedgerError
from ledger.database import insert_once
from ledger.schema import lease_event

Kind = Literal["child", "beat", "close", "reconciled", "saved"]
Written = Literal["written", "known", "spooled"]
"""``known``: the same event was there already; ``spooled``: it waits on disk for the database."""


class Event(BaseModel):
    """One row of ``lease_event``, and one line of the spool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idempotency_key: str
    kind: Kind
    lease_id: str | None = None
    build_id: str | None = None
    at: datetime
    exit_code: int | None = None
    detail: dict[str, Any] = Field(default_factory=dict)


def utc(moment: datetime) -> datetime:
    """The moment in UTC. Raises LedgerError for a time without a zone: it could mean anything."""
    if moment.tzinfo is None:
        raise LedgerError("time", "must carry its time zone", got=moment.isoformat(), hint="use datetime.now(UTC)")
    return moment.astimezone(UTC)


def now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


def insert_event(connection: Connection, event: Event) -> bool:
    """Insert the event unless its key is there; True when it is new."""
    return insert_once(connection, lease_event, event.model_dump() | {"at": utc(event.at), "recorded_at": now()})


def beat_event(lease_id: str, at: datetime, **detail: Any) -> Event:
    """A sign of life."""
    return Event(
        idempotency_key=f"{lease_id}:beat:{utc(at).isoformat()}", kind="beat", lease_id=lease_id, at=at, detail=detail
    )
