"""The build report's figures: each a plotly figure of one part of the report, or None where that part is empty.

Text and grid colours are left to the page's style sheet, which knows whether it is read in light, in dark or on paper.
Names are escaped before they reach plotly, which reads a few HTML tags in labels.
"""

from __future__ import annotations

import html
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from contracts.build_report import BuildReport
from contracts.curation_report import CurationCard
from contracts.reports import Estimate
from contracts.serving_report import LoadPoint, ServingCard
from flows.report_tables import label, primary

INK = "#64748b"
PALETTE = ("#2b72b8", "#cf7a26", "#2a9066", "#8d63bd", "#c2504a", "#0f8b9d", "#a3822a")
ACCEPTED, WASTED, SAVED = "#2a9066", "#c2504a", "#9aa7b8"
PERCENTILES = {"p50": "solid", "p99": "dot"}
SERVING_COLUMNS = ("output_tokens_per_second", "ttft_ms", "tpot_ms")


def escape(name: str) -> str:
    """A name as plotly shows it: it reads ``<``, ``>`` and ``&``, and leaves quotes as they are."""
    return html.escape(name, quote=False)


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"


def chain(build: BuildReport) -> go.Figure | None:
    """The primary score of every model in the order of the chain, students branching off their teacher."""
    scored = [(report, primary(build, report)) for report in build.evaluations]
    points = [(report.model, estimate) for report, estimate in scored if estimate is not None]
    if not points:
        return None
    trunk = [(model, estimate) for model, estimate in points if model not in build.students]
    teacher = next(((m, e) for m, e in points if m == build.teacher), trunk[-1] if trunk else None)
    figure = go.Figure()
    if trunk:
        figure.add_trace(_scores("chain", trunk, PALETTE[0], "lines+markers"))
    for place, student in enumerate(point for point in points if point[0] in build.students):
        colour = PALETTE[1 + place % (len(PALETTE) - 1)]
        if teacher is not None:
            figure.add_trace(
                go.Scatter(
                    x=[escape(teacher[0]), escape(student[0])],
                    y=[teacher[1].value, student[1].value],
                    mode="lines",
                    line={"color": colour, "width": 1.5, "dash": "dot"},
                    hoverinfo="skip",
                )
            )
        figure.add_trace(_scores(student[0], [student], colour, "markers"))
    for model, estimate in points:
        figure.add_annotation(
            x=escape(model),
            y=estimate.high,
            yshift=13,
            text=f"<b>{estimate.value:.3f}</b>",
            showarrow=False,
        )
    names = [model for model, _ in points]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=[escape(name) for name in names])
    figure.update_xaxes(tickvals=[escape(name) for name in names], ticktext=[escape(_short(name)) for name in names])
    figure.update_yaxes(range=[-0.04, 1.14], tickvals=[0, 0.25, 0.5, 0.75, 1], title=label(build.primary_metric))
    return _dressed(figure, height=360, legend=False)


def _scores(name: str, points: list[tuple[str, Estimate]], colour: str, mode: str) -> go.Scatter:
    values = [estimate.value for _, estimate in points]
    return go.Scatter(
        name=escape(name),
        x=[escape(model) for model, _ in points],
        y=values,
        mode=mode,
        cliponaxis=False,
        line={"color": colour, "width": 2.5},
        marker={"color": colour, "size": 11},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [estimate.high - estimate.value for _, estimate in points],
            "arrayminus": [estimate.value - estimate.low for _, estimate in points],
            "thickness": 1.5,
            "width": 5,
        },
        hovertemplate="%{x}: %{y:.3f}<extra></extra>",
    )


def losses(build: BuildReport) -> go.Figure | None:
    """The training loss by step, one small plot a stage."""
    curves = {stage: points for stage, points in build.losses.items() if points}
    if not curves:
        return None
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = make_subplots(rows, columns, subplot_titles=[escape(stage) for stage in curves], vertical_spacing=0.2)
    for place, points in enumerate(curves.values()):
        row, column = divmod(place, columns)
        figure.add_trace(
            go.Scatter(
                x=[step for step, _ in points],
                y=[loss for _, loss in points],
                mode="lines" if len(points) > 1 else "markers",
                line={"color": PALETTE[place % len(PALETTE)], "width": 2},
                hovertemplate="step %{x}: %{y:.3f}<extra></extra>",
            ),
            row=row + 1,
            col=column + 1,
        )
    figure.update_yaxes(rangemode="tozero")
    return _dressed(figure, height=70 + 210 * rows, legend=False)


def cost(build: BuildReport) -> go.Figure | None:
    """Device-seconds by stage: on CPUs, on accelerators, wasted, and saved by the cache."""
    if not build.stages:
        return None
    bars = {
        "CPU": (PALETTE[0], [0.0 if line.on_gpu else line.device_seconds for line in build.stages]),
        "GPU": (PALETTE[3], [line.device_seconds if line.on_gpu else 0.0 for line in build.stages]),
        "wasted": (WASTED, [line.wasted_device_seconds for line in build.stages]),
        "saved by cache": (SAVED, [line.saved_device_seconds for line in build.stages]),
    }
    stages = [escape(line.stage) for line in build.stages]
    figure = go.Figure(
        [
            go.Bar(
                name=name,
                y=stages,
                x=seconds,
                orientation="h",
                marker={"color": colour},
                hovertemplate="%{y}, " + name + ": %{x:,.1f} s<extra></extra>",
            )
            for name, (colour, seconds) in bars.items()
            if any(seconds)
        ]
    )
    if not figure.data:
        return None
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_yaxes(autorange="reversed", type="category", dtick=1, showgrid=False)
    figure.update_xaxes(title="device-seconds")
    return _dressed(figure, height=80 + 26 * len(set(stages)))


def documents(card: CurationCard | None) -> go.Figure | None:
    """Documents by source: accepted, and rejected by reason."""
    if card is None or not any(source.read for source in card.sources):
        return None
    names = [escape(source.source) for source in card.sources]
    reasons = sorted({reason for source in card.sources for reason in source.rejected})
    figure = go.Figure(
        go.Bar(
            name="accepted",
            y=names,
            x=[source.accepted for source in card.sources],
            orientation="h",
            marker={"color": ACCEPTED},
        )
    )
    for place, reason in enumerate(reasons):
        figure.add_trace(
            go.Bar(
                name=escape(reason.replace("_", " ")),
                y=names,
                x=[source.rejected.get(reason, 0) for source in card.sources],
                orientation="h",
                marker={"color": [*PALETTE[1:2], *PALETTE[3:], INK][place % 6]},
            )
        )
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_yaxes(autorange="reversed", type="category", dtick=1, showgrid=False)
    figure.update_xaxes(title="documents")
    return _dressed(figure, height=80 + 34 * len(names))


def serving(cards: list[ServingCard], kind: str) -> go.Figure | None:
    """Throughput, TTFT and TPOT against the load, a line a model; ``kind`` is ``concurrency`` or ``rate``.

    Bars reach from the least to the most of a cell's repeats; a ring stands at the SLO's knee.
    """
    curves = {card.model: sorted(_points(card, kind), key=lambda point: point.load) for card in cards}
    if not any(curves.values()):
        return None
    titles = ("Output tokens a second", "Time to first token, ms", "Time per output token, ms")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.075)
    for place, (model, points) in enumerate(curves.items()):
        colour = PALETTE[place % len(PALETTE)]
        for column, key in enumerate(SERVING_COLUMNS, start=1):
            for percentile, dash in PERCENTILES.items() if column > 1 else [("", "solid")]:
                if (values := _values(points, key, percentile)) is None:
                    continue
                figure.add_trace(
                    go.Scatter(
                        name=escape(f"{model} {percentile}".strip()),
                        legendgroup=model,
                        showlegend=column == 1,
                        x=[point.load for point in points],
                        y=values,
                        error_y=_repeats(points, key if column == 1 else f"{key}_{percentile}"),
                        mode="lines+markers",
                        line={"color": colour, "width": 2, "dash": dash},
                        marker={"size": 6},
                    ),
                    row=1,
                    col=column,
                )
    _mark_knees(figure, cards, kind)
    figure.update_yaxes(rangemode="tozero")
    loads = sorted({point.load for points in curves.values() for point in points})
    title = "concurrent streams" if kind == "concurrency" else "requests a second offered"
    figure.update_xaxes(title=title, type="log", tickvals=loads, ticktext=[f"{load:g}" for load in loads])
    return _dressed(figure, height=310)


def _mark_knees(figure: go.Figure, cards: list[ServingCard], kind: str) -> None:
    """A ring around each model's knee, in all three plots; once in the legend."""
    knees = {card.model: knee.load for card in cards for knee in card.knees if knee.kind == kind}
    at = [point for card in cards for point in _points(card, kind) if point.load == knees.get(card.model)]
    for column, key in enumerate(SERVING_COLUMNS, start=1):
        if at and (values := _values(at, key, "p50" if column > 1 else "")) is not None:
            figure.add_trace(
                go.Scatter(
                    name="SLO knee",
                    legendgroup="SLO knee",
                    showlegend=column == 1,
                    x=[point.load for point in at],
                    y=values,
                    mode="markers",
                    marker={"size": 15, "symbol": "circle-open", "color": INK, "line": {"width": 2}},
                    hoverinfo="skip",
                ),
                row=1,
                col=column,
            )


def _repeats(points: list[LoadPoint], name: str) -> dict[str, Any] | None:
    """Error bars from the least to the most of the repeats; None where nothing was repeated."""
    spreads = [point.spreads.get(name) for point in points]
    if not any(spreads):
        return None
    above = [spread.most - spread.median if spread else 0.0 for spread in spreads]
    below = [spread.median - spread.least if spread else 0.0 for spread in spreads]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1, "width": 3}


def _points(card: ServingCard, kind: str) -> list[LoadPoint]:
    return [point for point in card.points if point.kind == kind and point.load > 0]


def _values(points: list[LoadPoint], key: str, percentile: str) -> list[float | None] | None:
    if not percentile:
        return [getattr(point, key) for point in points]
    values = [getattr(point, key).get(percentile) for point in points]
    return values if any(value is not None for value in values) else None


def _dressed(figure: go.Figure, height: int, legend: bool = True) -> go.Figure:
    rows = -(-sum(1 for trace in figure.data if trace.showlegend is not False) // 5)
    legend_height = 4 + 24 * rows if legend else 0
    figure.update_layout(
        template="none",
        height=height + legend_height,
        showlegend=legend,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        margin={"l": 10, "r": 30, "t": 30 + legend_height, "b": 10},
        legend={
            "orientation": "h",
            "y": 1.0,
            "yanchor": "top",
            "x": 0,
            "xanchor": "left",
            "yref": "container",
            "traceorder": "normal",
        },
        hoverlabel={"font": {"color": "#ffffff"}, "bgcolor": "#334155"},
    )
    figure.update_annotations(font={"size": 14})
    axis = {"automargin": True, "gridcolor": INK, "zeroline": False, "linecolor": INK, "title_font": {"size": 13}}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis, ticksuffix=" ")
    return figure
