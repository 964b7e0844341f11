"""The serving card as data: one model under load, cell by cell, and where it keeps its objectives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.reports import Estimate, Report


class Spread(Report):
    """One figure over the repeats of a cell: its median, the least and the most."""

    median: float
    least: float
    most: float
    repeats: int = Field(ge=1)

    @property
    def share(self) -> float:
        """How far the repeats lie apart, as a share of the median; 0 where the median is 0."""
        return (self.most - self.least) / self.median if self.median else 0.0


class LoadPoint(Report):
    """One cell of a serving sweep. Latencies in milliseconds.

    Of a cell that was repeated, rates and latencies are medians over the repeats; completed, failed, output_tokens and
    preemptions are sums; prefix_cache_hit_share and contention are the worst seen.
    """

    kind: Literal["concurrency", "rate"]
    load: float
    """Streams, or requests per second offered."""
    completed: int
    failed: int
    output_tokens: int
    request_per_second: float
    output_tokens_per_second: float
    total_tokens_per_second: float
    ttft_ms: dict[str, float]
    """``p50``, ``p90``, ``p99``."""
    tpot_ms: dict[str, float]
    itl_ms: dict[str, float]
    e2e_ms: dict[str, float]
    goodput_request_per_second: float | None = None
    prefix_cache_hit_share: float | None = None
    preemptions: int | None = None
    queue_ms_mean: float | None = None
    """Mean time a request waited inside the engine before it ran."""
    contention: dict[str, float] = Field(default_factory=dict)
    repeats: int = Field(1, ge=1)
    spreads: dict[str, Spread] = Field(default_factory=dict)
    """Over the repeats; names as here, latencies with their percentile: ``ttft_ms_p50``."""
    within_slo: Estimate | None = None
    """Share of requests within the SLO, of all repeats together; Wilson interval."""

    @property
    def name(self) -> str:
        """The load for people: ``4 streams``, ``0.5 requests/s``."""
        return load_name(self.kind, self.load)


def load_name(kind: str, load: float) -> str:
    """A load for people: ``4 streams``, ``0.5 requests/s``."""
    one = "request" if kind == "rate" else "stream"
    return f"{load:g} {one if load == 1 else one + 's'}" + ("/s" if kind == "rate" else "")


class Knee(Report):
    """The highest load of one sweep at which enough requests keep the SLO."""

    kind: Literal["concurrency", "rate"]
    asked: float = Field(gt=0, le=1)
    """The share of requests that must keep it."""
    load: float | None = None
    """None: no load of the sweep held it."""
    within_slo: Estimate | None = None
    """At ``load``; where none held it, the best that was seen."""
    next_load: float | None = None
    """The next higher load of the sweep, which did not hold it; None: the knee is the highest load tried."""
    next_within_slo: Estimate | None = None
    missed_below: tuple[float, ...] = ()
    """Lower loads that did not hold it although ``load`` did: too few requests, or a noisy machine."""
    certain: bool = False
    """The intervals at the knee and above it lie wholly on their side of ``asked``."""

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        share = "" if self.within_slo is None else f"{_percent(self.within_slo.value)} of {self.within_slo.n} requests"
        if self.load is None:
            loads = "rates" if self.kind == "rate" else "concurrencies"
            told = f"none of the {loads} held it: at best {share} within the SLO, {_percent(self.asked)} asked"
        else:
            told = f"{load_name(self.kind, self.load)}: {share} within the SLO, {_percent(self.asked)} asked"
            if self.next_load is None:
                told += "; the highest load tried, so the knee is there or above"
            elif self.next_within_slo is not None:
                missed = _percent(self.next_within_slo.value)
                told += f"; at {load_name(self.kind, self.next_load)} {missed}"
        if self.missed_below:
            missed = ", ".join(load_name(self.kind, load) for load in self.missed_below)
            return f"{told}; {missed} missed it all the same, so the knee is not certain"
        if not self.certain:
            seen = [share for share in (self.within_slo, self.next_within_slo) if share is not None]
            intervals = " and ".join(f"{_percent(share.low)} to {_percent(share.high)}" for share in seen)
            told += f"; too few requests to be sure (95 % interval {intervals})"
        return told


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


class ServingCard(Report):
    """One model as served: what it does under load, with what settings."""

    model: str
    engine: str
    engine_version: str
    device: str
    dtype: str
    flags: list[str]
    golden_ids_equal: bool
    seconds_to_ready: float
    points: list[LoadPoint]
    slo: str
    usd_per_1m_output_tokens: float | None = None
    notes: list[str] = Field(default_factory=list)
    knees: list[Knee] = Field(default_factory=list)
    """One a sweep: request rates first, then concurrency."""
    disagreements: list[str] = Field(default_factory=list)
    """Cells whose repeats lie too far apart, in words: the machine was noisy."""
