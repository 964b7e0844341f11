"""The repeats of a cell as one point: medians, how far they lie apart, and whether that is too far."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from contracts.serving_report import LoadPoint, Spread
from serving.knee import request_share

RATES = ("request_per_second", "output_tokens_per_second", "total_tokens_per_second", "goodput_request_per_second")
LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
STEADY = {"concurrency": ("output_tokens_per_second", "tpot_ms_p50"), "rate": ("output_tokens_per_second",)}
"""What tells a noisy machine: figures over all tokens of a cell. Tails and first tokens hang on single requests, and
at a rate the time per token hangs on how the requests happen to arrive, which each repeat draws anew."""


def merge(points: Sequence[LoadPoint]) -> LoadPoint:
    """One point of a cell's repeats (the same kind and load in all), as ``LoadPoint`` says what is what."""
    spreads = {name: spread for name in _names(points[0]) if (spread := _spread(points, name)) is not None}
    queues = [point.queue_ms_mean for point in points if point.queue_ms_mean is not None]
    hits = [point.prefix_cache_hit_share for point in points if point.prefix_cache_hit_share is not None]
    preempted = [point.preemptions for point in points if point.preemptions is not None]
    within = [point.within_slo for point in points if point.within_slo is not None]
    good = sum(round(one.value * one.n) for one in within)
    return points[0].model_copy(
        update={
            **{name: spreads[name].median for name in RATES if name in spreads},
            **{name: _percentiles(points[0], name, spreads) for name in LATENCIES},
            "completed": sum(point.completed for point in points),
            "failed": sum(point.failed for point in points),
            "output_tokens": sum(point.output_tokens for point in points),
            "preemptions": sum(preempted) if preempted else None,
            "prefix_cache_hit_share": max(hits, default=None),
            "queue_ms_mean": median(queues) if queues else None,
            "contention": _worst([point.contention for point in points]),
            "within_slo": request_share(good, sum(one.n for one in within)) if within else None,
            "repeats": len(points),
            "spreads": spreads if len(points) > 1 else {},
        }
    )


def disagreements(points: Sequence[LoadPoint], ceiling: float) -> list[str]:
    """A line for each cell whose repeats lie further apart than ``ceiling``, a share of the median."""
    found = []
    for point in points:
        steady = [(point.spreads[name].share, name) for name in STEADY[point.kind] if name in point.spreads]
        share, name = max(steady, default=(0.0, ""))
        if share > ceiling:
            spread = point.spreads[name]
            what = "ms a token" if name == "tpot_ms_p50" else "output tokens a second"
            found.append(
                f"{point.name}: {spread.least:.1f} to {spread.most:.1f} {what} over {spread.repeats} repeats, "
                f"{100 * share:.0f} % of the median"
            )
    return found


def _names(point: LoadPoint) -> list[str]:
    return [*RATES, *(f"{name}_{percentile}" for name in LATENCIES for percentile in getattr(point, name))]


def _spread(points: Sequence[LoadPoint], name: str) -> Spread | None:
    values = [value for point in points if (value := _value(point, name)) is not None]
    if not values:
        return None
    return Spread(median=median(values), least=min(values), most=max(values), repeats=len(values))


def _value(point: LoadPoint, name: str) -> float | None:
    if name in RATES:
        value: float | None = getattr(point, name)
        return value
    latency, _, percentile = name.rpartition("_")
    found: float | None = getattr(point, latency).get(percentile)
    return found


def _percentiles(point: LoadPoint, name: str, spreads: dict[str, Spread]) -> dict[str, float]:
    return {percentile: spreads[f"{name}_{percentile}"].median for percentile in getattr(point, name)}


def _worst(samples: list[dict[str, float]]) -> dict[str, float]:
    names = {name for sample in samples for name in sample}
    return {name: max(sample[name] for sample in samples if name in sample) for name in sorted(names)}
