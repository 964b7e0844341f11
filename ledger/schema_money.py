"""The ledger's tables of money that no device metered, and of budgets. INSERT-only like all of them; see ``schema``."""

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
    String,
    Table,
    UniqueConstraint,
)

from ledger.schema import UtcTime, metadata

EXPENSE_CATEGORIES = ("annotation", "storage", "people", "api_tokens", "licence", "other")
BUDGET_SCOPES = ("all", "vertical", "team", "build")
BUDGET_PERIODS = ("total", "month", "quarter")
BUDGET_POLICIES = ("warn", "block", "stop")

expense = Table(
    "expense",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("idempotency_key", String, nullable=False, unique=True),
    Column("category", String, nullable=False),
    Column("vertical", String, nullable=False, server_default=""),
    Column("team", String, nullable=False, server_default=""),
    Column("build_id", String, ForeignKey("build.id")),
    Column("stage", String, nullable=False, server_default=""),
    Column("artifact_fingerprint", String, nullable=False, server_default=""),
    Column("provider", String, nullable=False),
    Column("period_start", UtcTime, nullable=False),
    Column("period_end", UtcTime, nullable=False),
    Column("quantity", Float, nullable=False),
    Column("unit", String, nullable=False),
    Column("micro_usd", BigInteger, nullable=False),
    Column("evidence", String, nullable=False),
    Column("evidence_sha256", String, nullable=False, server_default=""),
    Column("note", String, nullable=False, server_default=""),
    Column("recorded_at", UtcTime, nullable=False),
    CheckConstraint(f"category IN {EXPENSE_CATEGORIES}", name="expense_category"),
    CheckConstraint("micro_usd >= 0", name="expense_not_negative"),
    CheckConstraint("period_end >= period_start", name="expense_period"),
    CheckConstraint("evidence <> ''", name="expense_evidence"),
    Index("expense_by_build", "build_id"),
)
"""What was spent beside devices: one booking by a person, with its evidence."""

provider_charge = Table(
    "provider_charge",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("provider", String, nullable=False),
    Column("invoice", String, nullable=False),
    Column("line", String, nullable=False),
    Column("device", String, nullable=False),
    Column("period_start", UtcTime, nullable=False),
    Column("period_end", UtcTime, nullable=False),
    Column("device_hours", Float),
    Column("micro_usd", BigInteger, nullable=False),
    Column("description", String, nullable=False, server_default=""),
    Column("source_sha256", String, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    UniqueConstraint("provider", "invoice", "line", name="provider_charge_line"),
    CheckConstraint("period_end > period_start", name="provider_charge_period"),
)
"""A line of a provider's invoice. Never part of a sum: it is what the booked hours are compared with."""

adjustment = Table(
    "adjustment",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("idempotency_key", String, nullable=False, unique=True),
    Column("provider_charge_id", Integer, ForeignKey("provider_charge.id")),
    Column("lease_id", String, ForeignKey("lease.id")),
    Column("build_id", String, ForeignKey("build.id")),
    Column("vertical", String, nullable=False, server_default=""),
    Column("team", String, nullable=False, server_default=""),
    Column("device", String, nullable=False, server_default=""),
    Column("period_start", UtcTime, nullable=False),
    Column("period_end", UtcTime, nullable=False),
    Column("micro_usd", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("evidence", String, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    CheckConstraint("period_end >= period_start", name="adjustment_period"),
    CheckConstraint("evidence <> ''", name="adjustment_evidence"),
    Index("adjustment_by_build", "build_id"),
)
"""A signed correction of what was booked, kept apart from it."""

budget = Table(
    "budget",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("scope_value", String, nullable=False, server_default=""),
    Column("period", String, nullable=False),
    Column("micro_usd", BigInteger),
    Column("policy", String, nullable=False),
    Column("warn_share", Float, nullable=False),
    Column("valid_from", UtcTime, nullable=False),
    Column("supersedes", Integer, ForeignKey("budget.id"), unique=True),
    Column("recorded_at", UtcTime, nullable=False),
    CheckConstraint(f"scope IN {BUDGET_SCOPES}", name="budget_scope"),
    CheckConstraint(f"period IN {BUDGET_PERIODS}", name="budget_period"),
    CheckConstraint(f"policy IN {BUDGET_POLICIES}", name="budget_policy"),
    CheckConstraint("micro_usd >= 0", name="budget_not_negative"),
    CheckConstraint("warn_share > 0 AND warn_share <= 1", name="budget_warn_share"),
)
"""What may be spent. A change is a new row that supersedes the old one; ``micro_usd`` NULL: withdrawn."""

budget_event = Table(
    "budget_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("idempotency_key", String, nullable=False, unique=True),
    Column("budget_id", Integer, ForeignKey("budget.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("build_id", String, ForeignKey("build.id")),
    Column("lease_id", String, ForeignKey("lease.id")),
    Column("stage", String, nullable=False, server_default=""),
    Column("micro_usd", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("detail", JSON, nullable=False),
    CheckConstraint("kind IN ('reserved', 'warned', 'refused', 'stopped')", name="budget_event_kind"),
    Index("budget_event_by_lease", "lease_id"),
    Index("budget_event_by_budget", "budget_id", "kind"),
)
"""What a budget did: reserved for a lease, warned, refused a start, stopped a run."""
