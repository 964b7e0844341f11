"""Load on a served model: vLLM's own load generator, one process for all cells, checked after each.

The generator exits 0 when requests failed and scores a stream cut after one token as a good one: `load_point` refuses
both.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from contracts.errors import ServeError
from contracts.serving_report import LoadPoint
from serving.engine import Engine
from serving.engine_metrics import Counters
from serving.knee import request_share
from serving.server import Server

REPLY = "@cell "
"""As in ``engine_entry.py``, which runs in another environment."""
IMPORT_TIMEOUT_SECONDS = 600.0
CELL_TIMEOUT_SECONDS = 3_600.0
PERCENTILES = ("50", "90", "99")
MAX_PREFIX_CACHE_HIT_SHARE = 0.05
"""Above it a cell measured the cache: warm ones have flattered published runs by 86 %. Not zero: of a thousand random
prompts two may begin with the same token, and the generator's go on from there alike."""
BULKY = ("generated_texts", "errors")


@dataclass(frozen=True)
class Cell:
    """One load: so many streams at once, or so many requests a second (Poisson), on prompts nobody has seen."""

    kind: Literal["concurrency", "rate"]
    load: float
    requests: int
    input_tokens: int
    output_tokens: int
    seed: int
    run: int = 1
    """Which repeat of this load, from 1; the warm-up is 0."""

    @property
    def name(self) -> str:
        """For files and messages."""
        return f"{self.kind}-{self.load:g}-run{self.run}"


@dataclass(frozen=True)
class Slo:
    """A request is good when both hold; milliseconds."""

    ttft_ms: float
    tpot_ms: float

    def __str__(self) -> str:
        return f"time to first token <= {self.ttft_ms:g} ms and time per output token <= {self.tpot_ms:g} ms"


class LoadGenerator:
    """vLLM's load generator in a process of its own; ``with`` ends it. Its import is slow: start it early."""

    def __init__(self, engine: Engine, log: Path) -> None:
        self._engine, self._log = engine, log
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._ready = False

    def __enter__(self) -> LoadGenerator:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._engine.program, "cells"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        threading.Thread(target=self._read, daemon=True, name="load-generator").start()
        self._send({"environment": self._engine.environment})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    def run(self, server: Server, cell: Cell, slo: Slo, result: Path) -> dict[str, Any]:
        """Run one cell; returns what the generator wrote to ``result``. Raises ServeError when it failed."""
        if not self._ready:
            self._ready = bool(self._reply(IMPORT_TIMEOUT_SECONDS).get("ready"))
        order = {"arguments": arguments(server, cell, slo), "result": str(result.absolute())}
        self._send(order | {"api_key": server.api_key})
        reply = self._reply(CELL_TIMEOUT_SECONDS)
        if "error" in reply:
            raise ServeError(f"load {cell.name}", "the load generator failed", got=reply["error"], hint=self._tail())
        raw = json.loads(result.read_text(encoding="utf-8"))
        # Of the errors one is enough: all requests of a cell tend to fail alike.
        first_error = next(filter(None, raw.get("errors", [])), "")[-300:]
        return {name: value for name, value in raw.items() if name not in BULKY} | {"first_error": first_error}

    def _send(self, order: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ServeError("load generator", "has ended", hint=self._tail()) from error

    def _reply(self, timeout_seconds: float) -> dict[str, Any]:
        try:
            reply = self._replies.get(timeout=timeout_seconds)
        except queue.Empty:
            raise ServeError("load generator", f"said nothing for {timeout_seconds:g} s", hint=self._tail()) from None
        if reply is None:
            raise ServeError("load generator", "has ended", hint=self._tail())
        return reply

    def _read(self) -> None:
        process = self._process
        assert process is not None and process.stdout is not None
        for line in process.stdout:
            if line.startswith(REPLY):
                self._replies.put(json.loads(line.removeprefix(REPLY)))
        self._replies.put(None)

    def _tail(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return "its last lines:\n" + "\n".join(text.splitlines()[-15:])


def arguments(server: Server, cell: Cell, slo: Slo) -> list[str]:
    """A cell as arguments of ``vllm bench serve``: random prompts, forced output length, greedy."""
    rate, streams = ("inf", str(int(cell.load))) if cell.kind == "concurrency" else (f"{cell.load:g}", "")
    return [
        *("--backend", "openai", "--base-url", server.root_url, "--endpoint", "/v1/completions"),
        *("--model", server.settings.name, "--served-model-name", server.settings.name),
        *("--tokenizer", str(server.model.absolute())),
        *("--dataset-name", "random", "--seed", str(cell.seed)),
        *("--input-len", str(cell.input_tokens), "--output-len", str(cell.output_tokens), "--ignore-eos"),
        *("--num-prompts", str(cell.requests), "--request-rate", rate),
        *(("--max-concurrency", streams) if streams else ()),
        *("--temperature", "0"),
        *("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", ",".join(PERCENTILES)),
        *("--goodput", f"ttft:{slo.ttft_ms:g}", f"tpot:{slo.tpot_ms:g}"),
        *("--save-detailed", "--disable-tqdm"),
    ]


def load_point(cell: Cell, raw: dict[str, Any], counted: Counters, contention: dict[str, float]) -> LoadPoint:
    """The generator's result as the house's record. Raises ServeError when the cell measured something else."""
    _require_whole(cell, raw, counted)
    goodput = raw.get("request_goodput")
    return LoadPoint(
        kind=cell.kind,
        load=cell.load,
        completed=raw["completed"],
        failed=raw["failed"],
        output_tokens=raw["total_output_tokens"],
        request_per_second=raw["request_throughput"],
        output_tokens_per_second=raw["output_throughput"],
        total_tokens_per_second=raw["total_token_throughput"],
        ttft_ms=_percentiles(raw, "ttft"),
        tpot_ms=_percentiles(raw, "tpot"),
        itl_ms=_percentiles(raw, "itl"),
        e2e_ms=_percentiles(raw, "e2el"),
        goodput_request_per_second=None if goodput is None else float(goodput),
        # The generator counts the good requests and tells their number as a rate only.
        within_slo=None if goodput is None else request_share(round(goodput * raw["duration"]), raw["completed"]),
        prefix_cache_hit_share=counted.prefix_cache_hit_share,
        preemptions=int(counted.preemptions),
        queue_ms_mean=counted.mean_queue_ms,
        contention=contention,
    )


def _percentiles(raw: dict[str, Any], metric: str) -> dict[str, float]:
    return {f"p{percentile}": float(raw[f"p{percentile}_{metric}_ms"]) for percentile in PERCENTILES}


def _require_whole(cell: Cell, raw: dict[str, Any], counted: Counters) -> None:
    subject = f"load {cell.name}"
    if raw["failed"] or raw["completed"] != cell.requests:
        seen = f"{raw['completed']} completed, {raw['failed']} failed"
        hint = raw.get("first_error") or "see the engine's log"
        raise ServeError(subject, f"{cell.requests} requests must complete", got=seen, hint=hint)
    cut = [length for length in raw["output_lens"] if length != cell.output_tokens]
    if cut:
        hint = "streams were cut: max_model_len must hold input and output"
        raise ServeError(subject, f"every answer must have {cell.output_tokens} tokens", got=cut[:5], hint=hint)
    share = counted.prefix_cache_hit_share
    if share is not None and share > MAX_PREFIX_CACHE_HIT_SHARE:
        hint = "the engine has seen these prompts before: every cell needs a seed of its own"
        raise ServeError(subject, "measured the prefix cache", got=f"{share:.0%} of prompt tokens", hint=hint)
