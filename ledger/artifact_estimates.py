"""What the plan said of each artifact, beside what it took.

An estimate is recorded for a build's stage and device just before a lease is opened. Where a stage made several
artifacts in one build, each has the latest estimate from before its last lease. Several attempts at one artifact are
one estimate, made in two builds it has two: so estimates add up as hours do, and waste shows as what was not planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, ScalarSelect, and_, func, select

from contracts.errors import LedgerError
from ledger.book import Ledger
from ledger.schema import estimate, lease
from ledger.spend import COLUMNS, MICRO_HOUR, SpendLine, spend
from ledger.views import charge

GROUPINGS = ("vertical", "team", "build", "scale", "stage", "artifact", "device")
"""What an estimate can be put under: it belongs to a build's artifact as a whole."""
HOUR_SECONDS = 3600


class ArtifactEstimate(NamedTuple):
    """The estimate of one artifact in one build, on one kind of device."""

    build_id: str
    stage: str
    artifact: str
    device: str
    device_seconds: float
    micro_usd: int | None


class PlannedSpend(SpendLine):
    """A group of spend with what was planned of it."""

    planned_hours: float | None
    """Device-hours, of the artifacts that an estimate was recorded for; None where there is none."""
    planned_took_hours: float | None
    """What these artifacts took, every attempt."""
    planned_micro_usd: int | None
    """None where an estimate has no price."""

    @property
    def ratio(self) -> float | None:
        """Taken over planned."""
        return self.planned_took_hours / self.planned_hours if self.planned_hours and self.planned_took_hours else None


def read_artifact_estimates(connection: Connection, *conditions: ColumnElement[bool]) -> list[ArtifactEstimate]:
    """The estimates of the artifacts whose leases meet the conditions; those without one are left out."""
    names = (lease.c.build_id, lease.c.stage, lease.c.artifact_fingerprint, lease.c.device)
    last = func.max(lease.c.opened_at).label("last_opened_at")
    held = select(*names, last).where(*conditions).group_by(*names).subquery()
    same = and_(
        estimate.c.build_id == held.c.build_id, estimate.c.stage == held.c.stage, estimate.c.device == held.c.device
    )

    def newest(*more: ColumnElement[bool]) -> ScalarSelect[int]:
        return select(func.max(estimate.c.id)).where(same, *more).correlate(held).scalar_subquery()

    # The second, where the wall clock was set back between the estimate and the lease.
    chosen = func.coalesce(newest(estimate.c.made_at <= held.c.last_opened_at), newest())
    columns = (*(held.c[name.name] for name in names), estimate.c.device_seconds, estimate.c.micro_usd)
    query = select(*columns).join_from(held, estimate, estimate.c.id == chosen)
    return [ArtifactEstimate(*row) for row in connection.execute(query)]


def planned_spend(ledger: Ledger, by: Sequence[str]) -> list[PlannedSpend]:
    """``spend`` of all time with the plan beside it. Raises LedgerError for a grouping that a plan knows nothing of."""
    for name in by:
        if name in COLUMNS and name not in GROUPINGS:
            hint = f"one of {', '.join(GROUPINGS)}"
            raise LedgerError("spend --estimates", "cannot be grouped so", got=name, hint=hint)
    lines = spend(ledger, by)
    with ledger.reading() as connection:
        told = {one[:4]: one for one in read_artifact_estimates(connection)}
        sums: dict[tuple[str, ...], list[tuple[ArtifactEstimate, Fraction]]] = {}
        for group, key, hours in _held(connection, by):
            if key in told:
                sums.setdefault(group, []).append((told[key], hours))
    return [_line(line, sums.get(tuple(line.group.values()), [])) for line in lines]


def _held(
    connection: Connection, by: Sequence[str]
) -> list[tuple[tuple[str, ...], tuple[str, str, str, str], Fraction]]:
    """Group, ``(build, stage, artifact, device)`` and device-hours of everything held."""
    names = list(dict.fromkeys(["build", "stage", "artifact", "device", *by]))
    columns = [*(COLUMNS[name] for name in names), charge.c.share_denominator]
    held = func.sum(charge.c.share_microseconds).label("held")
    query = select(*columns, held).where(charge.c.kind == "compute").group_by(*columns)
    hours: dict[tuple[tuple[str, ...], tuple[str, str, str, str]], Fraction] = {}
    for row in connection.execute(query):
        values = dict(zip(names, row, strict=False))
        group = tuple(str(values[name] or "") for name in by)
        place = (group, (values["build"], values["stage"], values["artifact"], values["device"]))
        hours[place] = hours.get(place, Fraction(0)) + Fraction(int(row.held), row.share_denominator) * MICRO_HOUR
    return [(group, key, amount) for (group, key), amount in hours.items()]


def _line(line: SpendLine, planned: Sequence[tuple[ArtifactEstimate, Fraction]]) -> PlannedSpend:
    money = [one.micro_usd for one, _ in planned]
    known = [amount for amount in money if amount is not None]
    return PlannedSpend(
        **line.model_dump(),
        planned_hours=sum(one.device_seconds for one, _ in planned) / HOUR_SECONDS if planned else None,
        planned_took_hours=float(sum(hours for _, hours in planned)) if planned else None,
        planned_micro_usd=sum(known) if planned and len(known) == len(money) else None,
    )
