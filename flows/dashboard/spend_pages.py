"""The overview, and spend by vertical, stage and time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flows.dashboard.amounts import amount, percent
from flows.dashboard.charts import bucket_name, columns, usd_label
from flows.dashboard.page import Page, builds_in, empty, gpu_told, groups, saved_by, savings_in
from flows.dashboard.query import Query
from flows.dashboard.source import Source
from ledger.breakdown import Spent, Unit, after, bounds, break_down, bucket, over_time, total, unit_for, within
from ledger.burn_down import burns
from ledger.running import held_now
from ledger.snapshot import Charge

SERIES: dict[str, Callable[[Charge], str]] = {
    "vertical": lambda row: row.vertical or "no vertical",
    "stage": lambda row: row.stage or row.category,
    "team": lambda row: row.team or "no team",
    "scale": lambda row: row.scale or "no scale",
    "device": lambda row: row.item or row.category,
    "kind": lambda row: f"{row.category} hours" if row.kind == "compute" else row.category.replace("_", " "),
}
"""What columns over time can be coloured by."""
MOST_BUCKETS = 120
LATEST_BUILDS = 8


def overview(source: Source, query: Query) -> Page:
    """The state of things at a glance."""
    told, scope = source.told(), query.scope
    rows, books = within(told.charges, scope), source.ledger()
    spent = total(rows)
    builds = builds_in(told, scope)
    saved = saved_by(savings_in(told, scope), lambda _one: "all").get("all", (0.0, 0))
    newest = {one.id for one in builds[:LATEST_BUILDS]}
    costs = break_down((row for row in rows if row.build_id in newest), lambda row: row.build_id)
    if not told.builds:
        title = "Nothing is booked yet"
        return empty("overview", title, "build", query, spent=None)
    headline = f"{_spent_told(spent)}{f', {percent(_wasted(spent))} of it wasted' if spent.wasted_micro_usd else ''}"
    return Page(
        "overview",
        "overview",
        "Overview",
        headline,
        f"{gpu_told(spent)} {len(builds):,} build{'' if len(builds) == 1 else 's'}.",
        {
            "spent": spent,
            "saved": saved,
            "builds": [(one, costs.get(one.id, Spent())) for one in builds[:LATEST_BUILDS]],
            "build_count": len(builds),
            "verticals": groups(rows, SERIES["vertical"])[:8],
            "stages": groups(rows, SERIES["stage"])[:8],
            "burns": burns(told, scope, source.now()),
            "running": held_now(books, scope) if books else [],
            "now": source.now(),
            **_time(rows, "vertical"),
        },
    )


def spend(source: Source, query: Query) -> Page:
    """Where the money went: by vertical, stage, device and time."""
    told, scope = source.told(), query.scope
    asked = query.more.get("series", "")
    default = "stage" if scope.vertical or len({one.vertical for one in told.builds}) < 2 else "vertical"
    series = asked if asked in SERIES else default
    rows = within(told.charges, scope)
    spent, seen = total(rows), bounds(rows)
    if seen is None:
        return empty("spend", "Nothing was spent", "spend", query, spent=None)
    return Page(
        "spend",
        "spend",
        "Spend",
        f"{_spent_told(spent)} between {seen[0]:%d %b %Y} and {seen[1]:%d %b %Y}",
        gpu_told(spent) + _parts(spent),
        {
            "spent": spent,
            "series": series,
            "series_names": list(SERIES),
            "verticals": groups(rows, SERIES["vertical"]),
            "stages": groups(rows, SERIES["stage"]),
            "devices": groups(rows, SERIES["device"]),
            **_time(rows, series),
        },
    )


def _time(rows: list[Charge], series: str) -> dict[str, object]:
    """The columns over time and the table beside them."""
    seen = bounds(rows)
    if seen is None:
        return {"columns": None, "buckets": [], "unit": "day"}
    unit = unit_for(*seen)
    spans = _buckets(seen, unit)
    spent = over_time(rows, SERIES[series], unit)
    money = {key: float(one.known_micro_usd) for key, one in spent.groups.items()}
    told = [(bucket_name(start, unit), spent.whole[start]) for start in spans if start in spent.whole]
    return {"columns": columns(money, spans, unit, usd_label), "buckets": told, "unit": unit, "series": series}


def _buckets(seen: tuple[datetime, datetime], unit: Unit) -> list[datetime]:
    """Every bucket from the first moment to the last, also where nothing was spent; of very many the newest."""
    found = [bucket(seen[0], unit)]
    while (following := after(found[-1], unit)) < seen[1]:
        found.append(following)
    return found[-MOST_BUCKETS:]


def _spent_told(spent: Spent) -> str:
    if spent.micro_usd is None:
        return f"{amount(spent.known_micro_usd)} known, {spent.unpriced_hours:,.2f} device-hours without a price"
    return f"{amount(spent.micro_usd)} spent"


def _wasted(spent: Spent) -> float:
    return spent.wasted_micro_usd / spent.compute_micro_usd if spent.compute_micro_usd else 0.0


def _parts(spent: Spent) -> str:
    parts = [f" {amount(spent.compute_micro_usd)} of devices"]
    parts += [f"{amount(spent.expense_micro_usd)} booked by people"] if spent.expense_micro_usd else []
    parts += [f"{amount(spent.adjustment_micro_usd)} adjusted"] if spent.adjustment_micro_usd else []
    return ", ".join(parts) + "."
