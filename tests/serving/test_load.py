"""What the load generator and the engine report, read; results that measured something else, refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import FitError, InputError, ServeError
from recipes.schema import Serving
from recipes.stage_sections import BenchmarkSection
from serving.benchmark import benchmark, plan_cells, usd_per_1m_output_tokens, warm_up_cell
from serving.engine import Engine, cpu_cache_bytes, cpu_start, devices_used, vllm_engine
from serving.engine_metrics import read_counters
from serving.load import Cell, Slo, arguments, load_point
from serving.server import Server, ServerSettings

METRICS = """\
# HELP vllm:prefix_cache_queries_total Prefix cache queries.
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="a b} c"} 1024.0
vllm:prefix_cache_hits_total{engine="0",model_name="teacher"} 16.0
vllm:num_preemptions_total{engine="0"} 2.0
vllm:num_preemptions_total{engine="1"} 1.0
vllm:request_queue_time_seconds_sum{engine="0"} 0.5
vllm:request_queue_time_seconds_bucket{engine="0",le="0.3"} 8.0
vllm:request_queue_time_seconds_count{engine="0"} 8.0
vllm:generation_tokens_total{engine="0"} 1.28e+02
"""
CELL = Cell("concurrency", 4, requests=8, input_tokens=128, output_tokens=16, seed=11)


@pytest.fixture
def raw() -> dict[str, Any]:
    """A result as ``vllm bench serve`` gives it, shortened to what is read."""
    result: dict[str, Any] = {
        "completed": 8,
        "failed": 0,
        "total_input_tokens": 1024,
        "total_output_tokens": 128,
        "output_lens": [16] * 8,
        "request_throughput": 0.5,
        "output_throughput": 8.0,
        "total_token_throughput": 72.0,
        "request_goodput": 0.25,
        "duration": 16.0,
    }
    for number, metric in enumerate(("ttft", "tpot", "itl", "e2el"), start=1):
        result |= {f"p{percentile}_{metric}_ms": number * 100.0 + percentile for percentile in (50, 90, 99)}
    return result


def test_a_result_becomes_a_point_with_each_latency_in_its_place(raw: dict[str, Any]) -> None:
    before = read_counters("")
    counted = read_counters(METRICS).since(before)
    point = load_point(CELL, raw, counted, {"load_average_1min": 1.5})
    assert (point.ttft_ms["p50"], point.tpot_ms["p90"], point.itl_ms["p99"], point.e2e_ms["p50"]) == (
        150,
        290,
        399,
        450,
    )
    assert (point.output_tokens_per_second, point.total_tokens_per_second) == (8.0, 72.0)
    assert point.goodput_request_per_second == 0.25
    assert point.within_slo is not None
    assert (point.within_slo.value, point.within_slo.n) == (0.5, 8)
    assert point.preemptions == 3
    assert point.queue_ms_mean == 62.5
    assert point.prefix_cache_hit_share == 16 / 1024
    assert point.contention == {"load_average_1min": 1.5}


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (
            {"failed": 1, "completed": 7, "first_error": "Unauthorized"},
            "got 7 completed, 1 failed\n\nhint: Unauthorized",
        ),
        ({"completed": 7}, "8 requests must complete"),
        ({"output_lens": [16] * 7 + [1]}, "every answer must have 16 tokens, got [1]"),
    ],
)
def test_a_cell_with_failures_or_cut_streams_is_refused(raw: dict[str, Any], change: dict[str, Any], fact: str) -> None:
    with pytest.raises(ServeError) as caught:
        load_point(CELL, raw | change, read_counters(""), {})
    assert fact in str(caught.value)


def test_a_warm_prefix_cache_is_refused(raw: dict[str, Any]) -> None:
    warm = read_counters("vllm:prefix_cache_queries_total 100\nvllm:prefix_cache_hits_total 12\n")
    with pytest.raises(ServeError, match="measured the prefix cache, got 12% of prompt tokens"):
        load_point(CELL, raw, warm, {})


def test_counters_are_differences_summed_over_replicas() -> None:
    early, late = read_counters(METRICS), read_counters(METRICS.replace("1024.0", "3072.0").replace(" 16.0", " 528.0"))
    assert early.preemptions == 3
    assert early.generation_tokens == 128
    assert late.since(early).prefix_cache_hit_share == 0.25
    assert early.since(early).prefix_cache_hit_share is None


def test_every_cell_has_prompts_of_its_own_and_enough_of_them() -> None:
    serving = Serving(concurrency=(1, 16), request_rates=(0.5, 2.0), requests_per_cell=8, repeats=2)
    cells = plan_cells(serving)
    names = ["concurrency-1", "concurrency-16", "rate-0.5", "rate-2"]
    # whole sweeps after each other, not a cell's repeats in a row
    assert [cell.name for cell in cells] == [f"{name}-run{run}" for run in (1, 2) for name in names]
    assert [cell.requests for cell in cells] == [8, 16, 8, 8] * 2
    # a seed a cell and repeat, and one for the warm-up: no prompt is known from before
    assert len({cell.seed for cell in [*cells, warm_up_cell(serving)]}) == 9
    assert plan_cells(serving) == cells, "the same prompts for every model"


def test_a_recipe_without_any_load_is_refused() -> None:
    with pytest.raises(InputError, match="has no load to measure"):
        plan_cells(Serving(concurrency=(), request_rates=()))


def test_the_warm_up_is_one_round_of_the_most_streams() -> None:
    cell = warm_up_cell(Serving(concurrency=(1, 16, 4), requests_per_cell=64))
    assert (cell.kind, cell.load, cell.requests, cell.run) == ("concurrency", 16, 16, 0)
    assert warm_up_cell(Serving(concurrency=())).requests == 1


def test_a_workload_beyond_the_context_is_refused_before_the_engine_starts() -> None:
    with pytest.raises(FitError, match="must fit into max_model_len 128, got 160"):
        plan_cells(Serving(max_model_len=128, input_tokens=128, output_tokens=32))


def test_rate_and_concurrency_become_different_arguments(model: Path, settings: ServerSettings) -> None:
    server = Server(model, Engine(("python",), "0", "cpu", "float32"), settings)
    closed = arguments(server, CELL, Slo(500, 30))
    opened = arguments(server, Cell("rate", 0.5, 8, 128, 16, 3), Slo(500, 30))
    assert closed[closed.index("--max-concurrency") + 1] == "4"
    assert closed[closed.index("--request-rate") + 1] == "inf"
    assert "--max-concurrency" not in opened
    assert opened[opened.index("--request-rate") + 1] == "0.5"
    for line in (closed, opened):
        assert line[line.index("--temperature") + 1] == "0"
        assert "--ignore-eos" in line
        assert server.api_key not in line


def test_price_at_the_peak(raw: dict[str, Any]) -> None:
    point = load_point(CELL, raw, read_counters(""), {})
    faster = point.model_copy(update={"output_tokens_per_second": 1_000.0})
    # 2 devices at 1.80 USD an hour, 1,000 tokens a second: 3.6 million tokens for 3.60 USD
    assert usd_per_1m_output_tokens(1.80, 2, [point, faster]) == pytest.approx(1.0)
    assert usd_per_1m_output_tokens(None, 2, [point]) is None


def test_an_engine_is_booked_with_the_devices_its_flags_take() -> None:
    assert devices_used(()) == 1
    assert devices_used(("--tensor-parallel-size", "2", "--quantization=fp8")) == 2
    assert devices_used(("--tensor-parallel-size=4", "--data-parallel-size", "2")) == 8


def test_on_two_processors_the_engine_starts_forked_and_on_one_thread() -> None:
    flags, environment = cpu_start(2)
    assert flags == ("--enforce-eager", "--distributed-executor-backend", "uni")
    # a fork is safe only because OpenMP makes no pool of threads
    assert (environment["OMP_NUM_THREADS"], environment["VLLM_WORKER_MULTIPROC_METHOD"]) == ("1", "fork")
    assert cpu_start(3) == (("--enforce-eager",), {})
    assert cpu_start(2, ("--tensor-parallel-size", "2")) == (("--enforce-eager",), {})


def test_the_cpu_cache_goes_with_the_weights_within_bounds(tmp_path: Path) -> None:
    assert cpu_cache_bytes(tmp_path) == 2**28
    for number, size in enumerate((300_000_000, 400_000_000)):
        with (tmp_path / f"model-{number}.safetensors").open("wb") as file:
            file.truncate(size)
    assert cpu_cache_bytes(tmp_path) == 700_000_000
    with (tmp_path / "model-3.safetensors").open("wb") as file:
        file.truncate(2**31)
    assert cpu_cache_bytes(tmp_path) == 2**30


def test_the_cache_is_sized_on_a_cpu_only_and_said_in_the_flags(tmp_path: Path) -> None:
    flag = "--kv-cache-memory-bytes"
    here = Engine(("python",), "0", "cpu", "float32", sizes_cache=True).serve_flags(tmp_path, "m", 256, ())
    assert here[here.index(flag) + 1] == str(2**28)
    assert flag not in Engine(("python",), "0", "H100", "auto").serve_flags(tmp_path, "m", 256, ())


def test_a_missing_engine_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"its interpreter is missing, got .*/python"):
        vllm_engine(tmp_path / "python")


def test_an_interpreter_without_vllm_is_said_in_one_line() -> None:
    with pytest.raises(ServeError, match="vLLM is not installed beside its interpreter"):
        vllm_engine(Path(sys.executable))


def test_the_stage_needs_a_model(tmp_path: Path) -> None:
    with pytest.raises((InputError, ServeError)):
        benchmark(BenchmarkSection(model_name="a", serving=Serving(), engine_python=Path(sys.executable)), {}, tmp_path)
