"""Triggers that keep rows as they were booked: none is changed, removed, replaced or truncated, by whatever client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

KEY = "idempotency_key"
REFUSED = "SELECT RAISE(ABORT, 'ledger rows are insert-only')"
KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "build": (("id",),),
    "device": (("name",),),
    "price": (("id",), ("supersedes",)),
    "estimate": (("id",),),
    "lease": (("id",), ("build_id", "stage", "artifact_fingerprint", "attempt")),
    "lease_event": (("id",), (KEY,)),
    "expense": (("id",), (KEY,)),
    "provider_charge": (("id",), ("provider", "invoice", "line")),
    "adjustment": (("id",), (KEY,)),
    "budget": (("id",), ("supersedes",)),
    "budget_event": (("id",), (KEY,)),
    "promotion": (("id",),),
}
"""Every table's unique keys. A revision asks for the tables that it makes or mends."""


def no_change(dialect: str, table: str) -> Iterator[str]:
    """UPDATE and DELETE are refused."""
    for verb in ("UPDATE", "DELETE"):
        refuse = (
            "FOR EACH ROW EXECUTE FUNCTION ledger_insert_only()" if dialect == "postgresql" else f"BEGIN {REFUSED}; END"
        )
        yield f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {refuse}"


def no_replacement(dialect: str, table: str) -> str:
    """TRUNCATE (PostgreSQL) and INSERT OR REPLACE (SQLite) are refused.

    The latter removes the old row without asking a DELETE trigger, unless the client asked for that. A known
    idempotency key is passed over in silence, as our own inserts ask for; any other clash is an error.
    """
    if dialect == "postgresql":
        refuse = "FOR EACH STATEMENT EXECUTE FUNCTION ledger_insert_only()"
        return f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} {refuse}"
    known = f"SELECT RAISE(IGNORE) WHERE {_exists(table, (KEY,))};" if (KEY,) in KEYS[table] else ""
    clash = " OR ".join(_exists(table, keys) for keys in KEYS[table] if keys != (KEY,))
    return f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} BEGIN {known} {REFUSED} WHERE {clash}; END"


def _exists(table: str, keys: Sequence[str]) -> str:
    """Names of our own tables and columns only."""
    same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
    return f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608
