"""Moments as people write them: a day is its first moment in UTC, anything else carries its zone."""

from __future__ import annotations

from datetime import UTC, date, datetime

from contracts.errors import LedgerError


def moment(subject: str, text: str) -> datetime:
    """``2026-03-01`` or ``2026-03-01T12:00:00Z`` in UTC. Raises LedgerError for anything else."""
    word = text.strip()
    try:
        if len(word) == len("2026-03-01"):
            day = date.fromisoformat(word)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        found = datetime.fromisoformat(word)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        hint = "a day such as 2026-03-01, or a time with its zone such as 2026-03-01T12:00:00Z"
        raise LedgerError(subject, "must be a day or a time with its zone", got=text or "nothing", hint=hint)
    return found.astimezone(UTC)
