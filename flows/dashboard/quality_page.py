"""Quality per device-hour: what each further hour bought in score, and where the stop advisor says stop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.errors import InputError
from evaluation.stop_advisor import POINT, WORTH_POINTS, Advice, Scored, advise
from flows.dashboard.charts import Model, QualityFigure, quality_figure
from flows.dashboard.evaluations import Evaluated, Hours, evaluated, hours_behind
from flows.dashboard.page import Page, builds_in, empty
from flows.dashboard.query import Query
from flows.dashboard.source import Records, Source
from ledger.snapshot import BuildRow

WHERE = str
UNBUILT = "no build in this ledger"
"""``VERTICAL at SCALE``: models of different verticals are not compared."""


Places = dict[tuple[WHERE, str], list[Evaluated]]


@dataclass(frozen=True)
class Row:
    """One model on the curve."""

    one: Evaluated
    scored: Scored
    hours: Hours
    on_frontier: bool


@dataclass(frozen=True)
class Curve:
    """The models of one vertical and scale on one metric, with the advice."""

    where: WHERE
    metric: str
    kind: str
    """``GPU`` or ``CPU``: whose hours count."""
    rows: list[Row]
    advice: Advice
    figure: QualityFigure
    unbooked: int


def quality(source: Source, query: Query) -> Page:
    """The curve of every vertical and scale in the filter. Raises InputError for a number that is none."""
    worth = _number(query.more, "worth", WORTH_POINTS)
    ahead = _number(query.more, "hours", None)
    told, records = source.told(), source.records()
    builds = builds_in(told, query.scope)
    found = [one for one in evaluated(records)]
    places = _places(found, records, builds, bool(query.words))
    hours = hours_behind(source.ledger(), records, {one.model for several in places.values() for one in several})
    curves = [_curve(where, several, hours, ahead, worth or WORTH_POINTS) for where, several in _sorted(places)]
    if not curves:
        return empty("quality", "No evaluated model", "evaluation", query, curves=[])
    first = curves[0]
    headline = first.advice.sentence if len(curves) == 1 else f"{first.where}. {first.advice.sentence}"
    lead = "The score of every evaluated model over the device-hours of all it is made of, and the best so far."
    return Page(
        "quality",
        "quality",
        "Quality per hour",
        headline,
        lead,
        {"curves": curves, "worth": worth, "hours": ahead, "known": records.nodes},
    )


def _places(found: Sequence[Evaluated], records: Records, builds: Sequence[BuildRow], filtered: bool) -> Places:
    """Evaluations by vertical, scale and metric, each model once; those of no build that is known stand apart."""
    known = {one.id: one for one in builds}
    places: dict[tuple[WHERE, str], dict[str, Evaluated]] = {}
    for one in found:
        of = [known[build] for build in records.builds_of.get(one.evaluation, []) if build in known]
        names = {f"{build.vertical} at {build.scale}" for build in of}
        if not names and not filtered:
            names = {UNBUILT}
        for where in names:
            places.setdefault((where, one.metric), {})[one.model] = one
    return {place: list(several.values()) for place, several in places.items()}


def _curve(
    place: tuple[WHERE, str],
    several: Sequence[Evaluated],
    hours: Mapping[str, Hours],
    ahead: float | None,
    worth: float,
) -> Curve:
    on_gpu = any(hours[one.model].gpu > 0 for one in several)
    kind = "GPU" if on_gpu else "CPU"
    scored = {
        one.model: Scored(one.name, hours[one.model].gpu if on_gpu else hours[one.model].cpu, one.score)
        for one in several
    }
    advice = advise(list(scored.values()), ahead, worth, f"{kind}-hours")
    rows = [Row(one, scored[one.model], hours[one.model], scored[one.model] in advice.frontier) for one in several]
    rows.sort(key=lambda row: (row.scored.device_hours, row.one.score.value))
    marks = [
        Model(
            name=row.one.name,
            device_hours=row.scored.device_hours,
            value=row.one.score.value / POINT,
            low=row.one.score.low / POINT,
            high=row.one.score.high / POINT,
            on_frontier=row.on_frontier,
        )
        for row in rows
    ]
    figure = quality_figure(marks, advice.next_hours, advice.at_most_points, advice.verdict == "STOP", kind)
    return Curve(*place, kind, rows, advice, figure, max(row.hours.unbooked for row in rows))


def _sorted(places: Places) -> list[tuple[tuple[WHERE, str], list[Evaluated]]]:
    """By name; what no build of this ledger made comes last."""
    return sorted(places.items(), key=lambda one: (one[0][0] == UNBUILT, one[0]))


def _number(words: Mapping[str, str], name: str, otherwise: float | None) -> float | None:
    text = words.get(name, "").strip()
    if not text:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1_000_000:
        raise InputError(name, "must be a number above 0", got=text[:40], hint="for example 1.5")
    return value
