"""Triggers of revision 0002: no row of any table is changed, removed, replaced or truncated, by whatever client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

UNIQUE_KEYS = {
    "build": ("id",),
    "device": ("name",),
    "price": ("id", "supersedes"),
    "estimate": ("id",),
    "lease": ("id",),
    "lease_event": ("id", "idempotency_key"),
    "expense": ("id", "idempotency_key"),
    "provider_charge": ("id",),
    "adjustment": ("id", "idempotency_key"),
    "budget": ("id", "supersedes"),
    "budget_event": ("id", "idempotency_key"),
}
UNIQUE_GROUPS = {
    "lease": ("build_id", "stage", "artifact_fingerprint", "attempt"),
    "provider_charge": ("provider", "invoice", "line"),
}
"""Keys of several columns."""


def statements(dialect: str, new_tables: Sequence[str]) -> Iterator[str]:
    """UPDATE and DELETE are forbidden on ``new_tables`` (the others have it); replacing and TRUNCATE on all."""
    if dialect == "postgresql":
        for table in new_tables:
            for verb in ("UPDATE", "DELETE"):
                yield (
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    "FOR EACH ROW EXECUTE FUNCTION ledger_insert_only()"
                )
        for table in UNIQUE_KEYS:
            yield (
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION ledger_insert_only()"
            )
        return
    forbid = "BEGIN SELECT RAISE(ABORT, 'ledger rows are insert-only'); END"
    for table in new_tables:
        for verb in ("UPDATE", "DELETE"):
            yield f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {forbid}"
    for table in UNIQUE_KEYS:
        yield _no_replace(table)


def _no_replace(table: str) -> str:
    """INSERT OR REPLACE removes the old row without asking a DELETE trigger, unless the client asked for that.

    A known idempotency key is passed over in silence, as our own inserts ask for; any other clash is an error.
    """
    groups: list[tuple[str, ...]] = [(key,) for key in UNIQUE_KEYS[table] if key != "idempotency_key"]
    groups += [UNIQUE_GROUPS[table]] if table in UNIQUE_GROUPS else []
    known = ""
    if "idempotency_key" in UNIQUE_KEYS[table]:
        known = f"SELECT RAISE(IGNORE) WHERE {_exists(table, ('idempotency_key',))};"
    clash = " OR ".join(_exists(table, group) for group in groups)
    refuse = f"SELECT RAISE(ABORT, 'ledger rows are insert-only') WHERE {clash};"
    return f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} BEGIN {known} {refuse} END"


def _exists(table: str, group: Sequence[str]) -> str:
    """Names of our own tables and columns only."""
    same = " AND ".join(f"{key} = NEW.{key}" for key in group)
    return f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608
