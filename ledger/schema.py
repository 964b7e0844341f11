"""The ledger's tables of builds, devices, prices and leases. INSERT-only: triggers abort every UPDATE and DELETE.

Money is integer micro-USD, time is UTC. The migrations under ``migrations/versions`` make these tables; a test holds
the two equal. Charges and budgets are in ``schema_money``, the views in ``views``. A change here needs a new migration
and its revision in ``database.REVISIONS``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps it as sortable text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a time without a zone is refused before it comes here (``events.utc``)."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """SQLite gives back a time without its zone."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


metadata = MetaData()

build = Table(
    "build",
    metadata,
    Column("id", String, primary_key=True),
    Column("vertical", String, nullable=False),
    Column("scale", String, nullable=False),
    Column("recipe_fingerprint", String, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("team", String, nullable=False, server_default=""),
)

device = Table(
    "device",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, CheckConstraint("kind IN ('cpu', 'gpu')", name="device_kind"), nullable=False),
)

price = Table(
    "price",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String, ForeignKey("device.name"), nullable=False),
    Column("micro_usd_per_device_hour", BigInteger, nullable=False),
    Column("valid_from", UtcTime, nullable=False),
    Column("source", String, nullable=False),
    Column("supersedes", Integer, ForeignKey("price.id"), unique=True),
    Column("recorded_at", UtcTime, nullable=False),
    CheckConstraint("micro_usd_per_device_hour >= 0", name="price_not_negative"),
)

lease = Table(
    "lease",
    metadata,
    Column("id", String, primary_key=True),
    Column("build_id", String, ForeignKey("build.id"), nullable=False),
    Column("stage", String, nullable=False),
    Column("artifact_fingerprint", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("device", String, ForeignKey("device.name"), nullable=False),
    Column("device_count", Integer, nullable=False),
    Column("host", String, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("supervisor_pid", BigInteger, nullable=False),
    Column("supervisor_start_ticks", BigInteger, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("opened_boot_seconds", Float, nullable=False),
    Column("share_numerator", Integer, nullable=False, server_default="1"),
    Column("share_denominator", Integer, nullable=False, server_default="1"),
    UniqueConstraint("build_id", "stage", "artifact_fingerprint", "attempt", name="lease_attempt"),
    CheckConstraint("device_count >= 0", name="lease_device_count"),
    Index("lease_by_fingerprint", "artifact_fingerprint"),
    Index("lease_by_build", "build_id"),
)

lease_event = Table(
    "lease_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("idempotency_key", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("lease_id", String, ForeignKey("lease.id")),
    Column("build_id", String, ForeignKey("build.id")),
    Column("at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("exit_code", Integer),
    Column("detail", JSON, nullable=False),
    CheckConstraint("kind IN ('child', 'beat', 'close', 'reconciled', 'saved')", name="lease_event_kind"),
    CheckConstraint("lease_id IS NOT NULL OR kind = 'saved'", name="lease_event_lease"),
    CheckConstraint("build_id IS NOT NULL OR kind <> 'saved'", name="lease_event_build"),
    Index("lease_event_by_lease", "lease_id", "kind", "at"),
    Index("lease_event_by_build", "build_id"),
)

estimate = Table(
    "estimate",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("build_id", String, ForeignKey("build.id"), nullable=False),
    Column("stage", String, nullable=False),
    Column("device", String, nullable=False),
    Column("device_seconds", Float, nullable=False),
    Column("micro_usd", BigInteger),
    Column("made_at", UtcTime, nullable=False),
    Index("estimate_by_build", "build_id"),
)
