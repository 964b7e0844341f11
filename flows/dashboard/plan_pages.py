"""Budgets against their burn, and the plan against what happened."""

from __future__ import annotations

from flows.dashboard.amounts import percent, plain
from flows.dashboard.charts import burn_figure
from flows.dashboard.page import MOST_ROWS, Page, empty
from flows.dashboard.query import Query
from flows.dashboard.source import Source
from ledger.budgets import reserved_now
from ledger.burn_down import Burn, burns
from ledger.plan_errors import by_stage, planned, typical_factor


def budgets(source: Source, query: Query) -> Page:
    """What may be spent, what was, and when it runs out at this pace. A budget's period is its own: no dates here."""
    now, books = source.now(), source.ledger()
    found = burns(source.told(), query.scope, now)
    if not found or books is None:
        lead = "stillroom budget set finance --usd 500 --vertical finance --period month --policy stop makes one."
        return Page("budgets", "budgets", "Budgets", "No budget is in force", lead, {"burns": []})
    reserved = reserved_now(books, now)
    rows = [(one, reserved.get(one.name, 0), burn_figure(one)) for one in found]
    return Page(
        "budgets", "budgets", "Budgets", _state(found), _outlook(found), {"burns": rows, "now": now}, dated=False
    )


def _state(found: list[Burn]) -> str:
    spent = [one.name for one in found if one.state == "spent"]
    warned = [one.name for one in found if one.state == "warns"]
    if spent:
        return f"{len(spent)} of {len(found)} budgets used up: {plain(', '.join(spent[:3]), 80)}"
    if warned:
        return f"{len(warned)} of {len(found)} budgets near their limit: {plain(', '.join(warned[:3]), 80)}"
    most = max(found, key=lambda one: one.used_share or 0.0)
    whose = plain(most.name, 60) if len(found) > 1 else "the budget"
    return f"{percent(most.used_share)} of {whose} is used{', the most of all' if len(found) > 1 else ''}"


def _outlook(found: list[Burn]) -> str:
    ends = sorted((one.runs_out_at, one.name) for one in found if one.runs_out_at is not None)
    if not ends:
        return "At the mean rate so far none runs out within its period."
    return f"At the mean rate so far {plain(ends[0][1], 60)} runs out on {ends[0][0]:%d %B %Y}."


def estimates(source: Source, query: Query) -> Page:
    """How far the plan was off, by stage and by build."""
    lines = planned(source.told(), query.scope)
    factor = typical_factor(lines)
    if not lines or factor is None:
        headline = "No plan can be compared yet"
        return empty("estimates", headline, "run with an estimate", query, lines=[])
    stages = by_stage(lines)
    worst = max(stages, key=lambda one: abs(one.actual_device_seconds - one.estimated_device_seconds))
    lead = (
        f"{len(lines):,} stages of {len({one.build_id for one in lines}):,} builds. Furthest off in sum: "
        f"{plain(worst.stage, 40)}, {percent(worst.error, signed=True)}."
    )
    told = {"lines": lines[:MOST_ROWS], "left_out": max(0, len(lines) - MOST_ROWS), "stages": stages}
    return Page(
        "estimates", "estimates", "Plan against actual", f"Stages took {factor:.2f} times what was planned", lead, told
    )
