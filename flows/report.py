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

from contracts.build_report import BuildReport
from contracts.errors import PublishError
from contracts.reports import Estimate
from contracts.serving_report import Knee, Spread, load_name
from flows.report_tables import forgetting, invented_told, label, retention, served, suites

HERE = Path(__file__).parent


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
    environment.filters.update(spread=spread, knee_load=knee_load)
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
        repeated=any(point.repeats > 1 for card in build.servings for point in card.points),
        kneed=any(card.knees for card in build.servings),
        label=label,
        invented_told=invented_told,
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
        asked = ["" if row["floor"] is None else share(row["floor"]) for row in kept]
        lines += _markdown_table(
            head, [[row["student"], kept_share(row), floor] for row, floor in zip(kept, asked, strict=True)]
        )
    if forgotten := forgetting(build):
        head = ["model", "general accuracy", "since base"]
        rows = [
            [r["model"], score(r["accuracy"]), "" if r["change"] is None else f"{r['change']:+.3f}"] for r in forgotten
        ]
        lines += _markdown_table(head, rows)
    if build.comparisons:
        gates = [
            [f"{c.challenger} against {c.champion}", c.suite, c.verdict, c.reason, invented_told(c)]
            for c in build.comparisons
        ]
        lines += _markdown_table(["gate", "suite", "verdict", "reason", "answers with an invented number"], gates)
    lines += _serving(build)
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


def _serving(build: BuildReport) -> list[str]:
    """A line a model as served, what its SLO knee is, and which repeats disagree."""
    rows = served(build)
    if not rows:
        return []
    drawn = [
        [
            row["card"].model,
            f"{row['alone'].output_tokens_per_second:.1f} at {row['alone'].name}" if row["alone"] else "",
            f"{row['speedup']:.2f} x" if row["speedup"] is not None else "",
            f"{row['best'].output_tokens_per_second:.1f} at {row['best'].name}" if row["best"] else "",
            knee_load(row["knee"]) if row["knee"] else "",
        ]
        for row in rows
    ]
    head = ["served", "output tokens/s", "against teacher", "most output tokens/s", "keeps the SLO up to"]
    lines = _markdown_table(head, drawn)
    lines += [f"- SLO knee of {_cell(c.model)}: {_cell(knee.sentence)}" for c in build.servings for knee in c.knees]
    noisy = [card for card in build.servings if card.disagreements]
    lines += [f"- repeats disagree, {_cell(card.model)}: {_cell('; '.join(card.disagreements))}" for card in noisy]
    return [*lines, ""] if lines[-1] else lines


def _markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    drawn = [head, ["---"] * len(head), *rows]
    return [*("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in drawn), ""]


def _cell(text: str) -> str:
    for found, drawn in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), (">", "&gt;"), ("\n", " "), ("`", "'")):
        text = text.replace(found, drawn)
    return text


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


def kept_share(row: dict[str, Any]) -> str:
    """What a student keeps, with its interval where there is one: ``94.5 % (90.1 % to 98.0 %)``."""
    interval = "" if row["low"] is None else f" ({share(row['low'])} to {share(row['high'])})"
    return share(row["kept"]) + interval


def share(value: float) -> str:
    """A share as per cent: ``94.5 %``."""
    return f"{value:.1%}".replace("%", " %")


def spread(value: Spread) -> str:
    """The least and the most of a cell's repeats: ``61.2 – 80.3``."""
    return f"{value.least:.1f} – {value.most:.1f}"


def knee_load(knee: Knee) -> str:
    """The knee in short: ``4 requests/s``, ``4 requests/s or more``, ``no rate tried``."""
    if knee.load is None:
        return "no rate tried" if knee.kind == "rate" else "no concurrency tried"
    return load_name(knee.kind, knee.load) + (" or more" if knee.next_load is None else "")


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
