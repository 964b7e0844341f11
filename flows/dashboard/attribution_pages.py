"""Who caused what: per stage, model, artifact, accepted document, accepted answer, score point; and a build's page."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import InputError
from flows.attribution import BuildCost, cost_of
from flows.dashboard.amounts import amount, plain
from flows.dashboard.evaluations import primary_metric
from flows.dashboard.page import MOST_ROWS, Page, builds_in, empty, groups, saved_by, savings_in
from flows.dashboard.query import Query
from flows.dashboard.source import Records, Source
from ledger import Ledger
from ledger.artifact_costs import artifact_costs
from ledger.breakdown import Spent, break_down, total, within
from ledger.promotions import Promotion, promotions
from ledger.report import build_lines, build_totals, estimate_lines
from ledger.snapshot import BuildRow, Charge

MOST_SERVING_BUILDS = 4
Made = tuple[str, str]
"""An artifact and the stage that made it."""


def attribution(source: Source, query: Query) -> Page:
    """Cost, waste and savings per stage and artifact, and what one unit of the outcome cost."""
    told, records, books, scope = source.told(), source.records(), source.ledger(), query.scope
    rows = within(told.charges, scope)
    spent = total(rows)
    savings = savings_in(told, scope)
    if books is None or not builds_in(told, scope):
        return empty("attribution", "Nothing to attribute", "build", query, spent=None)
    served = _served(books, records, builds_in(told, scope))
    stages = groups(rows, lambda row: row.stage or "no stage", saved_by(savings, lambda one: one.stage))
    saved = sum(one.saved_micro_usd for one in stages)
    costly, left_out = _costliest(rows)
    spared = saved_by(savings, lambda one: one.artifact)
    return Page(
        "attribution",
        "attribution",
        "Attribution",
        _headline(served) or f"{amount(spent.known_micro_usd)} attributed to {len(stages)} stages",
        f"Wasted: {amount(spent.wasted_micro_usd)}. Saved by cache: {amount(saved)}.",
        {
            "spent": spent,
            "stages": stages,
            "artifacts": [(*key, one, spared.get(key[0], (0.0, 0))) for key, one in costly],
            "costs": artifact_costs(books, [artifact for (artifact, _), _ in costly]),
            "left_out": left_out,
            "served": served,
            "known": records.nodes,
        },
    )


def _costliest(rows: Sequence[Charge]) -> tuple[list[tuple[Made, Spent]], int]:
    """The sums of the artifacts (with their stages) that cost most, and how many others there are.

    Which these are is told by each row's own rounded cost; a ledger may have as many artifacts as leases, and only
    those shown are added up exactly.
    """
    weights: dict[Made, tuple[int, float]] = {}
    for row in rows:
        if row.artifact:
            money, held = weights.get((row.artifact, row.stage), (0, 0.0))
            told = (money + (row.micro_usd or 0), held + row.share_microseconds / row.share_denominator)
            weights[row.artifact, row.stage] = told
    most = set(heapq.nlargest(MOST_ROWS, weights, key=lambda one: weights[one]))
    found = break_down(
        (row for row in rows if (row.artifact, row.stage) in most), lambda row: (row.artifact, row.stage)
    )
    ranked = sorted(found.items(), key=lambda one: (-one[1].known_micro_usd, -one[1].gpu_hours, -one[1].cpu_hours))
    return ranked, len(weights) - len(most)


def build(source: Source, query: Query, build_id: str) -> Page:
    """One build: its stages, the plan beside them, its served models' whole cost. Raises InputError."""
    told, records, books = source.told(), source.records(), source.ledger()
    row = next((one for one in told.builds if one.id == build_id), None)
    if books is None or row is None:
        hint = "the overview lists the last ones"
        raise InputError("build", "is not in this ledger", got=plain(build_id, 80), hint=hint)
    totals = build_totals(books, build_id)
    report = source.settings.home / "builds" / build_id / "report.html"
    served = _served(books, records, [row])
    cost = amount(totals.micro_usd) if totals.micro_usd is not None else "cost unknown"
    planned = {(one.stage, one.device): one for one in estimate_lines(books, build_id)}
    return Page(
        "build",
        "",
        f"Build {plain(build_id, 40)}",
        f"{plain(row.vertical, 40)} at {plain(row.scale, 20)}: {cost}",
        f"Begun {row.started_at:%Y-%m-%d %H:%M} UTC, last heard of {totals.last_seen_at:%Y-%m-%d %H:%M}.",
        {
            "row": row,
            "promotions": _promotions(books, row),
            "totals": totals,
            "lines": [(line, planned.get((line.stage, line.device))) for line in build_lines(books, build_id)],
            "served": served,
            "known": records.nodes,
            "report": str(report) if "/" not in build_id and report.is_file() else "",
        },
    )


@dataclass(frozen=True)
class Promoted:
    """A name that a build was given, and whether it still goes by it."""

    promotion: Promotion
    counts: bool


def _promotions(books: Ledger, row: BuildRow) -> list[Promoted]:
    every = promotions(books, row.vertical)
    last = {one.name: one for one in reversed(every)}
    return [Promoted(one, last[one.name] == one) for one in every if one.build_id == row.id]


def _served(books: Ledger, records: Records, builds: list[BuildRow]) -> list[BuildCost]:
    """The newest serving build of each vertical and scale."""
    found: dict[tuple[str, str], BuildCost] = {}
    for one in builds:
        stages = records.stages.get(one.id, {})
        place = (one.vertical, one.scale)
        if place in found or not any(stage.startswith("serve:") for stage in stages):
            continue
        metrics = (primary_metric(records.artifacts[name]) for name in stages.values() if name in records.artifacts)
        metric = next((name for name in metrics if name), "")
        found[place] = cost_of(books, records.lineage, stages, one.id, f"{one.vertical}@{one.scale}", metric)
        if len(found) == MOST_SERVING_BUILDS:
            break
    return list(found.values())


def _headline(served: list[BuildCost]) -> str:
    """The units of the first build that served; empty where there is none."""
    if not served:
        return ""
    one = served[0]
    parts = [f"an accepted document cost {amount(one.micro_usd_per_document)}"] if one.micro_usd_per_document else []
    parts += [f"an accepted answer {amount(one.micro_usd_per_answer)}"] if one.micro_usd_per_answer else []
    gained = [gain.micro_usd_per_point for gain in one.gains if gain.micro_usd_per_point]
    parts += [f"a score point {amount(min(gained))}"] if gained else []
    told = ", ".join(parts)
    return told[:1].upper() + told[1:]
