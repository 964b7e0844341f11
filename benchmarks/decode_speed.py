"""How fast models decode under the engine, side by side: a student against its teacher on the same prompts.

All models are served at once and loaded one at a time, in turn (A B A B), so that a machine that grows slower slows
both. The first folder is the one the others are compared with. Medians over the rounds; the last line is JSON.

    .venv/bin/python -m benchmarks.decode_speed TEACHER STUDENT [STUDENT ...] [--rounds 3] [--streams 1]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from serving.benchmark import describe_device, warm_up
from serving.engine import contention, vllm_engine
from serving.engine_metrics import read_counters
from serving.load import Cell, LoadGenerator, Slo, load_point
from serving.server import Server, ServerSettings

SLO = Slo(10_000, 400)
WORKLOAD = ("input_tokens", "output_tokens", "streams", "requests", "rounds")


def main() -> None:
    """Serve, measure in turn, print one line a model and round, then the JSON."""
    told = arguments()
    engine = vllm_engine(told.engine_python)
    measured: dict[str, list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="decode-speed-")))
        generator = stack.enter_context(LoadGenerator(engine, scratch / "load.log"))
        servers = []
        for number, folder in enumerate(told.models):
            longest = told.input_tokens + told.output_tokens
            settings = ServerSettings(f"{number}-{folder.name}", longest + 16, scratch / f"engine-{number}.log")
            servers.append(stack.enter_context(Server(folder, engine, settings)))
            warm_up(servers[-1], told.input_tokens)
        for turn in range(told.rounds):
            for server in servers:
                cell = Cell(
                    "concurrency", told.streams, told.requests, told.input_tokens, told.output_tokens, seed=1_000 + turn
                )
                row = one_round(generator, server, cell, scratch / "cell.json")
                measured.setdefault(server.settings.name, []).append(row)
                print(f"round {turn + 1}  {server.settings.name:<24}  {shown(row)}", flush=True)
    summary = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in measured.items()
    }
    first = next(iter(summary))
    result: dict[str, Any] = {
        "device": describe_device(engine),
        "engine": engine.version,
        "dtype": engine.dtype,
        "workload": {name: getattr(told, name) for name in WORKLOAD},
        "medians": summary,
        "against": first,
        "output_tokens_per_second_ratio": {
            name: round(row["output_tokens_per_second"] / summary[first]["output_tokens_per_second"], 3)
            for name, row in summary.items()
        },
        "tpot_ratio": {
            name: round(summary[first]["tpot_ms_p50"] / row["tpot_ms_p50"], 3) for name, row in summary.items()
        },
        "contention": contention(),
    }
    print(json.dumps(result))


def one_round(generator: LoadGenerator, server: Server, cell: Cell, result: Path) -> dict[str, float]:
    """One cell's figures; the same seed gives every model the same prompts."""
    before = read_counters(server.text("/metrics"))
    raw = generator.run(server, cell, SLO, result)
    point = load_point(cell, raw, read_counters(server.text("/metrics")).since(before), {})
    return {
        "output_tokens_per_second": point.output_tokens_per_second,
        "tpot_ms_p50": point.tpot_ms["p50"],
        "ttft_ms_p50": point.ttft_ms["p50"],
    }


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """Each figure's median over the rounds."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def shown(row: dict[str, float]) -> str:
    """Figures on one line."""
    return "  ".join(f"{key} {value:8.1f}" for key, value in row.items())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="model folders, the one compared with first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--requests", type=int, default=4, help="requests a round")
    parser.add_argument("--input-tokens", type=int, default=128)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--engine-python", type=Path, default=Path(".venv-vllm/bin/python"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
