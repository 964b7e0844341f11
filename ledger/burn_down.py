"""Budgets in force against what was spent in their current period, hour by hour or day by day, with the pace.

The pace is a straight line: what an even spend over the period would have used up by now, and when the mean rate since
the first charge of the period will have used up the rest. Reservations of running stages are told by ``budgets``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.breakdown import Scope, Spent, Unit, after, bounds, over_time, total, unit_for, within
from ledger.budget_state import period_bounds
from ledger.snapshot import Snapshot


@dataclass(frozen=True)
class Burn:
    """One budget in its current period; money in micro-USD."""

    name: str
    over: str
    """Whom it is over, in words: ``vertical finance``, ``all builds``."""
    period: str
    policy: str
    warn_share: float
    limit_micro_usd: int
    start: datetime | None
    """None: the budget is one for all time, and nothing was spent yet."""
    end: datetime | None
    """None for a budget for all time."""
    spent: Spent
    unit: Unit
    points: tuple[tuple[datetime, int], ...]
    """``(end of the hour, day or month, spent since the period's start)``."""
    now: datetime

    @property
    def used_share(self) -> float | None:
        """Spent over the limit; None for a budget of nothing."""
        return self.spent.known_micro_usd / self.limit_micro_usd if self.limit_micro_usd else None

    @property
    def even_micro_usd(self) -> int | None:
        """What an even spend over the period would have used up by now; None without an end."""
        if self.start is None or self.end is None:
            return None
        return round(self.limit_micro_usd * min(1.0, (self.now - self.start) / (self.end - self.start)))

    @property
    def runs_out_at(self) -> datetime | None:
        """When the mean rate so far meets the limit; None where that lies behind the period's end or nobody can say."""
        left = self.limit_micro_usd - self.spent.known_micro_usd
        if left <= 0 or not self.points or self.start is None or self.spent.known_micro_usd <= 0:
            return None
        took = self.now - self.start
        ahead = left / self.spent.known_micro_usd
        if took.total_seconds() <= 0 or ahead > 1000 or (took * ahead).days > 3650:
            return None
        moment = self.now + took * ahead
        return moment if self.end is None or moment < self.end else None

    @property
    def state(self) -> str:
        """``spent``, ``warns``, ``ahead`` of an even pace, or ``in step``."""
        used = self.used_share
        if used is None or used >= 1:
            return "spent"
        if used >= self.warn_share:
            return "warns"
        even = self.even_micro_usd
        return "ahead" if even is not None and self.spent.known_micro_usd > even else "in step"


def burns(told: Snapshot, scope: Scope, now: datetime) -> list[Burn]:
    """The budgets that the scope's vertical, team or build meets, all of them for an empty scope."""
    return [_burn(told, row, now) for row in told.budgets if _meant(told, row, scope)]


def _meant(told: Snapshot, row: dict[str, Any], scope: Scope) -> bool:
    """A budget over everything is always meant; others where they are over one of the builds in the scope."""
    if row["scope"] == "all" or scope == Scope(start=scope.start, end=scope.end):
        return True
    name = "id" if row["scope"] == "build" else row["scope"]
    return any(getattr(one, name) == row["scope_value"] for one in told.builds if scope.covers(one)) or (
        row["scope"] in ("vertical", "team") and getattr(scope, row["scope"]) == row["scope_value"]
    )


def _burn(told: Snapshot, row: dict[str, Any], now: datetime) -> Burn:
    names = {"vertical": "", "team": "", "build": ""} | {row["scope"]: row["scope_value"]}
    timeless = row["period"] == "total"
    start, end = (None, None) if timeless else period_bounds(row["period"], now)
    scope = Scope(names["vertical"], names["team"], "", names["build"], start, end)
    rows = within(told.charges, scope)
    if row["scope"] == "build":  # a scope takes the first letters, a budget is over one build
        rows = [one for one in rows if one.build_id == row["scope_value"]]
    seen = bounds(rows)
    first = start or (seen[0] if seen else None)
    unit = unit_for(first, seen[1]) if first is not None and seen is not None else "day"
    summed, points = 0, []
    for moment, spent in over_time(rows, lambda _row: "", unit).whole.items():
        summed += spent.known_micro_usd
        points.append((min(after(moment, unit), now), summed))
    return Burn(
        name=row["name"],
        over="all builds" if row["scope"] == "all" else f"{row['scope']} {row['scope_value']}",
        period=row["period"],
        policy=row["policy"],
        warn_share=row["warn_share"],
        limit_micro_usd=row["micro_usd"],
        start=first,
        end=end,
        spent=total(rows),
        unit=unit,
        points=tuple(points),
        now=now,
    )
