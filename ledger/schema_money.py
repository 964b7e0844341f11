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

from ledger.columns import key, micro_usd, moment, number, text, word
from ledger.schema import metadata

EXPENSE_CATEGORIES = ("annotation", "storage", "people", "api_tokens", "licence", "other")
BUDGET_SCOPES = ("all", "vertical", "team", "build")
BUDGET_PERIODS = ("total", "month", "quarter")
BUDGET_POLICIES = ("warn", "block", "stop")

expense = Table(
    "expense",
    metadata,
    number(),
    key(),
    word("category"),
    text("vertical"),
    text("team"),
    Column("build_id", String, ForeignKey("build.id")),
    text("stage"),
    text("artifact_fingerprint"),
    word("provider"),
    moment("period_start"),
    moment("period_end"),
    Column("quantity", Float, nullable=False),
    word("unit"),
    micro_usd(),
    word("evidence"),
    text("evidence_sha256"),
    text("note"),
    moment("recorded_at"),
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
    number(),
    word("provider"),
    word("invoice"),
    word("line"),
    word("device"),
    moment("period_start"),
    moment("period_end"),
    Column("device_hours", Float),
    micro_usd(),
    text("description"),
    word("source_sha256"),
    moment("recorded_at"),
    UniqueConstraint("provider", "invoice", "line", name="provider_charge_line"),
    CheckConstraint("period_end > period_start", name="provider_charge_period"),
)
"""A line of a provider's invoice. Never part of a sum: it is what the booked hours are compared with."""

adjustment = Table(
    "adjustment",
    metadata,
    number(),
    key(),
    Column("provider_charge_id", Integer, ForeignKey("provider_charge.id")),
    Column("lease_id", String, ForeignKey("lease.id")),
    Column("build_id", String, ForeignKey("build.id")),
    text("vertical"),
    text("team"),
    text("device"),
    moment("period_start"),
    moment("period_end"),
    micro_usd(),
    word("reason"),
    word("evidence"),
    moment("recorded_at"),
    CheckConstraint("period_end >= period_start", name="adjustment_period"),
    CheckConstraint("evidence <> ''", name="adjustment_evidence"),
    Index("adjustment_by_build", "build_id"),
)
"""A signed correction of what was booked, kept apart from it."""

budget = Table(
    "budget",
    metadata,
    number(),
    word("name"),
    word("scope"),
    text("scope_value"),
    word("period"),
    Column("micro_usd", BigInteger),
    word("policy"),
    Column("warn_share", Float, nullable=False),
    moment("valid_from"),
    Column("supersedes", Integer, ForeignKey("budget.id"), unique=True),
    moment("recorded_at"),
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
    number(),
    key(),
    Column("budget_id", Integer, ForeignKey("budget.id"), nullable=False),
    word("kind"),
    Column("build_id", String, ForeignKey("build.id")),
    Column("lease_id", String, ForeignKey("lease.id")),
    text("stage"),
    micro_usd(),
    moment("at"),
    moment("recorded_at"),
    Column("detail", JSON, nullable=False),
    CheckConstraint("kind IN ('reserved', 'warned', 'refused', 'stopped')", name="budget_event_kind"),
    Index("budget_event_by_lease", "lease_id"),
    Index("budget_event_by_budget", "budget_id", "kind"),
)
"""What a budget did: reserved for a lease, warned, refused a start, stopped a run."""
