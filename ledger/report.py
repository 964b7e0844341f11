"""Reports: what a build held, what of it was wasted, what the cache saved, and what it cost.

Device-seconds run from a lease's opening to its end, times its devices; an open lease counts up to its last
sign of life. Costs are integer micro-USD, None where a price is missing: unknown is not zero.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, select

from contracts.errors import LedgerError
from ledger.book import Ledger
from ledger.leases import Span, read_spans
from ledger.metered import Metered, read_metered, together
from ledger.prices import Prices, device_kind, read_prices
from ledger.schema import build, estimate, lease, lease_event


class Row(BaseModel):
    """Base of the rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StageLine(Row):
    """One stage's artifact on one kind of device, all attempts of one build together."""

    build_id: str
    stage: str
    artifact_fingerprint: str
    device: str
    status: str
    """Of the last attempt: ``open``, ``done``, ``failed``, ``killed``; ``cached`` where nothing had to run."""
    attempts: int
    device_seconds: float
    """Billed: all attempts, whatever their end."""
    cpu_device_seconds: float
    gpu_seconds: float
    wasted_seconds: float
    """Device-seconds of attempts that failed or were killed; part of ``device_seconds``."""
    saved_seconds: float
    """Device-seconds of the original run that a cache hit spared this build; no part of ``device_seconds``."""
    micro_usd: int | None
    saved_micro_usd: int | None
    energy_joules: float | None = None
    """Of the devices, by their own counters, in the attempts that told it."""
    utilisation: float | None = None
    """Mean share of the time held in which a kernel ran, as sampled at the beats."""


class BuildTotals(Row):
    """Sums over a build's lines. ``micro_usd`` is None as soon as one line's cost is unknown."""

    build_id: str
    vertical: str
    scale: str
    started_at: datetime
    last_seen_at: datetime
    attempts: int
    open_leases: int
    device_seconds: float
    cpu_device_seconds: float
    gpu_seconds: float
    gpu_hours: float
    wasted_seconds: float
    saved_seconds: float
    micro_usd: int | None
    known_micro_usd: int
    """The part of the cost whose prices are known."""
    energy_joules: float | None = None
    """Of the attempts whose devices told it."""
    notes: tuple[str, ...]
    """What a reader must know: no GPU held, missing prices, leases still open."""


class EstimateLine(Row):
    """The plan against what happened, a stage and device. ``ratio`` is actual over estimated device-seconds."""

    build_id: str
    stage: str
    device: str
    estimated_device_seconds: float | None
    actual_device_seconds: float
    saved_seconds: float
    ratio: float | None
    estimated_micro_usd: int | None
    actual_micro_usd: int | None


class _Saved(Row):
    stage: str
    fingerprint: str
    device: str
    device_seconds: float
    at: datetime


def build_lines(ledger: Ledger, build_id: str) -> list[StageLine]:
    """A build's lines in the order its stages first appeared. Raises LedgerError for an unknown build."""
    with ledger.reading() as connection:
        _build_row(connection, build_id)
        return _lines(connection, build_id, read_prices(connection))


def build_totals(ledger: Ledger, build_id: str) -> BuildTotals:
    """A build's sums and notes. Raises LedgerError for an unknown build."""
    with ledger.reading() as connection:
        row = _build_row(connection, build_id)
        return _totals(connection, row, read_prices(connection))


def list_builds(ledger: Ledger) -> list[BuildTotals]:
    """All builds, newest first."""
    with ledger.reading() as connection:
        prices = read_prices(connection)
        rows = connection.execute(select(build).order_by(build.c.started_at.desc(), build.c.id)).mappings().all()
        return [_totals(connection, dict(row), prices) for row in rows]


def estimate_lines(ledger: Ledger, build_id: str) -> list[EstimateLine]:
    """The latest estimate of each stage and device beside what was booked; a stage without an estimate has None."""
    with ledger.reading() as connection:
        _build_row(connection, build_id)
        latest = select(func.max(estimate.c.id)).where(estimate.c.build_id == build_id)
        latest = latest.group_by(estimate.c.stage, estimate.c.device)
        query = select(estimate).where(estimate.c.id.in_(latest)).order_by(estimate.c.id)
        planned = {(row["stage"], row["device"]): dict(row) for row in connection.execute(query).mappings()}
        lines = _lines(connection, build_id, read_prices(connection))
    keys = list(dict.fromkeys([*planned, *((line.stage, line.device) for line in lines)]))
    return [
        _estimate_line(build_id, key, planned.get(key), [line for line in lines if (line.stage, line.device) == key])
        for key in keys
    ]


def json_rows(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows as plain JSON values."""
    return [row.model_dump(mode="json") for row in rows]


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as CSV with a header; an unknown cost is an empty cell, notes are joined by semicolons."""
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(type(rows[0]).model_fields), lineterminator="\n")
    writer.writeheader()
    for row in json_rows(rows):
        writer.writerow({name: "; ".join(cell) if isinstance(cell, list) else cell for name, cell in row.items()})
    return out.getvalue()


def _build_row(connection: Connection, build_id: str) -> dict[str, Any]:
    row = connection.execute(select(build).where(build.c.id == build_id)).mappings().first()
    if row is None:
        raise LedgerError(f"build {build_id}", "is not in the ledger", hint="`stillroom ledger` lists the builds")
    return dict(row)


def _lines(connection: Connection, build_id: str, prices: Prices) -> list[StageLine]:
    spans = read_spans(connection, lease.c.build_id == build_id)
    saves = _read_saves(connection, build_id)
    metered = read_metered(connection, [span.lease.id for span in spans])
    spans_of: dict[tuple[str, str, str], list[Span]] = {}
    saves_of: dict[tuple[str, str, str], list[_Saved]] = {}
    seen: dict[tuple[str, str, str], datetime] = {}
    for span in spans:
        key = (span.lease.stage, span.lease.artifact_fingerprint, span.lease.device)
        spans_of.setdefault(key, []).append(span)
        seen.setdefault(key, span.lease.opened_at)
    for save in saves:
        key = (save.stage, save.fingerprint, save.device)
        saves_of.setdefault(key, []).append(save)
        seen[key] = min(save.at, seen.get(key, save.at))
    ordered = sorted(seen, key=lambda key: seen[key])
    return [_line(build_id, key, spans_of.get(key, []), saves_of.get(key, []), prices, metered) for key in ordered]


def _line(
    build_id: str,
    key: tuple[str, str, str],
    spans: list[Span],
    saves: list[_Saved],
    prices: Prices,
    metered: Mapping[str, Metered],
) -> StageLine:
    stage, fingerprint, device = key
    used = together(spans, metered)
    held = sum(span.billed_device_seconds for span in spans)
    on_gpu = device_kind(device) == "gpu"
    costs = [span.cost(prices) for span in spans]
    spared = [prices.cost(device, s.at, s.at + timedelta(seconds=s.device_seconds)) for s in saves]
    return StageLine(
        build_id=build_id,
        stage=stage,
        artifact_fingerprint=fingerprint,
        device=device,
        status=spans[-1].status if spans else "cached",
        attempts=len(spans),
        device_seconds=held,
        cpu_device_seconds=0.0 if on_gpu else held,
        gpu_seconds=held if on_gpu else 0.0,
        wasted_seconds=sum(span.billed_device_seconds for span in spans if span.wasted),
        saved_seconds=sum(save.device_seconds for save in saves),
        micro_usd=_sum(costs),
        saved_micro_usd=_sum(spared),
        energy_joules=used.energy_joules,
        utilisation=used.utilisation,
    )


def _sum(costs: Sequence[int | None]) -> int | None:
    """None as soon as one is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _known_sum(parts: Iterable[float | None]) -> float | None:
    """Of what is known; None where nothing is."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _read_saves(connection: Connection, build_id: str) -> list[_Saved]:
    query = select(lease_event.c.detail, lease_event.c.at).where(
        lease_event.c.build_id == build_id, lease_event.c.kind == "saved"
    )
    return [_Saved(**row.detail, at=row.at) for row in connection.execute(query.order_by(lease_event.c.id))]


def _totals(connection: Connection, row: dict[str, Any], prices: Prices) -> BuildTotals:
    lines = _lines(connection, row["id"], prices)
    spans = read_spans(connection, lease.c.build_id == row["id"])
    ends = [span.billed_until for span in spans]
    ends += [save.at for save in _read_saves(connection, row["id"])]
    gpu_seconds = sum(line.gpu_seconds for line in lines)
    return BuildTotals(
        build_id=row["id"],
        vertical=row["vertical"],
        scale=row["scale"],
        started_at=row["started_at"],
        last_seen_at=max([row["started_at"], *ends]),
        attempts=sum(line.attempts for line in lines),
        open_leases=sum(span.status == "open" for span in spans),
        device_seconds=sum(line.device_seconds for line in lines),
        cpu_device_seconds=sum(line.cpu_device_seconds for line in lines),
        gpu_seconds=gpu_seconds,
        gpu_hours=gpu_seconds / 3600,
        wasted_seconds=sum(line.wasted_seconds for line in lines),
        saved_seconds=sum(line.saved_seconds for line in lines),
        micro_usd=_sum([line.micro_usd for line in lines]),
        known_micro_usd=sum(line.micro_usd for line in lines if line.micro_usd is not None),
        energy_joules=_known_sum(line.energy_joules for line in lines),
        notes=_notes(lines, sorted({span.lease.stage for span in spans if span.status == "open"})),
    )


def _notes(lines: list[StageLine], still_open: list[str]) -> tuple[str, ...]:
    notes = []
    if not any(line.attempts and device_kind(line.device) == "gpu" for line in lines):
        notes.append("No GPU was held: 0 GPU-hours booked; CPU device-seconds are booked apart.")
    unpriced = sorted({line.device for line in lines if line.micro_usd is None})
    if unpriced:
        notes.append(
            f"Cost unknown: no price for {', '.join(unpriced)} over the whole time it was held. "
            "The total is not zero; add the device's price and ask again."
        )
    if still_open:
        notes.append(f"Still open, counted up to the last sign of life: {', '.join(still_open)}.")
    return tuple(notes)


def _estimate_line(
    build_id: str, key: tuple[str, str], planned: dict[str, Any] | None, lines: list[StageLine]
) -> EstimateLine:
    actual = sum(line.device_seconds for line in lines)
    expected = None if planned is None else float(planned["device_seconds"])
    return EstimateLine(
        build_id=build_id,
        stage=key[0],
        device=key[1],
        estimated_device_seconds=expected,
        actual_device_seconds=actual,
        saved_seconds=sum(line.saved_seconds for line in lines),
        ratio=actual / expected if expected else None,
        estimated_micro_usd=None if planned is None else planned["micro_usd"],
        actual_micro_usd=_sum([line.micro_usd for line in lines]),
    )
