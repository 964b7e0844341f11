"""Bookings by people: expenses that no device metered, and adjustments of what was booked. Evidence is a must."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Table, select

from contracts.errors import LedgerError
from ledger.book import Ledger
from ledger.database import insert_once
from ledger.events import now, utc
from ledger.schema import build
from ledger.schema_money import EXPENSE_CATEGORIES, adjustment, expense


class Booking(BaseModel):
    """What every booking says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    period_start: datetime
    period_end: datetime
    micro_usd: int
    evidence: str
    """Where the proof lies: an invoice's number, a path, a URL."""
    vertical: str = ""
    team: str = ""
    build_id: str | None = None

    @property
    def key(self) -> str:
        """The same booking twice is one: a digest of all it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Expense(Booking):
    """Annotation, storage, people, API tokens, licences: ``micro_usd`` is zero or more."""

    category: str
    provider: str
    quantity: float = 1.0
    unit: str = "Units"
    stage: str = ""
    artifact_fingerprint: str = ""
    evidence_sha256: str = ""
    """Of the evidence's file, where it is one."""
    note: str = ""


class Adjustment(Booking):
    """A signed correction: it stands beside what it corrects."""

    reason: str
    device: str = ""
    lease_id: str | None = None
    provider_charge_id: int | None = None


def book_expense(ledger: Ledger, booked: Expense) -> bool:
    """Book it once; True when it is new. Raises LedgerError."""
    subject = f"expense {booked.category}"
    if booked.category not in EXPENSE_CATEGORIES:
        raise LedgerError(subject, "is not a kind of expense", hint=f"one of {', '.join(EXPENSE_CATEGORIES)}")
    if not booked.provider.strip():
        raise LedgerError(subject, "must say who is paid", hint="give a provider, or a team's name for people of ours")
    if booked.micro_usd < 0:
        raise LedgerError(subject, "must be zero or more", got=booked.micro_usd, hint="book a credit as an adjustment")
    with ledger.writing() as connection:
        return _insert(connection, expense, subject, booked)


def adjust(ledger: Ledger, booked: Adjustment) -> bool:
    """Book it once; True when it is new. Raises LedgerError."""
    if not booked.reason.strip():
        raise LedgerError("adjustment", "must say why", hint="give a reason")
    with ledger.writing() as connection:
        return insert_adjustment(connection, booked)


def insert_adjustment(connection: Connection, booked: Adjustment) -> bool:
    """The same inside a transaction."""
    return _insert(connection, adjustment, "adjustment", booked)


def _insert(connection: Connection, table: Table, subject: str, booked: Booking) -> bool:
    if not booked.evidence.strip():
        raise LedgerError(subject, "needs evidence", hint="name the invoice, contract or time sheet it rests on")
    start, end = utc(booked.period_start), utc(booked.period_end)
    if end < start:
        raise LedgerError(subject, "must not end before it begins", got=f"{start:%Y-%m-%d} to {end:%Y-%m-%d}")
    if booked.build_id and connection.execute(select(build.c.id).where(build.c.id == booked.build_id)).first() is None:
        raise LedgerError(
            f"build {booked.build_id}", "is not in the ledger", hint="`stillroom ledger --all` lists them"
        )
    row: dict[str, Any] = booked.model_dump() | {"period_start": start, "period_end": end}
    return insert_once(connection, table, row | {"idempotency_key": booked.key, "recorded_at": now()})
