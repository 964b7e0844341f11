"""``stillroom cost VERTICAL@NAME``: the whole cost of served models, from the first document on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from contracts.errors import InputError
from flows.command_line import AsJson, stdout
from flows.settings import Settings

if TYPE_CHECKING:
    from flows.attribution import BuildCost, CostLine, ModelCost
    from ledger.artifact_costs import ArtifactCost


def cost(
    what: Annotated[
        str, typer.Argument(help="A promoted name, or a scale: finance@production.", metavar="VERTICAL@NAME")
    ],
    model: Annotated[str, typer.Option(help="One served model's lines, e.g. student-7b.")] = "",
    build: Annotated[
        str, typer.Option(help="A build of that scale by its id (first letters do), whatever is promoted.")
    ] = "",
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="Write the lines: .csv, .json or .parquet.")] = None,
) -> None:
    """What served models cost as a whole, their shares of what they have in common, and the cost of a unit.

    NAME is what `stillroom promote` calls a build; else a scale, whose newest build that served a model is taken.
    """
    from flows.attribution import build_cost
    from ledger.exports import write

    found = build_cost(Settings(), what, build)
    meant = model or (found.promotion.model if found.promotion else "")
    wanted = [one for one in found.models if not meant or one.model == meant]
    if not wanted:
        names = ", ".join(one.model for one in found.models)
        raise InputError("--model", "was not served by this build", got=meant, hint=f"served: {names}")
    if out is not None:
        rows = [_flat(one, line) for one in wanted for line in one.lines]
        write(rows, out)
        stdout.print(f"{out}: {len(rows):,} rows", soft_wrap=True, highlight=False)
    elif as_json:
        stdout.print_json(found.model_dump_json())
    else:
        stdout.print(_models(found, wanted))
        if found.promotion:
            stdout.print(found.promotion.told, soft_wrap=True, highlight=False, markup=False)
        if meant:
            stdout.print(_lines(wanted[0]))
        stdout.print(_units(found))
        _tell_unknown(wanted)


def _models(found: BuildCost, wanted: list[ModelCost]) -> Table:
    shown = Table(title=Text(f"{found.vertical}@{found.scale} · build {found.build_id}"))
    headings = (
        "made alone USD",
        "its share USD",
        "GPU-hours",
        "CPU-hours",
        "wasted h",
        "saved h",
        "planned h",
        "took h",
    )
    for heading in ("model", *headings):
        shown.add_column(heading, justify="left" if heading == "model" else "right")
    for one in wanted:
        hours = [_hours(one, name) for name in ("gpu_seconds", "cpu_seconds", "wasted_seconds", "saved_seconds")]
        shown.add_row(Text(one.model), _usd(one.micro_usd), _usd(one.share_micro_usd), *hours, *_planned(one))
    return shown


def _planned(one: ModelCost) -> tuple[str, str]:
    """Of the artifacts that a plan was recorded for, hours planned and hours taken."""
    planned = [cost for cost in _own(one) if cost.planned_seconds is not None]
    if not planned:
        return "-", "-"
    expected, took = sum(cost.planned_seconds or 0.0 for cost in planned), sum(cost.device_seconds for cost in planned)
    return f"{expected / 3600:,.3f}", f"{took / 3600:,.3f}"


def _lines(one: ModelCost) -> Table:
    shown = Table(title=Text(one.model))
    for heading in (
        "stage",
        "artifact",
        "role",
        "over",
        "attempts",
        "planned s",
        "device-s",
        "wasted s",
        "repeated s",
        "idle s",
        "USD",
        "share",
    ):
        shown.add_column(heading, justify="left" if heading in ("stage", "artifact", "role") else "right")
    for line in one.lines:
        paid = line.cost
        figures = ["-"] * 6
        if paid is not None:
            planned = "-" if paid.planned_seconds is None else f"{paid.planned_seconds:,.1f}"
            seconds = (
                paid.device_seconds,
                paid.wasted_seconds,
                paid.repeated_seconds,
                paid.idle_seconds,
            )
            figures = [str(paid.attempts), planned, *(f"{figure:,.1f}" for figure in seconds)]
        names = map(Text, (line.stage, line.fingerprint[:12], line.role, str(line.shared_by)))
        shown.add_row(*names, *figures, _usd(line.micro_usd), _usd(line.share_micro_usd))
    return shown


def _units(found: BuildCost) -> Table:
    shown = Table("unit", "count", "USD each")
    for name, count, each in (
        ("accepted document", found.accepted_documents, found.micro_usd_per_document),
        ("accepted teacher answer", found.accepted_answers, found.micro_usd_per_answer),
    ):
        shown.add_row(name, f"{count:,}", _each(each) if count else "-")
    for gain in found.gains:
        told = "none gained" if gain.points <= 0 else _each(gain.micro_usd_per_point)
        shown.add_row(Text(f"score point, {gain.champion} to {gain.challenger}"), f"{gain.points:+.1f}", told)
    return shown


def _each(micro_usd: float | None) -> str:
    """A unit's cost may be less than a micro-USD: two figures of it are shown, it is not rounded to nothing."""
    if micro_usd is None or abs(micro_usd) >= 1 or not micro_usd:
        return _usd(micro_usd)
    return f"{micro_usd / 1e6:.{7 - math.floor(math.log10(abs(micro_usd)))}f}"


def _tell_unknown(wanted: list[ModelCost]) -> None:
    unseen = sorted({stage for one in wanted for stage in one.unseen})
    if unseen:
        stdout.print(Text(f"Never booked in this ledger, cost unknown: {', '.join(unseen)}.", style="yellow"))


def _flat(one: ModelCost, line: CostLine) -> dict[str, Any]:
    paid = line.cost.model_dump(exclude={"stage", "fingerprint"}) if line.cost else {}
    from ledger.artifact_costs import ArtifactCost

    empty = {name: None for name in ArtifactCost.model_fields if name not in ("stage", "fingerprint")}
    names = {"model": one.model, "stage": line.stage, "fingerprint": line.fingerprint, "role": line.role}
    money = {"shared_by": line.shared_by, "micro_usd": line.micro_usd, "share_micro_usd": line.share_micro_usd}
    return names | money | empty | paid


def _hours(one: ModelCost, name: str) -> str:
    return f"{sum(getattr(cost, name) for cost in _own(one)) / 3600:,.3f}"


def _own(one: ModelCost) -> list[ArtifactCost]:
    """Of what the model is made of and proved by, wholly."""
    return [line.cost for line in one.lines if line.cost is not None and line.role != "overhead"]


def _usd(micro_usd: float | None) -> str:
    from ledger.tables import usd

    return usd(None if micro_usd is None else round(micro_usd))
