"""Evaluated models as the store knows them: their scores, and the device-hours of all that they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from contracts.artifacts import Artifact
from contracts.reports import Estimate, EvaluationReport
from flows.dashboard.source import Records, read_json
from ledger import Ledger
from ledger.artifact_costs import ArtifactCost, artifact_costs

REPORT, STUDENT = "report.json", "student:"


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of one model on its recipe's primary metric."""

    evaluation: str
    model: str
    """Fingerprints."""
    name: str
    metric: str
    """``TASK.METRIC``."""
    score: Estimate
    """Without an interval where the evaluation's own report is gone: low and high are the value."""


@dataclass(frozen=True)
class Hours:
    """Device-hours of an artifact and all behind it. GPU and CPU are never added up."""

    gpu: float
    cpu: float
    micro_usd: int | None
    unbooked: int
    """Artifacts that this ledger never saw made: their own records' time counts, their cost is unknown."""
    own_gpu: float = 0.0
    own_cpu: float = 0.0
    """Of the artifact alone."""


def primary_metric(one: Artifact) -> str:
    """``TASK.METRIC`` of an evaluation's section; empty where it names none."""
    told = one.section.get("evaluation")
    if not isinstance(told, dict) or not told.get("primary_task") or not told.get("primary_metric"):
        return ""
    return f"{told['primary_task']}.{told['primary_metric']}"


def evaluated(records: Records) -> list[Evaluated]:
    """Every evaluation in the store that has a primary score."""
    found = []
    for fingerprint, one in records.artifacts.items():
        metric = primary_metric(one) if one.kind == "evaluation" else ""
        value = one.metrics.get(metric)
        if isinstance(value, int | float) and "model" in one.inputs:
            name = str(one.metrics.get("model") or one.stage)
            found.append(Evaluated(fingerprint, one.inputs["model"], name, metric, _score(one, metric, float(value))))
    return found


def student_of(records: Records, model: str) -> str:
    """Which student a model is a version of; empty for one that is none."""
    node = records.nodes.get(model)
    return node.stage.removeprefix(STUDENT) if node is not None and node.stage.startswith(STUDENT) else ""


def suites(one: Artifact) -> EvaluationReport | None:
    """The whole report of an evaluation; None where it is gone or broken."""
    try:
        return EvaluationReport.model_validate(read_json(one.path / REPORT))
    except ValidationError:
        return None


def _score(one: Artifact, metric: str, value: float) -> Estimate:
    report = suites(one)
    task, _, name = metric.partition(".")
    suite = report.suites.get(task) if report else None
    return (suite.scores.get(name) if suite else None) or Estimate(value=value, low=value, high=value, n=0)


def hours_behind(books: Ledger | None, records: Records, fingerprints: Iterable[str]) -> dict[str, Hours]:
    """For each artifact what it and everything behind it took."""
    chains = {one: [node.fingerprint for node in records.behind(one)] for one in fingerprints}
    every = {one for chain in chains.values() for one in chain}
    costs = artifact_costs(books, every) if books is not None and every else {}
    found = {}
    for one, chain in chains.items():
        own = _hours(records, [one], costs)
        found[one] = replace(_hours(records, chain, costs), own_gpu=own.gpu, own_cpu=own.cpu)
    return found


def _hours(records: Records, chain: list[str], costs: Mapping[str, ArtifactCost]) -> Hours:
    booked = [costs[one] for one in chain if one in costs]
    gpu, cpu = sum(one.gpu_seconds for one in booked), sum(one.cpu_seconds for one in booked)
    unbooked = [one for one in chain if one not in costs]
    for one in unbooked:
        record = records.artifacts.get(one)
        if record is not None and record.usage is not None:
            on_cpu = record.usage.device == "cpu"
            cpu += record.usage.device_seconds if on_cpu else 0.0
            gpu += 0.0 if on_cpu else record.usage.device_seconds
    known = [one.micro_usd for one in booked if one.micro_usd is not None]
    whole = len(known) == len(chain)
    return Hours(gpu / 3600, cpu / 3600, sum(known) if whole else None, len(unbooked))
