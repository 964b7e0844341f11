"""Quality per device-hour: what each further hour bought in score, and where the stop advisor says stop.

The tuning (base, continued pretraining, SFT, DPO) is one line; each student is one of its own, from its teacher on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from contracts.errors import InputError
from evaluation.stop_advisor import WORTH_POINTS, Line, Scored, student_line, tuning_line
from flows.dashboard.evaluations import Evaluated, Hours, evaluated, hours_behind, student_of
from flows.dashboard.page import Page, builds_in, empty
from flows.dashboard.quality_figure import QualityFigure, quality_figure
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
    student: str
    """Empty where it is none."""
    best: bool = False


@dataclass(frozen=True)
class Curve:
    """The models of one vertical and scale on one metric, with the advice on each line."""

    where: WHERE
    metric: str
    kind: str
    """``GPU`` or ``CPU``: whose hours count."""
    rows: list[Row]
    lines: list[Line]
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
    asked = (ahead, worth or WORTH_POINTS)
    curves = [_curve(place, _rows(several, hours, records), records, *asked) for place, several in _sorted(places)]
    if not curves:
        return empty("quality", "No evaluated model", "evaluation", query, curves=[])
    headline = _headline(curves[0]) if len(curves) == 1 else f"{curves[0].where}. {_headline(curves[0])}"
    lead = (
        "The score of every evaluated model over the device-hours of all it is made of. The tuning is one line; each "
        "student begins at its teacher."
    )
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


def _rows(several: Sequence[Evaluated], hours: Mapping[str, Hours], records: Records) -> list[Row]:
    """By device-hours: of GPUs where any of the models took one."""
    on_gpu = _on_gpu(hours[one.model] for one in several)
    rows = []
    for one in several:
        took = hours[one.model]
        scored = Scored(one.name, took.gpu if on_gpu else took.cpu, one.score)
        rows.append(Row(one, scored, took, student_of(records, one.model)))
    return sorted(rows, key=lambda row: (row.scored.device_hours, row.one.score.value))


def _on_gpu(hours: Iterable[Hours]) -> bool:
    return any(one.gpu > 0 for one in hours)


def _curve(place: tuple[WHERE, str], rows: list[Row], records: Records, ahead: float | None, worth: float) -> Curve:
    kind = "GPU" if _on_gpu(row.hours for row in rows) else "CPU"
    tuned = [row for row in rows if not row.student]
    lines = [tuning_line([row.scored for row in tuned], ahead, worth, f"{kind}-hours")] if tuned else []
    for student in sorted({row.student for row in rows if row.student}):
        versions = [row for row in rows if row.student == student]
        before = min(row.scored.device_hours - (row.hours.own_gpu if kind == "GPU" else row.hours.own_cpu)
                     for row in versions)  # fmt: skip
        scored = [row.scored for row in versions]
        teacher = _teacher(versions[0], tuned, records)
        lines.append(student_line(student, teacher, scored, before, ahead, worth, f"{kind}-hours"))
    best = {one for line in lines for one in line.best}
    shown = [replace(row, best=row.scored in best) for row in rows]
    return Curve(*place, kind, shown, lines, quality_figure(lines, kind), max(row.hours.unbooked for row in rows))


def _teacher(student: Row, tuned: Sequence[Row], records: Records) -> Scored | None:
    """The last of the tuned models that the student was made from; None where none of them was evaluated."""
    behind = {node.fingerprint for node in records.behind(student.one.model)}
    return next((row.scored for row in reversed(tuned) if row.one.model in behind), None)


def _headline(curve: Curve) -> str:
    if len(curve.lines) == 1:
        return curve.lines[0].advice.sentence
    told = ", ".join(f"{line.name} {line.advice.verdict.lower()}" for line in curve.lines)
    return f"Would another hour pay? {told[0].upper()}{told[1:]}."


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
