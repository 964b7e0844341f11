"""Alembic's folder; run in-process by ``ledger.database`` on every open, never by a command."""
