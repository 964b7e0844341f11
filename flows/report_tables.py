"""What the build report's tables show, worked out from the report's data: suites, retention, forgetting, speed."""

from __future__ import annotations

from typing import Any

from contracts.build_report import BuildReport
from contracts.reports import EVERY_TASK, Change, Comparison, Estimate, EvaluationReport
from contracts.serving_report import LoadPoint, ServingCard

METRIC_ORDER = (
    "field_f1",
    "exact_match",
    "numeric_match",
    "valid_json",
    "invented_number_rate",
    "stopped",
    "accuracy",
)
LOWER_IS_BETTER = {"invented_number_rate"}


def primary(build: BuildReport, report: EvaluationReport) -> Estimate | None:
    """The recipe's primary score of one evaluated model, where it has it."""
    suite = report.suites.get(build.primary_task)
    return suite.scores.get(build.primary_metric) if suite else None


def label(metric: str) -> str:
    """A metric's name for people: ``field_f1`` gives ``field F1``."""
    return {"field_f1": "field F1", "valid_json": "valid JSON"}.get(metric, metric.replace("_", " "))


def suites(build: BuildReport) -> list[dict[str, Any]]:
    """One table a suite of the vertical: metrics as columns, a row a model in the chain's order, best values marked.

    Suites that hold nothing but accuracy are the general ones: ``forgetting`` shows them.
    """
    scored = [(name, suite.scores) for report in build.evaluations for name, suite in report.suites.items()]
    names = list(dict.fromkeys(name for name, scores in scored if set(scores) != {"accuracy"}))
    names.sort(key=lambda name: name != build.primary_task)
    tables = []
    for name in names:
        reports = [report for report in build.evaluations if name in report.suites]
        found = {metric for report in reports for metric in report.suites[name].scores}
        metrics = [m for m in METRIC_ORDER if m in found] + sorted(found - set(METRIC_ORDER))
        tables.append(
            {
                "name": name,
                "items": max(report.suites[name].items for report in reports),
                "metrics": metrics,
                "rows": [(report.model, report.suites[name].scores) for report in reports],
                "best": {metric: _best(reports, name, metric) for metric in metrics},
            }
        )
    return tables


def _best(reports: list[EvaluationReport], suite: str, metric: str) -> float | None:
    values = [r.suites[suite].scores[metric].value for r in reports if metric in r.suites[suite].scores]
    if len(set(values)) < 2:
        return None
    return min(values) if metric in LOWER_IS_BETTER else max(values)


def retention(build: BuildReport) -> list[dict[str, Any]]:
    """Students against their teacher on the primary task: the share kept, its interval from the paired comparison.

    ``met`` looks at the share alone, ``certain`` tells whether the whole interval lies on its side of the floor.
    """
    scores = {report.model: primary(build, report) for report in build.evaluations}
    teacher = scores.get(build.teacher)
    rows = []
    for student in build.students:
        own = scores.get(student)
        if own is None or teacher is None or teacher.value <= 0:
            continue
        paired = _comparison(build, student)
        floor = build.retention_floors.get(student)
        kept = own.value / teacher.value
        low, high = _kept_interval(paired, teacher.value)
        rows.append(
            {
                "student": student,
                "score": own,
                "teacher": teacher,
                "kept": kept,
                "low": low,
                "high": high,
                "floor": floor,
                "met": None if floor is None else kept >= floor,
                "certain": floor is not None and low is not None and high is not None and not low < floor <= high,
            }
        )
    return rows


def _kept_interval(paired: Comparison | None, teacher: float) -> tuple[float | None, float | None]:
    if paired is None:
        return None, None
    return 1 + paired.difference.low / teacher, 1 + paired.difference.high / teacher


def _comparison(build: BuildReport, student: str) -> Comparison | None:
    for one in build.comparisons:
        asked = (build.teacher, student, build.primary_task, build.primary_metric)
        if (one.champion, one.challenger, one.suite, one.metric) == asked:
            return one
    return None


def forgetting(build: BuildReport) -> list[dict[str, Any]]:
    """General accuracy along the chain and its change since the base; ``over`` the recipe's budget or not.

    The budget counts from the base to the teacher; a student's loss is shown without a verdict.
    """
    rows: list[dict[str, Any]] = []
    base: float | None = None
    for report in build.evaluations:
        for name, suite in report.suites.items():
            if (accuracy := suite.scores.get("accuracy")) is None:
                continue
            if base is None and (report.model == build.base or not build.base):
                base = accuracy.value
            change = None if base is None else accuracy.value - base
            over: bool | None = None
            if change is not None and build.forgetting_budget is not None and report.model not in build.students:
                over = -change > build.forgetting_budget
            rows.append({"model": report.model, "suite": name, "accuracy": accuracy, "change": change, "over": over})
    return rows


def served(build: BuildReport) -> list[dict[str, Any]]:
    """The models as served, in one line each: alone (the least concurrency) and at their highest throughput.

    ``speedup`` is the output rate alone over the teacher's at the same concurrency; ``knee`` is that of the request
    rates where they were swept, else of the concurrencies.
    """
    alone = {card.model: point for card in build.servings if (point := _alone(card)) is not None}
    teacher = alone.get(build.teacher) or alone.get("teacher")
    rows = []
    for card in build.servings:
        own, speedup = alone.get(card.model), None
        if teacher and own and own.load == teacher.load and teacher.output_tokens_per_second > 0:
            speedup = own.output_tokens_per_second / teacher.output_tokens_per_second
        knee = card.knees[0] if card.knees else None
        rows.append({"card": card, "alone": own, "best": _fastest(card), "speedup": speedup, "knee": knee})
    return rows


def _alone(card: ServingCard) -> LoadPoint | None:
    streams = [point for point in card.points if point.kind == "concurrency"]
    return min(streams, key=lambda point: point.load, default=None)


def _fastest(card: ServingCard) -> LoadPoint | None:
    return max(card.points, key=lambda point: point.output_tokens_per_second, default=None)


def invented(comparison: Comparison) -> Change | None:
    """How the rate of answers with an invented number changed: over every task, else on the gate's own."""
    found = {one.suite: one for one in comparison.changes if one.metric == "invented_number_rate"}
    return found.get(EVERY_TASK) or found.get(comparison.suite)


def invented_told(comparison: Comparison) -> str:
    """The same in words: ``9 to 7 of 24: 3 answers lost theirs, 1 got one``; empty where it was not looked at."""
    change = invented(comparison)
    if change is None:
        return ""
    before, after = (round(rate * change.difference.n) for rate in (change.champion, change.challenger))
    return f"{before} to {after} of {change.difference.n}: {change.better} answers lost theirs, {change.worse} got one"
