"""Repeats of a cell and the SLO's knee, on results of ``vllm bench serve`` (a 135M model, two CPU cores)."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from contracts.reports import Estimate
from contracts.serving_report import Knee, LoadPoint
from serving.engine_metrics import Counters
from serving.knee import find_knee, find_knees, request_share
from serving.load import Cell, load_point
from serving.repeats import disagreements, merge

CELLS = Path(__file__).parent / "cells"


def result(name: str) -> dict[str, Any]:
    """A stored result."""
    return dict(json.loads((CELLS / f"{name}.json").read_text()))


def read(name: str, **changes: Any) -> LoadPoint:
    """The point of a stored result."""
    raw = result(name) | changes
    kind, load, run = name.split("-")
    cell = Cell("rate" if kind == "rate" else "concurrency", float(load), 6, 128, 32, raw["seed"], int(run[3:]))
    return load_point(cell, raw, Counters(**raw["engine_counters"]), raw["contention"])


def at(load: float, good: int, n: int, kind: str = "rate") -> LoadPoint:
    """A point at which ``good`` of ``n`` requests kept the SLO."""
    point = read("rate-4-run1")
    return point.model_copy(update={"kind": kind, "load": load, "within_slo": request_share(good, n)})


def knee(*points: LoadPoint, asked: float = 0.9) -> Knee:
    """The knee of the rates."""
    found = find_knee(points, "rate", asked)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["concurrency-4-run1", "rate-4-run2"])
@pytest.mark.parametrize(("ttft_ms", "tpot_ms"), [(10_000, 400), (250, 400), (10_000, 38), (150, 30)])
def test_requests_within_the_slo_are_those_the_generator_counts(name: str, ttft_ms: float, tpot_ms: float) -> None:
    raw = result(name)
    requests = zip(raw["ttfts"], raw["latencies"], raw["output_lens"], strict=True)
    good = sum(first * 1e3 <= ttft_ms and (whole - first) / (n - 1) * 1e3 <= tpot_ms for first, whole, n in requests)
    # as the generator computes it: good requests over the cell's duration
    point = read(name, request_goodput=good / raw["duration"])
    assert point.within_slo is not None
    assert (round(point.within_slo.value * 6), point.within_slo.n) == (good, 6)


def test_the_stored_cells_kept_their_slo() -> None:
    share = read("concurrency-4-run1").within_slo
    assert share is not None
    assert share.value == 1.0


def test_rates_and_latencies_are_medians_with_the_least_and_the_most() -> None:
    runs = [result(f"concurrency-4-run{run}") for run in (1, 2)]
    point = merge([read("concurrency-4-run1"), read("concurrency-4-run2")])
    for name, key in (("output_tokens_per_second", "output_throughput"), ("tpot_ms_p50", "p50_tpot_ms")):
        values = [raw[key] for raw in runs]
        spread = point.spreads[name]
        assert (spread.median, spread.least, spread.most) == (median(values), min(values), max(values))
        assert spread.least < spread.most
    assert point.ttft_ms["p99"] == median(raw["p99_ttft_ms"] for raw in runs)
    assert point.repeats == 2


def test_counts_of_repeats_are_sums_and_shares_the_worst() -> None:
    first = read("concurrency-4-run1").model_copy(update={"preemptions": 1, "prefix_cache_hit_share": 0.01})
    second = read("concurrency-4-run2").model_copy(update={"within_slo": request_share(3, 6)})
    point = merge([first, second])
    assert (point.completed, point.failed, point.output_tokens, point.preemptions) == (12, 0, 384, 1)
    assert point.prefix_cache_hit_share == 0.01
    busiest = max(result(f"concurrency-4-run{run}")["contention"]["cpu_pressure_some_avg10"] for run in (1, 2))
    assert point.contention["cpu_pressure_some_avg10"] == busiest
    assert point.within_slo is not None
    assert (point.within_slo.value, point.within_slo.n) == (0.75, 12)


def test_a_cell_measured_once_has_no_spread() -> None:
    alone = read("rate-4-run1")
    assert merge([alone]) == alone
    assert disagreements([merge([alone])], 0.01) == []


def test_repeats_that_lie_too_far_apart_are_named_with_the_figures() -> None:
    slow = read("concurrency-4-run2").model_copy(update={"output_tokens_per_second": 40.0})
    fast = read("concurrency-4-run1").model_copy(update={"output_tokens_per_second": 60.0})
    point = merge([slow, fast, slow.model_copy(update={"output_tokens_per_second": 50.0})])
    # 20 of 50
    assert disagreements([point], 0.4) == []
    told = "4 streams: 40.0 to 60.0 output tokens a second over 3 repeats, 40 % of the median"
    assert disagreements([point], 0.39) == [told]


def test_at_a_rate_the_time_per_token_is_no_sign_of_noise() -> None:
    runs = [read("rate-4-run1"), read("rate-4-run2")]
    slower = runs[1].model_copy(update={"tpot_ms": {name: 3 * value for name, value in runs[1].tpot_ms.items()}})
    assert disagreements([merge([runs[0], slower])], 0.2) == []
    closed = [one.model_copy(update={"kind": "concurrency"}) for one in (runs[0], slower)]
    assert "ms a token" in disagreements([merge(closed)], 0.2)[0]


def test_wilson_interval_against_published_figures() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20
    for good, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        share = request_share(good, n)
        assert (share.low, share.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert request_share(0, 0) == Estimate(value=0, low=0, high=1, n=0)


def test_the_knee_is_the_highest_load_that_held() -> None:
    found = knee(at(4, 150, 200), at(1, 200, 200), at(2, 196, 200))
    assert (found.load, found.next_load, found.certain, found.missed_below) == (2, 4, True, ())
    assert found.sentence == "2 requests/s: 98 % of 200 requests within the SLO, 90 % asked; at 4 requests/s 75 %"


def test_exactly_the_asked_share_holds() -> None:
    assert knee(at(1, 9, 10), at(2, 8, 10)).load == 1


def test_a_sweep_that_held_throughout_says_that_the_knee_lies_higher() -> None:
    found = knee(at(1, 200, 200), at(4, 199, 200))
    assert (found.load, found.next_load, found.certain) == (4, None, True)
    assert found.sentence.endswith("the highest load tried, so the knee is there or above")


def test_none_of_the_rates_held_it_is_said_plainly() -> None:
    found = knee(at(1, 80, 200), at(2, 10, 200))
    assert (found.load, found.certain) == (None, True)
    assert found.sentence == ("none of the rates held it: at best 40 % of 200 requests within the SLO, 90 % asked")


def test_few_requests_give_a_knee_but_no_certainty() -> None:
    found = knee(at(1, 12, 12))
    assert (found.load, found.certain) == (1, False)
    assert "too few requests to be sure (95 % interval 75.8 % to 100 %)" in found.sentence
    # 35 of 35 are the least that show nine in ten
    assert not knee(at(1, 34, 34)).certain
    assert knee(at(1, 35, 35)).certain


def test_an_interval_across_the_asked_share_above_the_knee_takes_the_certainty() -> None:
    found = knee(at(1, 200, 200), at(2, 175, 200))
    assert (found.load, found.next_load, found.certain) == (1, 2, False)
    assert found.sentence.endswith("too few requests to be sure (95 % interval 98.1 % to 100 % and 82.2 % to 91.4 %)")


def test_a_lower_load_that_missed_is_named_and_takes_the_certainty() -> None:
    found = knee(at(1, 150, 200), at(2, 200, 200))
    assert (found.load, found.missed_below, found.certain) == (2, (1.0,), False)
    assert found.sentence.endswith("; 1 request/s missed it all the same, so the knee is not certain")


def test_rates_come_before_concurrency_and_what_was_not_swept_has_no_knee() -> None:
    streams, rate = at(8, 200, 200, "concurrency"), at(1, 200, 200)
    assert [one.kind for one in find_knees([streams, rate], 0.9)] == ["rate", "concurrency"]
    assert find_knee([streams], "rate", 0.9) is None
    assert find_knee([rate.model_copy(update={"within_slo": None})], "rate", 0.9) is None
    found = find_knee([at(1, 1, 200, "concurrency")], "concurrency", 0.9)
    assert found is not None
    assert found.sentence.startswith("none of the concurrencies held it")
