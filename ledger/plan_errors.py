"""How far the plan was off: each stage's estimate beside what was booked, over all builds in a scope.

Device-seconds of every attempt count, as in ``report.estimate_lines``; what of them was wasted stands apart. A stage
that is still running is left out. A stage that came from the cache took nothing: it is no evidence and left out too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.breakdown import Scope, Spent, break_down, within
from ledger.snapshot import Snapshot

Cell = tuple[str, str, str]
"""Build, stage, device."""


@dataclass(frozen=True)
class Planned:
    """One stage of one build on one device."""

    build_id: str
    stage: str
    device: str
    estimated_device_seconds: float
    actual_device_seconds: float
    wasted_device_seconds: float
    estimated_micro_usd: int | None
    actual_micro_usd: int | None

    @property
    def error(self) -> float:
        """(actual - estimated) / estimated: +0.5 took half as much again as planned."""
        return self.actual_device_seconds / self.estimated_device_seconds - 1


@dataclass(frozen=True)
class StageError:
    """All builds' runs of one stage on one device."""

    stage: str
    device: str
    runs: int
    estimated_device_seconds: float
    actual_device_seconds: float
    wasted_device_seconds: float
    estimated_micro_usd: int | None
    actual_micro_usd: int | None
    typical_error: float
    """The median of the runs' absolute errors."""

    @property
    def error(self) -> float:
        """Of the sums."""
        return self.actual_device_seconds / self.estimated_device_seconds - 1


def planned(told: Snapshot, scope: Scope) -> list[Planned]:
    """Every ended stage that had an estimate and was run, newest build first, in the order of its plan."""
    place = {one.id: number for number, one in enumerate(told.builds) if scope.covers(one)}
    running = {(row.build_id, row.stage, row.item) for row in told.charges if row.status == "open"}
    compute = [row for row in within(told.charges, scope) if row.kind == "compute"]
    booked: dict[Cell, Spent] = break_down(compute, lambda row: (row.build_id, row.stage, row.item))
    found = []
    for one in told.estimates:
        cell = (one.build_id, one.stage, one.device)
        spent = booked.get(cell)
        if one.build_id in place and spent and cell not in running and one.device_seconds > 0:
            hours, wasted = spent.gpu_hours + spent.cpu_hours, spent.wasted_gpu_hours + spent.wasted_cpu_hours
            found.append(
                Planned(*cell, one.device_seconds, hours * 3600, wasted * 3600, one.micro_usd, spent.micro_usd)
            )
    return sorted(found, key=lambda one: place[one.build_id])


def by_stage(lines: Iterable[Planned]) -> list[StageError]:
    """The same, a line a stage and device, largest estimate first."""
    groups: dict[tuple[str, str], list[Planned]] = {}
    for one in lines:
        groups.setdefault((one.stage, one.device), []).append(one)
    found = [_stage(stage, device, several) for (stage, device), several in groups.items()]
    return sorted(found, key=lambda one: -one.estimated_device_seconds)


def typical_factor(lines: Sequence[Planned]) -> float | None:
    """The geometric mean of actual over estimated: how many times as long as planned; None without a run."""
    ratios = [
        one.actual_device_seconds / one.estimated_device_seconds for one in lines if one.actual_device_seconds > 0
    ]
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios)) if ratios else None


def _stage(stage: str, device: str, several: Sequence[Planned]) -> StageError:
    return StageError(
        stage=stage,
        device=device,
        runs=len(several),
        estimated_device_seconds=sum(one.estimated_device_seconds for one in several),
        actual_device_seconds=sum(one.actual_device_seconds for one in several),
        wasted_device_seconds=sum(one.wasted_device_seconds for one in several),
        estimated_micro_usd=_sum([one.estimated_micro_usd for one in several]),
        actual_micro_usd=_sum([one.actual_micro_usd for one in several]),
        typical_error=statistics.median(abs(one.error) for one in several),
    )


def _sum(parts: Sequence[int | None]) -> int | None:
    known = [one for one in parts if one is not None]
    return sum(known) if len(known) == len(parts) else None
