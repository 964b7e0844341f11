"""A snapshot's charges within a scope, added up by anything and split over time.

The arithmetic is that of ``ledger.spend``: device-microseconds times price as integers, rounded once a line. A charge
that reaches over a bound or a bucket's end counts with the part of its time that lies inside; an expense or an
adjustment counts where its period begins. GPU-hours and CPU-hours are never added up.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Literal, TypeVar

from ledger.prices import HOUR_MICROSECONDS, MICROSECOND
from ledger.snapshot import BuildRow, Charge

Key = TypeVar("Key", bound=Hashable)
Unit = Literal["hour", "day", "month"]
WASTED = ("failed", "killed")
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Scope:
    """What is looked at. An empty text is all; a build's first letters do; ``start`` is inside, ``end`` is not."""

    vertical: str = ""
    team: str = ""
    scale: str = ""
    build: str = ""
    start: datetime | None = None
    end: datetime | None = None

    def covers(self, row: Charge | BuildRow) -> bool:
        """Whether a charge or a build is meant, whatever its time."""
        build_id = row.build_id if isinstance(row, Charge) else row.id
        return (
            self.vertical in ("", row.vertical)
            and self.team in ("", row.team)
            and self.scale in ("", row.scale)
            and build_id.startswith(self.build)
        )

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies between the bounds."""
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)


@dataclass(frozen=True)
class Spent:
    """One group's sums; money in micro-USD."""

    gpu_hours: float = 0.0
    cpu_hours: float = 0.0
    wasted_gpu_hours: float = 0.0
    """Of leases that failed or were killed; part of the hours."""
    wasted_cpu_hours: float = 0.0
    unpriced_hours: float = 0.0
    compute_micro_usd: int = 0
    """Of the hours that have a price."""
    wasted_micro_usd: int = 0
    """Part of ``compute_micro_usd``."""
    expense_micro_usd: int = 0
    adjustment_micro_usd: int = 0

    @property
    def known_micro_usd(self) -> int:
        """What has a price, expenses and adjustments."""
        return self.compute_micro_usd + self.expense_micro_usd + self.adjustment_micro_usd

    @property
    def micro_usd(self) -> int | None:
        """The same; None where a part has no price: unknown is not zero."""
        return None if self.unpriced_hours else self.known_micro_usd


@dataclass
class _Tally:
    hours: dict[tuple[str, bool], Fraction] = field(default_factory=dict)
    unpriced: Fraction = Fraction(0)
    money: Fraction = Fraction(0)
    wasted_money: Fraction = Fraction(0)
    booked: dict[str, int] = field(default_factory=dict)
    held: dict[tuple[str, bool, int, int | None], int] = field(default_factory=dict)
    """Share-microseconds by category, whether wasted, denominator and price: integers until all are added."""

    def add(self, row: Charge, share_microseconds: int) -> None:
        if row.kind != "compute":
            self.booked[row.kind] = self.booked.get(row.kind, 0) + (row.micro_usd or 0)
            return
        key = (row.category, row.status in WASTED, row.share_denominator, row.unit_micro_usd)
        self.held[key] = self.held.get(key, 0) + share_microseconds

    def spent(self) -> Spent:
        for (category, wasted, denominator, unit), held in self.held.items():
            hours = Fraction(held, denominator * HOUR_MICROSECONDS)
            self.hours[category, wasted] = self.hours.get((category, wasted), Fraction(0)) + hours
            if unit is None:
                self.unpriced += hours
            else:
                self.money += hours * unit
                self.wasted_money += hours * unit if wasted else 0
        by = {
            category: sum(self.hours.get((category, wasted), 0) for wasted in (False, True))
            for category in ("gpu", "cpu")
        }
        return Spent(
            gpu_hours=float(by["gpu"]),
            cpu_hours=float(by["cpu"]),
            wasted_gpu_hours=float(self.hours.get(("gpu", True), 0)),
            wasted_cpu_hours=float(self.hours.get(("cpu", True), 0)),
            unpriced_hours=float(self.unpriced),
            compute_micro_usd=int(self.money + HALF),
            wasted_micro_usd=int(self.wasted_money + HALF),
            expense_micro_usd=self.booked.get("expense", 0),
            adjustment_micro_usd=self.booked.get("adjustment", 0),
        )


def break_down(charges: Iterable[Charge], scope: Scope, key: Callable[[Charge], Key]) -> dict[Key, Spent]:
    """The sums of each group, in the order in which the groups first appear."""
    tallies: dict[Key, _Tally] = {}
    for row in charges:
        if scope.covers(row):
            held = _within(row, scope.start, scope.end)
            if held is not None:
                tallies.setdefault(key(row), _Tally()).add(row, held)
    return {group: tally.spent() for group, tally in tallies.items()}


def total(charges: Iterable[Charge], scope: Scope) -> Spent:
    """Everything in the scope."""
    return break_down(charges, scope, lambda _row: "").get("", Spent())


def over_time(
    charges: Iterable[Charge], scope: Scope, key: Callable[[Charge], Key], unit: Unit
) -> dict[tuple[datetime, Key], Spent]:
    """The sums of each group in each hour, day or month (UTC), by the bucket's first moment."""
    tallies: dict[tuple[datetime, Key], _Tally] = {}
    for row in charges:
        if scope.covers(row):
            for start, held in _by_bucket(row, scope, unit):
                tallies.setdefault((start, key(row)), _Tally()).add(row, held)
    return {group: tallies[group].spent() for group in sorted(tallies, key=lambda one: one[0])}


def bounds(charges: Iterable[Charge], scope: Scope) -> tuple[datetime, datetime] | None:
    """The first and the last moment of what is in the scope, within its bounds; None where nothing is."""
    first = last = None
    for row in charges:
        if scope.covers(row) and _within(row, scope.start, scope.end) is not None:
            first = row.start_at if first is None else min(first, row.start_at)
            end = row.end_at if row.kind == "compute" else row.start_at
            last = end if last is None else max(last, end)
    if first is None or last is None:
        return None
    return max(first, scope.start or first), min(last, scope.end or last)


def unit_for(first: datetime, last: datetime) -> Unit:
    """Hours for up to three days, days for up to three months, else months."""
    length = last - first
    return "hour" if length <= timedelta(days=3) else "day" if length <= timedelta(days=92) else "month"


def bucket(moment: datetime, unit: Unit) -> datetime:
    """The first moment of the bucket."""
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    return datetime(moment.year, moment.month, moment.day if unit == "day" else 1, tzinfo=UTC)


def after(start: datetime, unit: Unit) -> datetime:
    """The first moment of the next bucket."""
    if unit == "month":
        return datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)
    return start + (timedelta(hours=1) if unit == "hour" else timedelta(days=1))


def _within(row: Charge, start: datetime | None, end: datetime | None) -> int | None:
    """The share-microseconds between the bounds; None where the row does not touch them. 0 for what is no compute."""
    if row.kind != "compute":
        return None if (start and row.start_at < start) or (end and row.start_at >= end) else 0
    if (start is None or start <= row.start_at) and (end is None or row.end_at <= end):
        return row.share_microseconds
    first, last = max(row.start_at, start or row.start_at), min(row.end_at, end or row.end_at)
    whole = (row.end_at - row.start_at) // MICROSECOND
    if last <= first or not whole:
        return None
    return row.share_microseconds // whole * ((last - first) // MICROSECOND)


def _by_bucket(row: Charge, scope: Scope, unit: Unit) -> Iterator[tuple[datetime, int]]:
    """A row's parts by the bucket they lie in."""
    start = bucket(max(row.start_at, scope.start or row.start_at), unit)
    while True:
        end = after(start, unit)
        held = _within(row, max(start, scope.start or start), min(end, scope.end or end))
        if held is not None:
            yield start, held
        if row.kind != "compute" or end >= min(row.end_at, scope.end or row.end_at):
            return
        start = end
