"""Teams, shares of a device, expenses, invoices, adjustments, budgets, views; rows cannot be replaced or truncated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.migrations import insert_only, views_0002

revision = "0002"
down_revision = "0001"

UTC_TIME = sa.DateTime(timezone=True)
OLD_TABLES = ("build", "device", "price", "estimate", "lease", "lease_event")
"""Of revision 0001, which refused UPDATE and DELETE only."""
NEW_TABLES = ("expense", "provider_charge", "adjustment", "budget", "budget_event")


def upgrade() -> None:
    """Extend what is there without touching a row, add what is new."""
    dialect = op.get_bind().dialect.name
    op.add_column("build", sa.Column("team", sa.String, nullable=False, server_default=""))
    for part in ("share_numerator", "share_denominator"):
        op.add_column("lease", sa.Column(part, sa.Integer, nullable=False, server_default="1"))
    op.create_index("lease_by_build", "lease", ["build_id"])
    _expenses()
    _provider_charges()
    _adjustments()
    _budgets()
    _budget_events()
    triggers = [one for table in NEW_TABLES for one in insert_only.no_change(dialect, table)]
    triggers += [insert_only.no_replacement(dialect, table) for table in (*OLD_TABLES, *NEW_TABLES)]
    for statement in (*triggers, *views_0002.statements(dialect)):
        op.execute(sa.text(statement.replace(":", "\\:")))


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=False, server_default="")


def _expenses() -> None:
    categories = "('annotation', 'storage', 'people', 'api_tokens', 'licence', 'other')"
    op.create_table(
        "expense",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("idempotency_key", sa.String, nullable=False, unique=True),
        sa.Column("category", sa.String, nullable=False),
        _text("vertical"),
        _text("team"),
        sa.Column("build_id", sa.String, sa.ForeignKey("build.id")),
        _text("stage"),
        _text("artifact_fingerprint"),
        sa.Column("provider", sa.String, nullable=False),
        sa.Column("period_start", UTC_TIME, nullable=False),
        sa.Column("period_end", UTC_TIME, nullable=False),
        sa.Column("quantity", sa.Float, nullable=False),
        sa.Column("unit", sa.String, nullable=False),
        sa.Column("micro_usd", sa.BigInteger, nullable=False),
        sa.Column("evidence", sa.String, nullable=False),
        _text("evidence_sha256"),
        _text("note"),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.CheckConstraint(f"category IN {categories}", name="expense_category"),
        sa.CheckConstraint("micro_usd >= 0", name="expense_not_negative"),
        sa.CheckConstraint("period_end >= period_start", name="expense_period"),
        sa.CheckConstraint("evidence <> ''", name="expense_evidence"),
    )
    op.create_index("expense_by_build", "expense", ["build_id"])


def _provider_charges() -> None:
    op.create_table(
        "provider_charge",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("provider", sa.String, nullable=False),
        sa.Column("invoice", sa.String, nullable=False),
        sa.Column("line", sa.String, nullable=False),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("period_start", UTC_TIME, nullable=False),
        sa.Column("period_end", UTC_TIME, nullable=False),
        sa.Column("device_hours", sa.Float),
        sa.Column("micro_usd", sa.BigInteger, nullable=False),
        _text("description"),
        sa.Column("source_sha256", sa.String, nullable=False),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.UniqueConstraint("provider", "invoice", "line", name="provider_charge_line"),
        sa.CheckConstraint("period_end > period_start", name="provider_charge_period"),
    )


def _adjustments() -> None:
    op.create_table(
        "adjustment",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("idempotency_key", sa.String, nullable=False, unique=True),
        sa.Column("provider_charge_id", sa.Integer, sa.ForeignKey("provider_charge.id")),
        sa.Column("lease_id", sa.String, sa.ForeignKey("lease.id")),
        sa.Column("build_id", sa.String, sa.ForeignKey("build.id")),
        _text("vertical"),
        _text("team"),
        _text("device"),
        sa.Column("period_start", UTC_TIME, nullable=False),
        sa.Column("period_end", UTC_TIME, nullable=False),
        sa.Column("micro_usd", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("evidence", sa.String, nullable=False),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.CheckConstraint("period_end >= period_start", name="adjustment_period"),
        sa.CheckConstraint("evidence <> ''", name="adjustment_evidence"),
    )
    op.create_index("adjustment_by_build", "adjustment", ["build_id"])


def _budgets() -> None:
    op.create_table(
        "budget",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        _text("scope_value"),
        sa.Column("period", sa.String, nullable=False),
        sa.Column("micro_usd", sa.BigInteger),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("warn_share", sa.Float, nullable=False),
        sa.Column("valid_from", UTC_TIME, nullable=False),
        sa.Column("supersedes", sa.Integer, sa.ForeignKey("budget.id"), unique=True),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.CheckConstraint("scope IN ('all', 'vertical', 'team', 'build')", name="budget_scope"),
        sa.CheckConstraint("period IN ('total', 'month', 'quarter')", name="budget_period"),
        sa.CheckConstraint("policy IN ('warn', 'block', 'stop')", name="budget_policy"),
        sa.CheckConstraint("micro_usd >= 0", name="budget_not_negative"),
        sa.CheckConstraint("warn_share > 0 AND warn_share <= 1", name="budget_warn_share"),
    )


def _budget_events() -> None:
    op.create_table(
        "budget_event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("idempotency_key", sa.String, nullable=False, unique=True),
        sa.Column("budget_id", sa.Integer, sa.ForeignKey("budget.id"), nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("build_id", sa.String, sa.ForeignKey("build.id")),
        sa.Column("lease_id", sa.String, sa.ForeignKey("lease.id")),
        _text("stage"),
        sa.Column("micro_usd", sa.BigInteger, nullable=False),
        sa.Column("at", UTC_TIME, nullable=False),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.CheckConstraint("kind IN ('reserved', 'warned', 'refused', 'stopped')", name="budget_event_kind"),
    )
    op.create_index("budget_event_by_lease", "budget_event", ["lease_id"])
    op.create_index("budget_event_by_budget", "budget_event", ["budget_id", "kind"])
