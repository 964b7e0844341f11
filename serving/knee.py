"""The knee: up to which load enough requests keep the service level, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from contracts.reports import Estimate
from contracts.serving_report import Knee, LoadPoint

Z = 1.959964
"""Two-sided 95 % of a normal distribution."""


def request_share(good: int, n: int) -> Estimate:
    """The share of ``good`` among ``n`` requests with its Wilson interval (Wilson 1927), which holds near 0 and 1."""
    if n == 0:
        return Estimate(value=0.0, low=0.0, high=1.0, n=0)
    share = good / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Estimate(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half), n=n)


def find_knee(points: Sequence[LoadPoint], kind: Literal["concurrency", "rate"], asked: float) -> Knee | None:
    """The highest load of one kind at which the share of requests within the SLO is at least ``asked``.

    None where that kind was not swept. A lower load that missed it does not lower the knee: it is named.
    """
    sweep = sorted((point for point in points if point.kind == kind), key=lambda point: point.load)
    shares = [(point.load, point.within_slo) for point in sweep if point.within_slo is not None]
    if not shares:
        return None
    held = [place for place, (_, share) in enumerate(shares) if share.value >= asked]
    if not held:
        best = max((share for _, share in shares), key=lambda share: share.value)
        return Knee(kind=kind, asked=asked, within_slo=best, certain=all(share.high < asked for _, share in shares))
    top = held[-1]
    load, share = shares[top]
    above = shares[top + 1] if top + 1 < len(shares) else None
    missed = tuple(lower for place, (lower, _) in enumerate(shares[:top]) if place not in held)
    return Knee(
        kind=kind,
        asked=asked,
        load=load,
        within_slo=share,
        next_load=above[0] if above else None,
        next_within_slo=above[1] if above else None,
        missed_below=missed,
        certain=share.low >= asked and (above is None or above[1].high < asked) and not missed,
    )


def find_knees(points: Sequence[LoadPoint], asked: float) -> list[Knee]:
    """Of every sweep that was made: request rates first, as users come at rates."""
    found = (find_knee(points, "rate", asked), find_knee(points, "concurrency", asked))
    return [knee for knee in found if knee is not None]
