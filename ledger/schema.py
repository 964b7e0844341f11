"""The ledger's tables of builds, devices, prices, leases and promotions. INSERT-only: triggers abort every other verb.

Money is integer micro-USD, time is UTC. The migrations under ``migrations/versions`` make these tables, and say what
they mean once and for all; a test holds the two equal. Charges and budgets are in ``schema_money``, the views in
``views``. A change here needs a new migration and its revision in ``database.REVISIONS``.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from ledger.columns import key, micro_usd, moment, number, text, word

metadata = MetaData()

build = Table(
    "build",
    metadata,
    Column("id", String, primary_key=True),
    word("vertical"),
    word("scale"),
    word("recipe_fingerprint"),
    moment("started_at"),
    text("team"),
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
    number(),
    Column("device", String, ForeignKey("device.name"), nullable=False),
    micro_usd("micro_usd_per_device_hour"),
    moment("valid_from"),
    word("source"),
    Column("supersedes", Integer, ForeignKey("price.id"), unique=True),
    moment("recorded_at"),
    CheckConstraint("micro_usd_per_device_hour >= 0", name="price_not_negative"),
)

lease = Table(
    "lease",
    metadata,
    Column("id", String, primary_key=True),
    Column("build_id", String, ForeignKey("build.id"), nullable=False),
    word("stage"),
    word("artifact_fingerprint"),
    Column("attempt", Integer, nullable=False),
    Column("device", String, ForeignKey("device.name"), nullable=False),
    Column("device_count", Integer, nullable=False),
    word("host"),
    word("boot_id"),
    Column("supervisor_pid", BigInteger, nullable=False),
    Column("supervisor_start_ticks", BigInteger, nullable=False),
    moment("opened_at"),
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
    number(),
    key(),
    word("kind"),
    Column("lease_id", String, ForeignKey("lease.id")),
    Column("build_id", String, ForeignKey("build.id")),
    moment("at"),
    moment("recorded_at"),
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
    number(),
    Column("build_id", String, ForeignKey("build.id"), nullable=False),
    word("stage"),
    word("device"),
    Column("device_seconds", Float, nullable=False),
    Column("micro_usd", BigInteger),
    moment("made_at"),
    Index("estimate_by_build", "build_id"),
)

promotion = Table(
    "promotion",
    metadata,
    number(),
    word("vertical"),
    word("name"),
    Column("build_id", String, ForeignKey("build.id"), nullable=False),
    text("model"),
    word("promoted_by"),
    word("reason"),
    moment("promoted_at"),
    moment("recorded_at"),
    CheckConstraint("promoted_by <> '' AND reason <> ''", name="promotion_told"),
)
"""Which build goes by a name such as ``production``: of a vertical and a name the last row counts."""
