"""What every page has, and what several have in common: groups of spend with their share, a build's particulars."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flows.dashboard.query import PAGES, Query
from ledger.breakdown import Scope, Spent, break_down
from ledger.snapshot import BuildRow, Charge, Saving, Snapshot

MOST_ROWS = 200
"""A table shows so many rows and says how many it left out."""


@dataclass(frozen=True)
class Page:
    """One page before it is drawn."""

    template: str
    panel: str
    """Its entry in the menu; empty: it has none."""
    title: str
    headline: str
    lead: str = ""
    told: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    dated: bool = True
    """Whether the filter's dates mean anything to it."""
    live: bool = False
    """Whether it refreshes itself."""


@dataclass(frozen=True)
class Group:
    """A row of a table of spend: a name, its sums, and its share of the known money."""

    name: str
    spent: Spent
    share: float
    saved_hours: float = 0.0
    saved_micro_usd: int = 0


def groups(
    rows: Iterable[Charge],
    key: Callable[[Charge], str],
    savings: dict[str, tuple[float, int]] | None = None,
) -> list[Group]:
    """The groups, most money first; ``savings`` adds hours and money that cache hits spared, by the same names."""
    found = break_down(rows, key)
    spared = savings or {}
    whole = sum(max(0, spent.known_micro_usd) for spent in found.values())
    found_rows = [
        Group(
            name, spent := found.get(name, Spent()), max(0, spent.known_micro_usd) / whole if whole else 0.0,
            *spared.get(name, (0.0, 0)),
        )
        for name in dict.fromkeys([*found, *spared])
    ]  # fmt: skip
    return sorted(
        found_rows, key=lambda one: (-one.spent.known_micro_usd, -one.spent.gpu_hours, -one.spent.cpu_hours, one.name)
    )


def savings_in(told: Snapshot, scope: Scope) -> list[Saving]:
    """The cache hits of the scope's builds within its dates."""
    builds = {one.id for one in told.builds if scope.covers(one)}
    return [one for one in told.savings if one.build_id in builds and scope.holds(one.at)]


def saved_by(savings: Iterable[Saving], key: Callable[[Saving], str]) -> dict[str, tuple[float, int]]:
    """``name -> (device-hours spared, micro-USD of those that have a price)``."""
    found: dict[str, tuple[float, int]] = {}
    for one in savings:
        hours, money = found.get(key(one), (0.0, 0))
        found[key(one)] = (hours + one.device_seconds / 3600, money + (one.micro_usd or 0))
    return found


def builds_in(told: Snapshot, scope: Scope) -> list[BuildRow]:
    """The scope's builds that began or were charged within its dates, newest first."""
    covered = [one for one in told.builds if scope.covers(one)]
    if scope.start is None and scope.end is None:
        return covered
    charged = {
        row.build_id for row in told.charges
        if (scope.start is None or row.end_at > scope.start) and (scope.end is None or row.start_at < scope.end)
    }  # fmt: skip
    return [one for one in covered if one.id in charged or scope.holds(one.started_at)]


def gpu_told(spent: Spent) -> str:
    """GPU-hours in words; that there are none is said plainly."""
    if not spent.gpu_hours:
        return "No GPU was held: 0 GPU-hours."
    return f"{spent.gpu_hours:,.2f} GPU-hours."


def empty(panel: str, headline: str, what: str, query: Query, **told: Any) -> Page:
    """A panel without anything to show, and why."""
    return Page(panel, panel, PAGES[panel], headline, nothing(what, bool(query.words)), told)


def nothing(what: str, filtered: bool) -> str:
    """Why a panel is empty, and what fills it."""
    if filtered:
        return f"No {what} within this filter. Widen the dates, or clear the filter."
    return f"No {what} yet. stillroom demo finance --scale smoke makes a small build and books it."
