"""From a build's records to its report: reads what the stages published and the ledger booked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from contracts.artifacts import Artifact
from contracts.build_report import BuildReport, StageLine
from contracts.curation_report import CurationCard
from contracts.errors import StillroomError
from contracts.reports import Comparison, EvaluationReport, Report, SelectionReport
from contracts.serving_report import ServingCard
from flows.build import Build
from ledger.report import build_lines, build_totals
from recipes.catalogue import models

Kind = TypeVar("Kind", bound=Report)
PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "prefect")


def assemble(build: Build, error: StillroomError | None) -> BuildReport:
    """The report of a finished build, or of one that ``error`` stopped."""
    recipe = build.recipe
    made = {line.stage: build.store.find(line.stage, line.fingerprint) for line in build.lines}
    whole = {stage: artifact for stage, artifact in made.items() if artifact is not None}
    chosen = str(whole["select"].metrics.get("chosen", "")) if "select" in whole else ""
    selection = _read(whole, "select", "selection.json", SelectionReport)
    return BuildReport(
        build_id=build.id,
        vertical=recipe.vertical,
        scale=recipe.scale,
        started_at=build_totals(build.ledger, build.id).started_at,
        finished_at=datetime.now(UTC) if error is None else None,
        stopped_at=build.running if error is not None else "",
        stop_reason=str(error) if error is not None else "",
        stages=_as_booked(build),
        primary_task=recipe.evaluation.primary_task,
        primary_metric=recipe.evaluation.primary_metric,
        base="base",
        teacher=_teacher(whole),
        students=list(recipe.students),
        forgetting_budget=recipe.evaluation.forgetting_budget,
        retention_floors=recipe.evaluation.retention,
        curation=_read(whole, "join" if "join" in whole else "curate", "card.json", CurationCard),
        selection=selection,
        evaluations=_each(whole, "evaluate", "report.json", EvaluationReport),
        comparisons=_each(whole, "gate", "comparison.json", Comparison),
        losses={stage: _curve(one) for stage, one in whole.items() if _curve(one)},
        capture=whole["capture"].metrics if "capture" in whole else {},
        servings=_each(whole, "serve", "card.json", ServingCard),
        licences=_licences(build, chosen),
        synthetic_input=build.corpus is None,
        versions={name: _version(name) for name in PACKAGES},
        notes=build.notes,
    )


def _as_booked(build: Build) -> list[StageLine]:
    """The build's stages with what the ledger says of them; a stage that left no artifact is there too."""
    told = {(line.stage, line.fingerprint): line for line in build.lines}
    lines = []
    for booked in build_lines(build.ledger, build.id):
        line = told.get((booked.stage, booked.artifact_fingerprint))
        line = line or StageLine(stage=booked.stage, fingerprint=booked.artifact_fingerprint, error=booked.status)
        lines.append(
            line.model_copy(
                update={
                    "device": booked.device,
                    "device_seconds": booked.device_seconds,
                    "usd": None if booked.micro_usd is None else booked.micro_usd / 1e6,
                    "saved_device_seconds": booked.saved_seconds,
                    "wasted_device_seconds": booked.wasted_seconds,
                }
            )
        )
    return lines


def _teacher(whole: dict[str, Artifact]) -> str:
    gate = whole.get("gate:dpo")
    return "dpo" if gate is not None and gate.metrics.get("verdict") == "GO" else "sft"


def _read(whole: dict[str, Artifact], stage: str, name: str, kind: type[Kind]) -> Kind | None:
    if stage not in whole:
        return None
    return kind.model_validate_json((whole[stage].path / name).read_text(encoding="utf-8"))


def _each(whole: dict[str, Artifact], prefix: str, name: str, kind: type[Kind]) -> list[Kind]:
    stages = [stage for stage in whole if stage.split(":")[0] == prefix]
    return [report for stage in stages if (report := _read(whole, stage, name, kind)) is not None]


def _curve(artifact: Artifact) -> list[tuple[float, float]]:
    """``(step, loss)`` of a training stage's metrics; empty for other stages."""
    points: list[dict[str, Any]] = artifact.metrics.get("loss_curve") or []
    return [(float(point["step"]), float(point["loss"])) for point in points if "loss" in point]


def _licences(build: Build, chosen: str) -> dict[str, str]:
    sources = {f"source {name}": source.licence for name, source in build.recipe.sources.items()}
    rows = models()
    names = [chosen, *(student.model for student in build.recipe.students.values())]
    return sources | {f"model {name}": rows[name].licence for name in names if name in rows}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def load_report(folder: Path) -> BuildReport:
    """The report of a finished build from its folder."""
    return BuildReport.model_validate(json.loads((folder / "report.json").read_text(encoding="utf-8")))
