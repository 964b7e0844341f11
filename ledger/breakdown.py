"""A snapshot's charges within a scope, added up by anything and split over time.

The arithmetic is that of ``ledger.spend``: device-microseconds times price as integers, rounded once a line. A charge
that reaches over a bound or a bucket's end counts with the part of its time that lies inside; an expense or an
adjustment counts where its period begins. GPU-hours and CPU-hours are never added up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, Literal, TypeVar

from ledger.prices import HOUR_MICROSECONDS, MICROSECOND
from ledger.snapshot import BuildRow, Charge

Key = TypeVar("Key", bound=Hashable)
Unit = Literal["hour", "day", "month"]
WASTED = ("failed", "killed")


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


Cell = tuple[str, str, str, int, int | None]
"""Kind, category, status, denominator of the share, price: what can be added up as integers."""
Tally = dict[Cell, int]
"""Share-microseconds of compute, micro-USD of what is booked."""


def within(charges: Iterable[Charge], scope: Scope) -> list[Charge]:
    """The charges in a scope; one that reaches over a bound is cut there, to the microsecond."""
    named = scope != Scope(start=scope.start, end=scope.end)
    rows = [row for row in charges if scope.covers(row)] if named else list(charges)
    if scope.start is None and scope.end is None:
        return rows
    return [cut for row in rows if (cut := _cut(row, scope.start, scope.end)) is not None]


def break_down(rows: Iterable[Charge], key: Callable[[Charge], Key]) -> dict[Key, Spent]:
    """The sums of each group, in the order in which the groups first appear."""
    sums: dict[tuple[Key, Cell], int] = {}
    for row in rows:
        place = (key(row), _cell(row))
        sums[place] = sums.get(place, 0) + _amount(row)
    return {group: _spent(tally) for group, tally in _by_group(sums).items()}


def total(rows: Iterable[Charge]) -> Spent:
    """Everything."""
    return break_down(rows, lambda _row: "").get("", Spent())


@dataclass(frozen=True)
class Timeline(Generic[Key]):
    """Sums by bucket (its first moment, UTC), oldest first: of each group, and of all together."""

    groups: dict[tuple[datetime, Key], Spent]
    whole: dict[datetime, Spent]


def over_time(rows: Iterable[Charge], key: Callable[[Charge], Key], unit: Unit) -> Timeline[Key]:
    """The sums of each group in each hour, day or month."""
    sums: dict[tuple[tuple[datetime, Key], Cell], int] = {}
    for row in rows:
        for start, part in _by_bucket(row, unit):
            place = ((start, key(row)), _cell(row))
            sums[place] = sums.get(place, 0) + _amount(part)
    groups = _by_group(sums)
    whole: dict[datetime, Tally] = {}
    for (start, _), tally in groups.items():
        merged = whole.setdefault(start, {})
        for cell, amount in tally.items():
            merged[cell] = merged.get(cell, 0) + amount
    ordered = sorted(groups, key=lambda one: one[0])
    return Timeline({one: _spent(groups[one]) for one in ordered}, {one: _spent(whole[one]) for one in sorted(whole)})


def bounds(rows: Sequence[Charge]) -> tuple[datetime, datetime] | None:
    """The first and the last moment; None where there is nothing."""
    if not rows:
        return None
    ends = (row.end_at if row.kind == "compute" else row.start_at for row in rows)
    return min(row.start_at for row in rows), max(ends)


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


def _cell(row: Charge) -> Cell:
    return row.kind, row.category, row.status, row.share_denominator, row.unit_micro_usd


def _amount(row: Charge) -> int:
    return row.share_microseconds if row.kind == "compute" else row.micro_usd or 0


def _by_group(sums: Mapping[tuple[Key, Cell], int]) -> dict[Key, Tally]:
    groups: dict[Key, Tally] = {}
    for (group, cell), amount in sums.items():
        groups.setdefault(group, {})[cell] = amount
    return groups


def _spent(tally: Tally) -> Spent:
    """Whole numbers to the end: a ledger has as many groups as artifacts, and fractions are slow."""
    common = math.lcm(*(denominator for kind, _, _, denominator, _ in tally if kind == "compute"))
    held: dict[tuple[str, bool], int] = {}
    money, wasted_money, unpriced = 0, 0, 0
    booked = {"expense": 0, "adjustment": 0}
    for (kind, category, status, denominator, unit), amount in tally.items():
        if kind != "compute":
            booked[kind] += amount
            continue
        wasted, parts = status in WASTED, amount * (common // denominator)
        held[category, wasted] = held.get((category, wasted), 0) + parts
        unpriced += parts if unit is None else 0
        money += parts * (unit or 0)
        wasted_money += parts * (unit or 0) if wasted else 0
    hour = common * HOUR_MICROSECONDS
    gpu, cpu = (held.get((one, False), 0) + held.get((one, True), 0) for one in ("gpu", "cpu"))
    return Spent(
        gpu_hours=gpu / hour,
        cpu_hours=cpu / hour,
        wasted_gpu_hours=held.get(("gpu", True), 0) / hour,
        wasted_cpu_hours=held.get(("cpu", True), 0) / hour,
        unpriced_hours=unpriced / hour,
        compute_micro_usd=(2 * money + hour) // (2 * hour),
        wasted_micro_usd=(2 * wasted_money + hour) // (2 * hour),
        expense_micro_usd=booked["expense"],
        adjustment_micro_usd=booked["adjustment"],
    )


def _cut(row: Charge, start: datetime | None, end: datetime | None) -> Charge | None:
    """The part of a row between two moments; None where there is none."""
    if row.kind != "compute":
        return None if (start and row.start_at < start) or (end and row.start_at >= end) else row
    if (start is None or start <= row.start_at) and (end is None or row.end_at <= end):
        return row
    first, last = max(row.start_at, start or row.start_at), min(row.end_at, end or row.end_at)
    if last <= first:
        return None
    weight = row.share_microseconds // ((row.end_at - row.start_at) // MICROSECOND)
    return row._replace(start_at=first, end_at=last, share_microseconds=weight * ((last - first) // MICROSECOND))


def _by_bucket(row: Charge, unit: Unit) -> Iterator[tuple[datetime, Charge]]:
    """A row's parts by the bucket they lie in."""
    start = bucket(row.start_at, unit)
    end = after(start, unit)
    if row.kind != "compute" or row.end_at <= end:
        yield start, row
        return
    while start < row.end_at:
        part = _cut(row, start, end)
        if part is not None:
            yield start, part
        start, end = end, after(end, unit)
