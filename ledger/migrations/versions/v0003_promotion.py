"""Promotions: which build's model goes by which name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.migrations import insert_only

revision = "0003"
down_revision = "0002"

UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """One table more; nothing that is there is touched."""
    op.create_table(
        "promotion",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("vertical", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("build_id", sa.String, sa.ForeignKey("build.id"), nullable=False),
        sa.Column("model", sa.String, nullable=False, server_default=""),
        sa.Column("promoted_by", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("promoted_at", UTC_TIME, nullable=False),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.CheckConstraint("promoted_by <> '' AND reason <> ''", name="promotion_told"),
    )
    dialect = op.get_bind().dialect.name
    for statement in (
        *insert_only.no_change(dialect, "promotion"),
        insert_only.no_replacement(dialect, "promotion"),
    ):
        op.execute(sa.text(statement))
