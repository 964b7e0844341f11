"""The build report: a pure function of one build's data to one self-contained page, and to markdown.

The page fetches nothing: plotly stands in it once, the style sheet too, and its own policy forbids any request. All
names and texts are escaped by the template engine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from contracts.errors import PublishError
from contracts.reports import BuildReport, Comparison, Estimate, EvaluationReport, LoadPoint, ServingCard

HERE = Path(__file__).parent
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


def write_page(build: BuildReport, out: Path) -> Path:
    """Write the report of ``build`` to the file ``out`` and return it; raises PublishError where that fails."""
    page = render_page(build)
    part = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(page, encoding="utf-8")
        part.replace(out)
    except OSError as error:
        hint = "is there space on the disk, and may this user write there?"
        raise PublishError(str(out), "the report could not be written", got=error.strerror, hint=hint) from error
    return out


def render_page(build: BuildReport) -> str:
    """The page as text."""
    from plotly.offline import get_plotlyjs  # 5 MB of script: only a report needs it

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(seconds=seconds, usd=usd, score=score, share=share, count=count, plain=plain)
    figures = _figures(build)
    return environment.get_template("report_page.html.jinja").render(
        build=build,
        figures=figures,
        # our own file and plotly's own script, no data of a build in them
        style=Markup((HERE / "report_page.css").read_text(encoding="utf-8")),  # noqa: S704
        plotly=Markup(get_plotlyjs()) if figures else "",  # noqa: S704
        suites=suites(build),
        retained=retention(build),
        forgotten=forgetting(build),
        served=served(build),
        label=label,
    )


def _figures(build: BuildReport) -> dict[str, Markup]:
    from flows import report_figures

    drawn = {
        "chain": report_figures.chain(build),
        "losses": report_figures.losses(build),
        "cost": report_figures.cost(build),
        "documents": report_figures.documents(build.curation),
        "concurrency": report_figures.serving(build.servings, "concurrency"),
        "rate": report_figures.serving(build.servings, "rate"),
    }
    config = {"displaylogo": False, "responsive": True, "displayModeBar": False}
    return {
        # plotly writes its data as JSON with <, > and / escaped
        name: Markup(figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"figure-{name}", config=config))  # noqa: S704
        for name, figure in drawn.items()
        if figure is not None
    }


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
    """Students against their teacher on the primary task: the share kept, its interval from the paired comparison."""
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
        rows.append(
            {
                "student": student,
                "score": own,
                "teacher": teacher,
                "kept": kept,
                "low": 1 + paired.difference.low / teacher.value if paired else None,
                "high": 1 + paired.difference.high / teacher.value if paired else None,
                "floor": floor,
                "met": None if floor is None else kept >= floor,
            }
        )
    return rows


def _comparison(build: BuildReport, student: str) -> Comparison | None:
    for one in build.comparisons:
        asked = (build.teacher, student, build.primary_task, build.primary_metric)
        if (one.champion, one.challenger, one.suite, one.metric) == asked:
            return one
    return None


def primary(build: BuildReport, report: EvaluationReport) -> Estimate | None:
    """The recipe's primary score of one evaluated model, where it has it."""
    suite = report.suites.get(build.primary_task)
    return suite.scores.get(build.primary_metric) if suite else None


def forgetting(build: BuildReport) -> list[dict[str, Any]]:
    """General accuracy along the chain and its change since the base; ``over`` the recipe's budget or not."""
    rows: list[dict[str, Any]] = []
    base: float | None = None
    for report in build.evaluations:
        for name, suite in report.suites.items():
            if (accuracy := suite.scores.get("accuracy")) is None:
                continue
            if base is None and (report.model == build.base or not build.base):
                base = accuracy.value
            change = None if base is None else accuracy.value - base
            over = None if change is None or build.forgetting_budget is None else -change > build.forgetting_budget
            rows.append({"model": report.model, "suite": name, "accuracy": accuracy, "change": change, "over": over})
    return rows


def served(build: BuildReport) -> list[dict[str, Any]]:
    """The models as served, in one line each: alone (the least concurrency) and at their highest throughput.

    ``speedup`` is the output rate alone over the teacher's at the same concurrency.
    """
    alone = {card.model: point for card in build.servings if (point := _alone(card)) is not None}
    teacher = alone.get(build.teacher) or alone.get("teacher")
    rows = []
    for card in build.servings:
        own, speedup = alone.get(card.model), None
        if teacher and own and own.load == teacher.load and teacher.output_tokens_per_second > 0:
            speedup = own.output_tokens_per_second / teacher.output_tokens_per_second
        rows.append({"card": card, "alone": own, "best": _fastest(card), "speedup": speedup})
    return rows


def _alone(card: ServingCard) -> LoadPoint | None:
    streams = [point for point in card.points if point.kind == "concurrency"]
    return min(streams, key=lambda point: point.load, default=None)


def _fastest(card: ServingCard) -> LoadPoint | None:
    return max(card.points, key=lambda point: point.output_tokens_per_second, default=None)


def markdown_summary(build: BuildReport) -> str:
    """The report in short, for a run's artifact and the terminal: what was made, how good it is, what it took."""
    lines = [f"# {_cell(build.vertical)}, scale {_cell(build.scale)}, build {_cell(build.build_id)}", ""]
    if build.stopped_at:
        lines += [f"**Stopped at {_cell(build.stopped_at)}**: {_cell(build.stop_reason)}", ""]
    if build.synthetic_input:
        lines += ["The documents are synthetic: they came from the recipe's writer.", ""]
    for table in suites(build):
        head = [f"{table['name']} ({table['items']} items)", *(label(metric) for metric in table["metrics"])]
        rows = [
            [model, *(score(scores[m]) if m in scores else "" for m in table["metrics"])]
            for model, scores in table["rows"]
        ]
        lines += _markdown_table(head, rows)
    if kept := retention(build):
        head = ["student", f"share of {build.teacher}'s {label(build.primary_metric)}", "asked"]
        lines += _markdown_table(
            head, [[r["student"], share(r["kept"]), share(r["floor"]) if r["floor"] is not None else ""] for r in kept]
        )
    if forgotten := forgetting(build):
        head = ["model", "general accuracy", "since base"]
        rows = [
            [r["model"], score(r["accuracy"]), "" if r["change"] is None else f"{r['change']:+.3f}"] for r in forgotten
        ]
        lines += _markdown_table(head, rows)
    if build.comparisons:
        gates = [[f"{c.challenger} against {c.champion}", c.suite, c.verdict, c.reason] for c in build.comparisons]
        lines += _markdown_table(["gate", "suite", "verdict", "reason"], gates)
    if build.stages:
        stages = [
            [
                line.stage,
                "failed" if line.error else "cached" if line.cached else "made",
                line.device,
                *(seconds(v) for v in (line.device_seconds, line.saved_device_seconds, line.wasted_device_seconds)),
                "" if line.cached and line.usd is None else usd(line.usd),
            ]
            for line in build.stages
        ]
        lines += _markdown_table(["stage", "", "device", "device time", "saved", "wasted", "USD"], stages)
    lines.append(
        f"Total: {seconds(build.seconds(gpu=False))} of CPU, {seconds(build.seconds(gpu=True))} of GPU, "
        f"{usd(build.usd)}; saved by cache {seconds(build.saved_device_seconds)}, "
        f"wasted {seconds(build.wasted_device_seconds)}."
    )
    return "\n".join(lines) + "\n"


def _markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    drawn = [head, ["---"] * len(head), *rows]
    return [*("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in drawn), ""]


def _cell(text: str) -> str:
    for found, drawn in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), (">", "&gt;"), ("\n", " "), ("`", "'")):
        text = text.replace(found, drawn)
    return text


def label(metric: str) -> str:
    """A metric's name for people: ``field_f1`` gives ``field F1``."""
    return {"field_f1": "field F1", "valid_json": "valid JSON"}.get(metric, metric.replace("_", " "))


def seconds(value: float) -> str:
    """Device time for people: ``0 s``, ``42.0 s``, ``12 min 5 s``, ``3 h 20 min``."""
    if value < 60:
        return f"{value:.1f} s" if value else "0 s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def usd(value: float | None) -> str:
    """Money in USD, small sums with their cents' fractions; a missing price is named."""
    if value is None:
        return "no price"
    return f"${value:,.2f}" if value >= 0.1 or value == 0 else f"${value:.4f}"


def score(value: Estimate) -> str:
    """A figure with its interval: ``0.912 (0.880 to 0.941)``."""
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def share(value: float) -> str:
    """A share as per cent: ``94.5 %``."""
    return f"{value:.1%}".replace("%", " %")


def count(value: float) -> str:
    """A number with thousands separators."""
    return f"{value:,}"


def plain(value: Any) -> str:
    """A metric of any type as short text."""
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value) if isinstance(value, str | int | bool) or value is None else json.dumps(value, default=str)
