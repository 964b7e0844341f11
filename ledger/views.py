"""The database's views as the reports read them; the migrations make them and say what their rows are."""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, Integer, String, TableClause, column, table

from ledger.columns import UtcTime

STRINGS = (
    "kind", "source_id", "category", "vertical", "team", "build_id", "scale", "stage", "artifact_fingerprint",
    "status", "item", "provider", "evidence", "description", "unit",
)  # fmt: skip

charge: TableClause = table(
    "charge",
    *(column(name, String) for name in STRINGS),
    column("attempt", Integer),
    *(column(name, UtcTime) for name in ("month", "start_at", "end_at")),
    column("share_microseconds", BigInteger),
    column("share_denominator", Integer),
    column("quantity", Float),
    column("unit_micro_usd", BigInteger),
    column("micro_usd", BigInteger),
)
"""What one lease held in one month at one price, an expense, or an adjustment; ``micro_usd`` NULL: no price."""

lease_span: TableClause = table(
    "lease_span",
    *(column(name, String) for name in ("lease_id", "build_id", "vertical", "team", "stage", "device", "status")),
    *(column(name, UtcTime) for name in ("opened_at", "last_sign_at", "ended_at", "billed_until")),
)
"""A lease with its end."""

burn: TableClause = table(
    "burn",
    column("budget_id", Integer),
    column("name", String),
    column("month", UtcTime),
    column("micro_usd", BigInteger),
    column("charges_without_price", Integer),
)
"""A budget's spend in one month, prices known."""
