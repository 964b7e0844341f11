"""The first tables: builds, devices, prices, leases and their events, estimates; all INSERT-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TABLES = ("build", "device", "price", "lease", "lease_event", "estimate")
UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables and forbid changes to their rows."""
    _builds_devices_prices()
    _leases()
    _estimates()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION ledger_insert_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'ledger rows are insert-only'; END $$"
        )
    for table in TABLES:
        for verb in ("UPDATE", "DELETE"):
            _forbid(table, verb)


def _forbid(table: str, verb: str) -> None:
    name = f"{table}_no_{verb.lower()}"
    if op.get_bind().dialect.name == "postgresql":
        action = "FOR EACH ROW EXECUTE FUNCTION ledger_insert_only()"
    else:
        action = "BEGIN SELECT RAISE(ABORT, 'ledger rows are insert-only'); END"
    op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} {action}")


def _builds_devices_prices() -> None:
    op.create_table(
        "build",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("vertical", sa.String, nullable=False),
        sa.Column("scale", sa.String, nullable=False),
        sa.Column("recipe_fingerprint", sa.String, nullable=False),
        sa.Column("started_at", UTC_TIME, nullable=False),
    )
    op.create_table(
        "device",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("kind", sa.String, sa.CheckConstraint("kind IN ('cpu', 'gpu')", name="device_kind"), nullable=False),
    )
    op.create_table(
        "price",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device", sa.String, sa.ForeignKey("device.name"), nullable=False),
        sa.Column("micro_usd_per_device_hour", sa.BigInteger, nullable=False),
        sa.Column("valid_from", UTC_TIME, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("supersedes", sa.Integer, sa.ForeignKey("price.id"), unique=True),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.CheckConstraint("micro_usd_per_device_hour >= 0", name="price_not_negative"),
    )


def _leases() -> None:
    op.create_table(
        "lease",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("build_id", sa.String, sa.ForeignKey("build.id"), nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("artifact_fingerprint", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("device", sa.String, sa.ForeignKey("device.name"), nullable=False),
        sa.Column("device_count", sa.Integer, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("boot_id", sa.String, nullable=False),
        sa.Column("supervisor_pid", sa.BigInteger, nullable=False),
        sa.Column("supervisor_start_ticks", sa.BigInteger, nullable=False),
        sa.Column("opened_at", UTC_TIME, nullable=False),
        sa.Column("opened_boot_seconds", sa.Float, nullable=False),
        sa.UniqueConstraint("build_id", "stage", "artifact_fingerprint", "attempt", name="lease_attempt"),
        sa.CheckConstraint("device_count >= 0", name="lease_device_count"),
    )
    op.create_index("lease_by_fingerprint", "lease", ["artifact_fingerprint"])
    kinds = "kind IN ('child', 'beat', 'close', 'reconciled', 'saved')"
    op.create_table(
        "lease_event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("idempotency_key", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("lease_id", sa.String, sa.ForeignKey("lease.id")),
        sa.Column("build_id", sa.String, sa.ForeignKey("build.id")),
        sa.Column("at", UTC_TIME, nullable=False),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.Column("exit_code", sa.Integer),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.CheckConstraint(kinds, name="lease_event_kind"),
        sa.CheckConstraint("lease_id IS NOT NULL OR kind = 'saved'", name="lease_event_lease"),
        sa.CheckConstraint("build_id IS NOT NULL OR kind <> 'saved'", name="lease_event_build"),
    )
    op.create_index("lease_event_by_lease", "lease_event", ["lease_id", "kind", "at"])
    op.create_index("lease_event_by_build", "lease_event", ["build_id"])


def _estimates() -> None:
    op.create_table(
        "estimate",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("build_id", sa.String, sa.ForeignKey("build.id"), nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("device_seconds", sa.Float, nullable=False),
        sa.Column("micro_usd", sa.BigInteger),
        sa.Column("made_at", UTC_TIME, nullable=False),
    )
    op.create_index("estimate_by_build", "estimate", ["build_id"])
