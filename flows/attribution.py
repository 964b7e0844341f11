"""The whole cost of the served models of one build, from the first document on, and what one unit of it cost.

An artifact's cost is what every attempt at it took, in whatever build. What several served models are made from (the
corpus, the teacher, the capture) is divided equally over them; so is what the build spent on no model in particular
(selection, evaluations of rejected models). The shares of all served models add up to the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from contracts.errors import InputError
from flows.lineage import Lineage, Node
from flows.priced_ledger import open_ledger
from flows.settings import Settings
from flows.store import Store
from ledger import Ledger
from ledger.artifact_costs import ArtifactCost, artifact_costs, unattributed_micro_usd
from ledger.promotions import Promotion, promoted
from ledger.report import list_builds
from recipes.load import load, verticals

Role = Literal["made of", "proved by", "overhead"]


class CostRow(BaseModel):
    """Base of the rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CostLine(CostRow):
    """One artifact of a served model's cost; money in micro-USD, None where a part has no price."""

    stage: str
    fingerprint: str
    role: Role
    shared_by: int
    """Served models of the build over which it is divided."""
    cost: ArtifactCost | None
    """None: this ledger never saw it made."""

    @property
    def micro_usd(self) -> int | None:
        """The whole of it."""
        return None if self.cost is None else self.cost.micro_usd

    @property
    def share_micro_usd(self) -> float | None:
        """This model's part."""
        return None if self.micro_usd is None else self.micro_usd / self.shared_by


class Gain(CostRow):
    """From one evaluated model to the next: score points (hundredths) gained, and what the stages between cost."""

    champion: str
    challenger: str
    points: float
    micro_usd: int | None

    @property
    def micro_usd_per_point(self) -> float | None:
        """None where nothing was gained, or a cost is unknown."""
        return self.micro_usd / self.points if self.micro_usd is not None and self.points > 0 else None


class ModelCost(CostRow):
    """A served model's whole cost."""

    model: str
    lines: list[CostLine]
    unattributed_micro_usd: float
    """Its share of the build's expenses and adjustments that name no artifact."""

    @property
    def micro_usd(self) -> float | None:
        """All it is made of, wholly its own or not, and its proofs: what it would have cost alone."""
        return _sum([line.micro_usd for line in self.lines if line.role != "overhead"])

    @property
    def share_micro_usd(self) -> float | None:
        """Its share of everything."""
        known = _sum([line.share_micro_usd for line in self.lines])
        return None if known is None else known + self.unattributed_micro_usd

    @property
    def unseen(self) -> list[str]:
        """Stages that this ledger never saw made."""
        return [line.stage for line in self.lines if line.cost is None]


class BuildCost(CostRow):
    """All served models of one build, and the units its money bought."""

    build_id: str
    vertical: str
    scale: str
    models: list[ModelCost]
    accepted_documents: int
    micro_usd_per_document: float | None
    accepted_answers: int
    micro_usd_per_answer: float | None
    gains: list[Gain]
    promotion: Promotion | None = None
    """What made it the answer, where it was asked for by a promoted name."""


def build_cost(settings: Settings, what: str, build: str = "") -> BuildCost:
    """Of the build that ``VERTICAL@NAME`` stands for: the one promoted to that name, else the newest of that scale that
    served a model; with ``build`` the one of that scale whose id begins so.

    Raises InputError where there is none.
    """
    vertical, _, name = what.partition("@")
    if vertical not in verticals() or not name:
        raise InputError("cost", "must be asked of VERTICAL@NAME", got=what, hint="for example finance@production")
    books = open_ledger(settings)
    by_name = None if build else promoted(books, vertical, name)
    wanted = by_name.build_id if by_name else build
    for one in list_builds(books):
        if one.vertical == vertical and (by_name or one.scale == name) and one.build_id.startswith(wanted):
            stages = _stages(settings, one.build_id)
            if _served(stages):
                primary = load(vertical, one.scale).evaluation
                metric = f"{primary.primary_task}.{primary.primary_metric}"
                found = cost_of(
                    books, Lineage(Store(settings.home)), stages, one.build_id, f"{vertical}@{one.scale}", metric
                )
                return found.model_copy(update={"promotion": by_name})
    if by_name is not None:
        hint = f"its records are not under {settings.home / 'builds'}: ask where it was built"
        raise InputError(what, "is a build whose stages are not known here", got=by_name.build_id, hint=hint)
    hint = f"stillroom run {vertical} --scale SCALE makes them; stillroom promote BUILD --as {name} names one"
    raise InputError(what, "has no build here that served a model", got=build or None, hint=hint)


def cost_of(
    books: Ledger, lineage: Lineage, stages: Mapping[str, str], build_id: str, what: str, metric: str
) -> BuildCost:
    """The same of one build whose stages (name to fingerprint) are known; ``metric`` is ``TASK.METRIC``."""
    nodes = lineage.behind(stages.values())
    costs = artifact_costs(books, [*stages.values(), *(node.fingerprint for node in nodes)])
    told = _Told(stages, lineage, costs)
    return _cost_of(told, build_id, what, metric, unattributed_micro_usd(books, build_id))


def served_models(settings: Settings, build_id: str) -> list[str]:
    """What a build served, by name."""
    return _served(_stages(settings, build_id))


def _served(stages: Mapping[str, str]) -> list[str]:
    return [stage.removeprefix("serve:") for stage in stages if stage.startswith("serve:")]


class _Told:
    """A build's stages (name to fingerprint), the lineage, and what artifacts cost."""

    def __init__(self, stages: Mapping[str, str], lineage: Lineage, costs: Mapping[str, ArtifactCost]) -> None:
        self.stages, self.lineage, self.costs = stages, lineage, costs

    def node(self, stage: str) -> Node | None:
        return self.lineage.nodes.get(self.stages.get(stage, ""))

    def model_of(self, stage: str) -> list[Node]:
        """What the model that a stage served or evaluated is made of."""
        node = self.node(stage)
        return self.lineage.behind([node.inputs["model"]]) if node is not None and "model" in node.inputs else []

    def cost(self, nodes: Sequence[Node]) -> int | None:
        found = [self.costs[node.fingerprint].micro_usd if node.fingerprint in self.costs else None for node in nodes]
        return None if any(one is None for one in found) else sum(one for one in found if one is not None)


def _cost_of(told: _Told, build_id: str, what: str, metric: str, unattributed: int) -> BuildCost:
    served = _served(told.stages)
    roles: dict[str, dict[str, Role]] = {}
    for name in served:
        made: dict[str, Role] = {node.fingerprint: "made of" for node in told.model_of(f"serve:{name}")}
        proofs = [
            told.stages[f"{kind}:{name}"] for kind in ("serve", "evaluate", "gate") if f"{kind}:{name}" in told.stages
        ]
        roles[name] = made | {fingerprint: "proved by" for fingerprint in proofs}
    placed = {fingerprint for of in roles.values() for fingerprint in of}
    beside: dict[str, Role] = {one: "overhead" for one in told.stages.values() if one not in placed}
    sharing = {one: sum(one in of for of in roles.values()) or len(served) for one in [*placed, *beside]}
    corpus, distilled = told.node("curate"), told.node("distil")
    documents = int(corpus.metrics.get("accepted", 0)) if corpus else 0
    answers = int(distilled.metrics.get("accepted", 0)) if distilled else 0
    curating = told.lineage.behind([corpus.fingerprint]) if corpus else []
    asking = [node for node in (told.node("teacher"), distilled) if node is not None]
    vertical, _, scale = what.partition("@")
    return BuildCost(
        build_id=build_id,
        vertical=vertical,
        scale=scale,
        models=[
            ModelCost(
                model=name,
                lines=[_line(told, one, role, sharing[one]) for one, role in (roles[name] | beside).items()],
                unattributed_micro_usd=unattributed / len(served),
            )
            for name in served
        ],
        accepted_documents=documents,
        micro_usd_per_document=_per(told.cost(curating) if corpus else None, documents),
        accepted_answers=answers,
        micro_usd_per_answer=_per(told.cost(asking), answers),
        gains=_gains(told, metric),
    )


def _line(told: _Told, fingerprint: str, role: Role, shared_by: int) -> CostLine:
    node = told.lineage.nodes.get(fingerprint)
    names = [stage for stage, one in told.stages.items() if one == fingerprint]
    stage = names[0] if names else node.stage if node else "?"
    return CostLine(
        stage=stage, fingerprint=fingerprint, role=role, shared_by=shared_by, cost=told.costs.get(fingerprint)
    )


def _gains(told: _Told, metric: str) -> list[Gain]:
    """Each gate's pair: what the challenger's model is made of and the champion's is not."""
    found = []
    for stage in [one for one in told.stages if one.startswith("gate:")]:
        gate = told.node(stage)
        if gate is None:
            continue
        sides = [told.lineage.nodes.get(gate.inputs.get(side, "")) for side in ("champion", "challenger")]
        if any(side is None or metric not in side.metrics or "model" not in side.inputs for side in sides):
            continue
        before, after = (side for side in sides if side is not None)
        had = {node.fingerprint for node in told.lineage.behind([before.inputs["model"]])}
        new = [node for node in told.lineage.behind([after.inputs["model"]]) if node.fingerprint not in had]
        points = 100 * (float(after.metrics[metric]) - float(before.metrics[metric]))
        names = [str(side.metrics.get("model", side.stage)) for side in (before, after)]
        found.append(Gain(champion=names[0], challenger=names[1], points=points, micro_usd=told.cost(new)))
    return found


def _stages(settings: Settings, build_id: str) -> dict[str, str]:
    """A build's stages and their artifacts, as it recorded them."""
    file = settings.home / "builds" / build_id / "lines.json"
    try:
        rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(row["stage"]): str(row["fingerprint"]) for row in rows}


def _per(micro_usd: int | None, units: int) -> float | None:
    return micro_usd / units if micro_usd is not None and units else None


def _sum(parts: Sequence[float | None]) -> float | None:
    return None if any(part is None for part in parts) else sum(part for part in parts if part is not None)
