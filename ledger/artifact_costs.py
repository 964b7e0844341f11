"""What each artifact cost, over all builds that made or reused it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from ledger.artifact_estimates import ArtifactEstimate, read_artifact_estimates
from ledger.book import Ledger
from ledger.leases import Span, read_spans
from ledger.metered import Metered, read_metered, together
from ledger.prices import Prices, device_kind, read_prices
from ledger.report import Row
from ledger.schema import lease, lease_event
from ledger.schema_money import adjustment, expense

CHUNK = 500
"""Fingerprints a query: databases limit how many values one statement may hold."""


class ArtifactCost(Row):
    """One stage's artifact. Seconds are device-seconds; ``micro_usd`` is None where a part has no price."""

    stage: str
    fingerprint: str
    attempts: int
    gpu_seconds: float
    cpu_seconds: float
    wasted_seconds: float
    """Of attempts that failed or were killed."""
    repeated_seconds: float
    """Of runs that made again what had been made: a forced stage, or an artifact that was lost."""
    idle_seconds: float
    """Of complete runs: held, but not worked on, by the stage's own account of its work."""
    saved_seconds: float = 0.0
    """What cache hits of this artifact spared, all builds together."""
    tokens_in: int
    tokens_out: int
    energy_joules: float | None
    """By the devices' own counters, in the attempts that told it."""
    utilisation: float | None
    """Mean share of the time held in which a kernel ran, as sampled at the beats."""
    compute_micro_usd: int | None
    expense_micro_usd: int = 0
    planned_seconds: float | None = None
    """Device-seconds by the plan, made once a build that made it; None where no plan said anything."""
    planned_micro_usd: int | None = None

    @property
    def device_seconds(self) -> float:
        """Of all attempts, on whatever device."""
        return self.gpu_seconds + self.cpu_seconds

    @property
    def micro_usd(self) -> int | None:
        """Compute and expenses."""
        return None if self.compute_micro_usd is None else self.compute_micro_usd + self.expense_micro_usd


def artifact_costs(ledger: Ledger, fingerprints: Iterable[str]) -> dict[str, ArtifactCost]:
    """By fingerprint; one that this ledger never saw is left out."""
    wanted = sorted(set(fingerprints))
    found: dict[str, ArtifactCost] = {}
    with ledger.reading() as connection:
        prices = read_prices(connection)
        for start in range(0, len(wanted), CHUNK):
            found |= _costs(connection, wanted[start : start + CHUNK], prices)
    return found


def _costs(connection: Connection, fingerprints: Sequence[str], prices: Prices) -> dict[str, ArtifactCost]:
    spans: dict[str, list[Span]] = {}
    for span in read_spans(connection, lease.c.artifact_fingerprint.in_(fingerprints)):
        spans.setdefault(span.lease.artifact_fingerprint, []).append(span)
    lease_ids = [span.lease.id for several in spans.values() for span in several]
    usages, metered = _usages(connection, lease_ids), read_metered(connection, lease_ids)
    expenses = _expenses(connection, fingerprints)
    saved = _saved(connection, fingerprints)
    planned: dict[str, list[ArtifactEstimate]] = {}
    for one in read_artifact_estimates(connection, lease.c.artifact_fingerprint.in_(fingerprints)):
        planned.setdefault(one.artifact, []).append(one)
    return {
        fingerprint: _cost(several, usages, together(several, metered), prices).model_copy(
            update={
                "expense_micro_usd": expenses.get(fingerprint, 0),
                "saved_seconds": saved.get(fingerprint, 0.0),
                **_planned(planned.get(fingerprint, [])),
            }
        )
        for fingerprint, several in spans.items()
    }


def _planned(estimates: Sequence[ArtifactEstimate]) -> dict[str, float | int | None]:
    if not estimates:
        return {}
    money = [one.micro_usd for one in estimates]
    known = [amount for amount in money if amount is not None]
    return {
        "planned_seconds": sum(one.device_seconds for one in estimates),
        "planned_micro_usd": sum(known) if len(known) == len(money) else None,
    }


def _cost(spans: list[Span], usages: dict[str, dict[str, Any]], metered: Metered, prices: Prices) -> ArtifactCost:
    """What its leases took; savings, expenses and plans are not theirs."""
    done = [span for span in spans if span.status == "done"]
    told = [usages[span.lease.id] for span in spans if span.lease.id in usages]
    costs = [span.cost(prices) for span in spans]
    known = [cost for cost in costs if cost is not None]
    return ArtifactCost(
        stage=spans[-1].lease.stage,
        fingerprint=spans[-1].lease.artifact_fingerprint,
        attempts=len(spans),
        gpu_seconds=sum(s.billed_device_seconds for s in spans if device_kind(s.lease.device) == "gpu"),
        cpu_seconds=sum(s.billed_device_seconds for s in spans if device_kind(s.lease.device) == "cpu"),
        wasted_seconds=sum(span.billed_device_seconds for span in spans if span.wasted),
        repeated_seconds=sum(span.billed_device_seconds for span in done[1:]),
        idle_seconds=sum(_idle(span, usages.get(span.lease.id)) for span in done),
        tokens_in=sum(int(usage.get("tokens_in", 0)) for usage in told),
        tokens_out=sum(int(usage.get("tokens_out", 0)) for usage in told),
        energy_joules=metered.energy_joules,
        utilisation=metered.utilisation,
        compute_micro_usd=sum(known) if len(known) == len(costs) else None,
    )


def _idle(span: Span, usage: dict[str, Any] | None) -> float:
    """Held longer than the stage worked: its process starting, its artifact being written."""
    if usage is None or not usage.get("device_seconds"):
        return 0.0
    worked = float(usage["device_seconds"]) * span.lease.share_numerator / span.lease.share_denominator
    return max(0.0, span.billed_device_seconds - worked)


def _usages(connection: Connection, lease_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(lease_ids), CHUNK):
        query = select(lease_event.c.lease_id, lease_event.c.detail).where(
            lease_event.c.kind == "close", lease_event.c.lease_id.in_(lease_ids[start : start + CHUNK])
        )
        found |= {row.lease_id: row.detail["usage"] for row in connection.execute(query) if row.detail.get("usage")}
    return found


def _expenses(connection: Connection, fingerprints: Sequence[str]) -> dict[str, int]:
    query = select(expense.c.artifact_fingerprint, expense.c.micro_usd)
    sums: dict[str, int] = {}
    for row in connection.execute(query.where(expense.c.artifact_fingerprint.in_(fingerprints))):
        sums[row.artifact_fingerprint] = sums.get(row.artifact_fingerprint, 0) + row.micro_usd
    return sums


def _saved(connection: Connection, fingerprints: Sequence[str]) -> dict[str, float]:
    """Cache hits name their artifact in their detail; the lease that made it leads to them by an index."""
    query = (
        select(lease.c.artifact_fingerprint, lease_event.c.detail)
        .join(lease_event, lease_event.c.lease_id == lease.c.id)
        .where(lease_event.c.kind == "saved", lease.c.artifact_fingerprint.in_(fingerprints))
    )
    sums: dict[str, float] = {}
    for row in connection.execute(query):
        sums[row.artifact_fingerprint] = sums.get(row.artifact_fingerprint, 0.0) + float(row.detail["device_seconds"])
    return sums


def unattributed_micro_usd(ledger: Ledger, build_id: str) -> int:
    """Expenses and adjustments of a build that name no artifact."""
    with ledger.reading() as connection:
        booked = select(func.sum(expense.c.micro_usd)).where(
            expense.c.build_id == build_id, expense.c.artifact_fingerprint == ""
        )
        adjusted = select(func.sum(adjustment.c.micro_usd)).where(adjustment.c.build_id == build_id)
        return int(connection.execute(booked).scalar() or 0) + int(connection.execute(adjusted).scalar() or 0)
