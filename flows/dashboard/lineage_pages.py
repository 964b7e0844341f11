"""The lineage: which artifact was made from which, as a graph to click, and a page for each artifact."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import InputError
from contracts.reports import EvaluationReport
from flows.dashboard.amounts import amount, plain
from flows.dashboard.evaluations import Hours, hours_behind, suites
from flows.dashboard.graph import Box, Wire, layered
from flows.dashboard.page import Page, builds_in, empty
from flows.dashboard.query import Query
from flows.dashboard.source import Records, Source
from ledger import Ledger
from ledger.artifact_costs import ArtifactCost, artifact_costs

MOST_BOXES = 120
MOST_FILES = 100
GENERATIONS = 2
"""Drawn around an artifact on its own page."""


@dataclass(frozen=True)
class Card:
    """An artifact in short."""

    fingerprint: str
    stage: str
    kind: str
    cost: ArtifactCost | None
    licences: list[str]
    """Of everything behind it."""

    @property
    def cost_told(self) -> str:
        """Its own cost, or why there is none."""
        if self.cost is None:
            return "never booked here"
        return "no price" if self.cost.micro_usd is None else amount(self.cost.micro_usd)

    @property
    def licences_told(self) -> str:
        """Short enough for a box."""
        if not self.licences:
            return "no licence declared"
        first, more = self.licences[0], len(self.licences) - 1
        return plain(first, 20) + (f" + {more}" if more else "")


@dataclass(frozen=True)
class Drawn:
    """A graph ready to be drawn."""

    width: float
    height: float
    boxes: list[tuple[Box, Card]]
    wires: tuple[Wire, ...]
    left_out: int
    focus: str = ""


def lineage(source: Source, query: Query) -> Page:
    """The graph of one build: the one asked for, else the newest in the filter that made something."""
    told, records, books = source.told(), source.records(), source.ledger()
    builds = [one for one in builds_in(told, query.scope) if records.stages.get(one.id)]
    builds = [one for one in builds if one.id == query.scope.build] or builds
    if not builds:
        known = sorted(records.nodes) if not query.words else []
        if not known:
            return empty("lineage", "No artifact to show", "artifact", query, drawn=None)
        fingerprints, headline, lead = (
            known,
            f"{len(known):,} artifacts in the store",
            "No build of this ledger names them.",
        )
    else:
        one = next((build for build in builds if _serves(records.stages[build.id])), builds[0])
        nodes = records.lineage.behind(records.stages[one.id].values())
        fingerprints = [node.fingerprint for node in nodes]
        place = f"{plain(one.vertical, 40)} at {plain(one.scale, 20)}"
        headline = f"{len(fingerprints):,} artifacts of {place}, from the first document on"
        lead = f"Build {plain(one.id, 40)}, begun {one.started_at:%Y-%m-%d %H:%M} UTC. Every box leads to its artifact."
    cards = cards_of(books, records, fingerprints)
    drawn = draw(records, cards, fingerprints)
    shown = [cards[box.name] for box, _ in drawn.boxes]
    told_more = {"drawn": drawn, "cards": shown, "builds": builds[:12], "build": one.id if builds else ""}
    return Page("lineage", "lineage", "Lineage", headline, lead, told_more)


def artifact(source: Source, query: Query, fingerprint: str) -> Page:
    """One artifact: what went in, what came out, what it cost, how good it is, who depends on it. Raises InputError."""
    records, books = source.records(), source.ledger()
    node = records.nodes.get(fingerprint)
    if node is None:
        hint = "the page Lineage lists those of a build"
        raise InputError("artifact", "is not in this store", got=plain(fingerprint, 80), hint=hint)
    one = records.artifacts.get(fingerprint)
    ancestors = [behind.fingerprint for behind in records.behind(fingerprint)]
    heirs = _heirs(records, fingerprint)
    near = [*_near(records, fingerprint, back=True), *_near(records, fingerprint, back=False)]
    cards = cards_of(books, records, [*ancestors, *heirs])
    whole = hours_behind(books, records, [fingerprint])[fingerprint]
    kind = records.kind(fingerprint) or "identity"
    return Page(
        "artifact",
        "lineage",
        f"{node.stage} {fingerprint[:12]}",
        f"{plain(node.stage, 60)}: {_article(kind)}",
        _story(cards[fingerprint], whole),
        {
            "one": one,
            "node": node,
            "card": cards[fingerprint],
            "whole": whole,
            "own_licences": records.licences(fingerprint),
            "inputs": [(name, cards.get(given), given) for name, given in node.inputs.items()],
            "users": [cards[user] for user in records.users.get(fingerprint, []) if user in cards],
            "heirs": len(heirs),
            "builds": _builds(source, records, fingerprint),
            "quality": _quality(records, fingerprint),
            "metrics": _plain_metrics(one.metrics) if one else {},
            "section": json.dumps(one.section, indent=1, ensure_ascii=False, default=str) if one else "",
            "files": list(one.files.items())[:MOST_FILES] if one else [],
            "drawn": draw(records, cards, [fingerprint, *near], fingerprint),
        },
    )


def cards_of(books: Ledger | None, records: Records, fingerprints: Iterable[str]) -> dict[str, Card]:
    """Each artifact in short."""
    wanted = list(dict.fromkeys(fingerprints))
    costs = artifact_costs(books, wanted) if books is not None and wanted else {}
    return {
        one: Card(one, records.nodes[one].stage, records.kind(one), costs.get(one), records.all_licences(one))
        for one in wanted
        if one in records.nodes
    }


def draw(records: Records, cards: Mapping[str, Card], fingerprints: Iterable[str], focus: str = "") -> Drawn:
    """The graph of these artifacts; of very many those nearest to the first named."""
    every = [one for one in dict.fromkeys(fingerprints) if one in cards]
    kept = every[:MOST_BOXES]
    layout = layered(kept, {one: records.nodes[one].inputs.values() for one in kept})
    boxes = [(box, cards[box.name]) for box in layout.boxes]
    return Drawn(layout.width, layout.height, boxes, layout.wires, len(every) - len(kept), focus)


def _heirs(records: Records, fingerprint: str) -> list[str]:
    """Everything that was made from it, directly or not."""
    found: dict[str, None] = {}
    waiting = list(records.users.get(fingerprint, []))
    while waiting:
        one = waiting.pop(0)
        if one not in found and one != fingerprint:
            found[one] = None
            waiting += records.users.get(one, [])
    return list(found)


def _near(records: Records, fingerprint: str, *, back: bool) -> list[str]:
    """What lies within a few generations of it, before or behind."""
    found: dict[str, None] = {}
    rim = [fingerprint]
    for _ in range(GENERATIONS):
        steps = [records.nodes[one].inputs.values() if back else records.users.get(one, []) for one in rim]
        rim = [one for step in steps for one in step if one in records.nodes and one not in found]
        found |= dict.fromkeys(rim)
    return list(found)


def _serves(stages: Mapping[str, str]) -> bool:
    return any(stage.startswith("serve:") for stage in stages)


def _quality(records: Records, fingerprint: str) -> list[tuple[str, EvaluationReport]]:
    """Evaluations of a model, or the report of an evaluation itself: ``(fingerprint, report)``."""
    own = [fingerprint] if records.kind(fingerprint) == "evaluation" else []
    users = [user for user in records.users.get(fingerprint, []) if records.kind(user) == "evaluation"]
    of_it = [user for user in users if records.nodes[user].inputs.get("model") == fingerprint]
    reports = [(one, suites(records.artifacts[one])) for one in [*own, *of_it]]
    return [(one, report) for one, report in reports if report is not None]


def _builds(source: Source, records: Records, fingerprint: str) -> list[tuple[str, str]]:
    """``(build, vertical at scale)`` of those that made or reused it."""
    named = {one.id: f"{one.vertical} at {one.scale}" for one in source.told().builds}
    charged = [row.build_id for row in source.told().charges if row.artifact == fingerprint]
    found = dict.fromkeys([*records.builds_of.get(fingerprint, []), *charged])
    return [(build, named.get(build, "")) for build in found if build]


def _plain_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Those that fit on a line: no curves, no tables."""
    return {name: value for name, value in metrics.items() if isinstance(value, str | int | float | bool)}


def _article(kind: str) -> str:
    if kind == "identity":
        return "only its identity is left in the store"
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _story(card: Card, whole: Hours) -> str:
    alone = f"It cost {card.cost_told}" if card.cost is not None else "This ledger never saw it made"
    if whole.micro_usd is not None:
        return f"{alone}, with everything behind it {amount(whole.micro_usd)}."
    return f"{alone}. What is behind it is not all booked here: the whole cost is unknown."
