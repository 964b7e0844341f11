"""Spend over any time, grouped as asked: by month, vertical, team, build, stage, artifact, device, ...

The database adds up device-microseconds by price; the money is multiplied here, exactly, and rounded once a line. What
a line costs is None as soon as a part of it has no price; ``known_micro_usd`` is the part that has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select

from contracts.errors import LedgerError
from ledger.book import Ledger
from ledger.events import utc
from ledger.prices import HOUR_MICROSECONDS
from ledger.report import Row
from ledger.views import charge

COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "month": charge.c.month, "vertical": charge.c.vertical, "team": charge.c.team, "build": charge.c.build_id,
    "scale": charge.c.scale, "stage": charge.c.stage, "artifact": charge.c.artifact_fingerprint,
    "device": charge.c.item, "category": charge.c.category, "kind": charge.c.kind, "status": charge.c.status,
    "provider": charge.c.provider,
}  # fmt: skip
WASTED = ("failed", "killed")
MICRO_HOUR = Fraction(1, HOUR_MICROSECONDS)


class SpendLine(Row):
    """One group. Hours are device-hours; GPU and CPU are never added up."""

    group: dict[str, str]
    """What it was grouped by, in the order asked; a month as ``2026-03``."""
    gpu_hours: float
    cpu_hours: float
    wasted_hours: float
    """Of leases that failed or were killed; part of the hours."""
    unpriced_hours: float
    compute_micro_usd: int
    """Of the hours that have a price."""
    expense_micro_usd: int
    adjustment_micro_usd: int
    known_micro_usd: int
    micro_usd: int | None

    def flat(self) -> dict[str, Any]:
        """The group's columns beside the figures, for tables and files."""
        return self.group | self.model_dump(exclude={"group"})


@dataclass
class _Sums:
    hours: dict[str, Fraction] = field(default_factory=dict)
    wasted: Fraction = Fraction(0)
    unpriced: Fraction = Fraction(0)
    compute: Fraction = Fraction(0)
    other: dict[str, int] = field(default_factory=dict)


def spend(
    ledger: Ledger, by: Sequence[str] = ("month",), start: datetime | None = None, end: datetime | None = None
) -> list[SpendLine]:
    """Everything booked from ``start`` (inclusive) to ``end`` (exclusive), both first days of months, in groups.

    An expense counts in the month in which its period begins. Raises LedgerError for a grouping that is not known.
    """
    for name in by:
        if name not in COLUMNS:
            raise LedgerError("spend", "cannot be grouped so", got=name, hint=f"one of {', '.join(COLUMNS)}")
    keys = [COLUMNS[name].label(f"key_{number}") for number, name in enumerate(by)]
    parts = [charge.c[name] for name in ("kind", "category", "status", "share_denominator", "unit_micro_usd")]
    held, booked = func.sum(charge.c.share_microseconds), func.sum(charge.c.micro_usd)
    bounds = [] if start is None else [charge.c.month >= utc(start)]
    bounds += [] if end is None else [charge.c.month < utc(end)]
    query = select(*keys, *parts, held.label("held"), booked.label("booked")).where(and_(True, *bounds))
    sums: dict[tuple[str, ...], _Sums] = {}
    with ledger.reading() as connection:
        for row in connection.execute(query.group_by(*(COLUMNS[name] for name in by), *parts)).mappings():
            key = tuple(_shown(row[f"key_{number}"]) for number in range(len(by)))
            _add(sums.setdefault(key, _Sums()), dict(row))
    return [_line(dict(zip(by, key, strict=True)), sums[key]) for key in sorted(sums)]


def _shown(value: Any) -> str:
    return f"{value:%Y-%m}" if isinstance(value, datetime) else str(value or "")


def _add(sums: _Sums, row: Mapping[str, Any]) -> None:
    if row["kind"] != "compute":
        sums.other[row["kind"]] = sums.other.get(row["kind"], 0) + int(row["booked"] or 0)
        return
    hours = Fraction(int(row["held"]), row["share_denominator"]) * MICRO_HOUR
    sums.hours[row["category"]] = sums.hours.get(row["category"], Fraction(0)) + hours
    sums.wasted += hours if row["status"] in WASTED else 0
    if row["unit_micro_usd"] is None:
        sums.unpriced += hours
    else:
        sums.compute += hours * row["unit_micro_usd"]


def _line(group: dict[str, str], sums: _Sums) -> SpendLine:
    compute = int(sums.compute + Fraction(1, 2))
    expenses, adjustments = sums.other.get("expense", 0), sums.other.get("adjustment", 0)
    known = compute + expenses + adjustments
    return SpendLine(
        group=group,
        gpu_hours=float(sums.hours.get("gpu", 0)),
        cpu_hours=float(sums.hours.get("cpu", 0)),
        wasted_hours=float(sums.wasted),
        unpriced_hours=float(sums.unpriced),
        compute_micro_usd=compute,
        expense_micro_usd=expenses,
        adjustment_micro_usd=adjustments,
        known_micro_usd=known,
        micro_usd=None if sums.unpriced else known,
    )
