"""What the devices of leases told, read back: the last meter of each lease, from its close or its latest beat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, select

from ledger.leases import Span
from ledger.schema import lease_event

CHUNK = 500
"""Leases a query: databases limit how many values one statement may hold."""


@dataclass(frozen=True)
class Metered:
    """Of one lease, or of several together; None where nothing was told."""

    energy_joules: float | None = None
    utilisation: float | None = None
    """Mean share of time in which a kernel ran, as sampled at the beats."""


def read_metered(connection: Connection, lease_ids: Sequence[str]) -> dict[str, Metered]:
    """By lease; one that told nothing is left out.

    Energy that only the stage itself measured (in its usage) stands in where the supervisor's meter told none.
    """
    found: dict[str, Metered] = {}
    for start in range(0, len(lease_ids), CHUNK):
        for kind in ("beat", "close"):  # a close says more than the last beat before it
            for lease_id, detail in _last(connection, kind, lease_ids[start : start + CHUNK]):
                told = _metered(detail)
                if told != Metered():
                    found[lease_id] = told
    return found


def together(spans: Iterable[Span], told: Mapping[str, Metered]) -> Metered:
    """Energies summed, utilisation weighed by the device-seconds billed, over the leases that told any."""
    energies, weighed, seconds = [], 0.0, 0.0
    for span in spans:
        one = told.get(span.lease.id, Metered())
        if one.energy_joules is not None:
            energies.append(one.energy_joules)
        if one.utilisation is not None:
            weighed += one.utilisation * span.billed_device_seconds
            seconds += span.billed_device_seconds
    return Metered(sum(energies) if energies else None, weighed / seconds if seconds else None)


def _last(connection: Connection, kind: str, lease_ids: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """The newest event of a kind of each lease: a seek in the index (lease, kind, time), however many beats."""
    newest = (
        select(lease_event.c.lease_id, func.max(lease_event.c.at).label("at"))
        .where(lease_event.c.lease_id.in_(lease_ids), lease_event.c.kind == kind)
        .group_by(lease_event.c.lease_id)
        .subquery()
    )
    same = and_(lease_event.c.lease_id == newest.c.lease_id, lease_event.c.at == newest.c.at)
    query = select(lease_event.c.lease_id, lease_event.c.detail).join(newest, same).where(lease_event.c.kind == kind)
    return [(row.lease_id, row.detail) for row in connection.execute(query)]


def _metered(detail: Mapping[str, Any]) -> Metered:
    meter, usage = detail.get("meter") or {}, detail.get("usage") or {}
    return Metered(meter.get("energy_joules", usage.get("energy_joules")), meter.get("utilisation"))
