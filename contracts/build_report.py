"""The report of one build, as data: its stages with what they took, and what each of them reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from contracts.curation_report import CurationCard
from contracts.reports import Comparison, EvaluationReport, Report, SelectionReport
from contracts.serving_report import ServingCard


class StageLine(Report):
    """One stage of one build: what it made, and what that took or saved. A stage cached costs nothing and saves."""

    stage: str
    fingerprint: str = ""
    kind: str = ""
    cached: bool = False
    device: str = "cpu"
    """``cpu``, or the accelerator's name."""
    wall_seconds: float = 0.0
    device_seconds: float = 0.0
    usd: float | None = None
    """None: the device has no price on the day."""
    saved_device_seconds: float = 0.0
    """What the cached artifact took when it was made."""
    wasted_device_seconds: float = 0.0
    """Spent on attempts that left no artifact."""
    error: str = ""
    """Why the stage failed: an error's first line."""
    metrics: dict[str, Any] = Field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether the seconds are an accelerator's."""
        return self.device != "cpu"


class BuildReport(Report):
    """One build, whole or stopped half-way: everything its page shows. Parts that were not reached are empty."""

    build_id: str
    vertical: str
    scale: str
    started_at: datetime
    finished_at: datetime | None = None
    stopped_at: str = ""
    """The stage at which the build stopped; empty: it finished."""
    stop_reason: str = ""
    stages: list[StageLine] = Field(default_factory=list)
    primary_task: str = ""
    primary_metric: str = "field_f1"
    base: str = ""
    """Name of the evaluated base model, the one forgetting is counted from."""
    teacher: str = ""
    students: list[str] = Field(default_factory=list)
    forgetting_budget: float | None = None
    retention_floors: dict[str, float] = Field(default_factory=dict)
    """Student name to the least share of the teacher's score its recipe asks for."""
    curation: CurationCard | None = None
    selection: SelectionReport | None = None
    evaluations: list[EvaluationReport] = Field(default_factory=list)
    """In the order of the chain."""
    comparisons: list[Comparison] = Field(default_factory=list)
    losses: dict[str, list[tuple[float, float]]] = Field(default_factory=dict)
    """Stage to ``(step, training loss)`` points."""
    capture: dict[str, Any] = Field(default_factory=dict)
    """What the captured probabilities hold: shares of the mass kept, tokens, bytes."""
    servings: list[ServingCard] = Field(default_factory=list)
    licences: dict[str, str] = Field(default_factory=dict)
    """Model, source or package to its SPDX identifier."""
    synthetic_input: bool = False
    """The documents came from the recipe's writer, not from a corpus."""
    versions: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)

    def seconds(self, *, gpu: bool) -> float:
        """Device-seconds spent on accelerators, or on CPUs; CPU and GPU are never added up."""
        return sum(line.device_seconds for line in self.stages if line.on_gpu is gpu)

    @property
    def usd(self) -> float | None:
        """The priced stages' sum; None where no stage has a price."""
        prices = [line.usd for line in self.stages if line.usd is not None]
        return sum(prices) if prices else None

    @property
    def saved_device_seconds(self) -> float:
        """What the cache saved."""
        return sum(line.saved_device_seconds for line in self.stages)

    @property
    def wasted_device_seconds(self) -> float:
        """What attempts that left no artifact took."""
        return sum(line.wasted_device_seconds for line in self.stages)
