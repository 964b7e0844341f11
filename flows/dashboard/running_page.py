"""Leases that are held now."""

from __future__ import annotations

from dataclasses import dataclass

from flows.dashboard.amounts import amount
from flows.dashboard.page import Page
from flows.dashboard.query import Query
from flows.dashboard.source import Source
from ledger.running import Held, held_now

REFRESH_SECONDS = 3


@dataclass(frozen=True)
class Row:
    """One lease as the table shows it."""

    held: Held
    elapsed_seconds: float
    silent_seconds: float
    overdue: bool
    """Silent for longer than the time after which the reconciler ends it."""
    progress: str


def running(source: Source, query: Query) -> Page:
    """Every open lease with its last sign of life; an old one is marked."""
    books, now = source.ledger(), source.now()
    held = held_now(books, query.scope) if books is not None else []
    ttl = source.settings.lease_ttl_seconds
    rows = [
        Row(one, one.elapsed_seconds(now), silent := one.silent_seconds(now), silent > ttl, _progress(source, one))
        for one in held
    ]
    known = sum(one.cost_micro_usd or 0 for one in held)
    headline = "Nothing is running"
    if rows:
        headline = f"{len(rows)} stage{'' if len(rows) == 1 else 's'} running, {amount(known)} so far"
    overdue = sum(row.overdue for row in rows)
    lead = "A lease is opened before a stage starts and gives a sign of life every 15 seconds."
    if overdue:
        verb = "lease has" if overdue == 1 else "leases have"
        lead = f"{overdue} {verb} been silent for more than {ttl:g} s: stillroom ledger reconcile ends what is dead."
    told = {"rows": rows, "now": now, "ttl": ttl, "refresh": REFRESH_SECONDS, "ledger_there": books is not None}
    return Page("running", "running", "Running", headline, lead, told, dated=False, live=True)


def _progress(source: Source, one: Held) -> str:
    told = source.progress(one.build.id)
    done, whole = told.get("done"), told.get("total")
    same = told.get("stage") == one.span.lease.stage
    if not same or not isinstance(done, int | float) or not isinstance(whole, int | float) or not whole:
        return ""
    return f"{done:,g} of {whole:,g} {told.get('what') or ''!s}".strip()
