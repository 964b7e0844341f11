"""What the engine is on this machine: its environment, version, device and the flags that follow from them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import ServeError
from contracts.precision import cpu_multiplies_bf16

ENTRY = Path(__file__).parent / "engine_entry.py"
LEAST_CPU_CACHE_BYTES, MOST_CPU_CACHE_BYTES = 2**28, 2**30
MAX_LOGPROBS = 20
"""A request may ask for this many alternatives a token; unlimited ones jam the whole server."""


@dataclass(frozen=True)
class Engine:
    """A serving engine that can be started. ``program`` takes vLLM's command line (``serve MODEL --port ...``)."""

    program: tuple[str, ...]
    version: str
    device: str
    """``cpu``, or the accelerator's name as its driver says it."""
    dtype: str
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    device_count: int = 1
    sizes_cache: bool = False
    """Whether the key-value cache is given a size of ours; elsewhere the engine takes what the device has left."""

    def serve_command(self, model: Path, name: str, port: int, max_model_len: int, extra: tuple[str, ...]) -> list[str]:
        """The command that serves ``model`` as ``name`` on the loopback ``port``."""
        where = ("--host", "127.0.0.1", "--port", str(port))
        return [*self.program, "serve", str(model), *where, *self.serve_flags(model, name, max_model_len, extra)]

    def serve_flags(self, model: Path, name: str, max_model_len: int, extra: tuple[str, ...]) -> list[str]:
        """The flags that belong in a result: everything but where the model lies and where it is served."""
        return [
            *("--served-model-name", name),
            *("--dtype", self.dtype),
            *("--max-model-len", str(max_model_len)),
            *("--max-logprobs", str(MAX_LOGPROBS)),
            *(("--kv-cache-memory-bytes", str(cpu_cache_bytes(model))) if self.sizes_cache else ()),
            *self.flags,
            *extra,
        ]


def vllm_engine(python: Path, extra_flags: tuple[str, ...] = ()) -> Engine:
    """vLLM in the environment of the interpreter ``python``; raises ServeError where it is not installed there.

    ``extra_flags`` say how many accelerators it will use.
    """
    about = _about(python)
    gpus = [] if about["distribution"] != "vllm" else nvidia_gpus()
    environment = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_SERVER_DEV_MODE": "0",
    }
    program = (str(_absolute(python)), "-P", str(ENTRY))
    version = f"{about['version']} ({about['distribution']})"
    if gpus:
        return Engine(program, version, gpus[0], "auto", (), environment, devices_used(extra_flags))
    flags, more = cpu_start(processors(), extra_flags)
    return Engine(
        program,
        version,
        "cpu",
        "bfloat16" if cpu_multiplies_bf16() else "float32",
        flags,
        environment | more,
        sizes_cache=True,
    )


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_start(processors: int, extra_flags: tuple[str, ...] = ()) -> tuple[tuple[str, ...], dict[str, str]]:
    """Flags and environment of a CPU engine; on one or two processors it starts in one process less, and forked.

    vLLM gives the model's threads a process of their own, started anew so that it can bind them to cores, and leaves
    one core to the scheduler: of two processors one thread is left, and nothing is to be bound. There the model runs
    on that one thread in the scheduler's process, and that is forked: the engine is imported once, not three times.
    The model computes on one thread either way; the flags in the result say which way it was.
    """
    eager = ("--enforce-eager",)
    if processors > 2 or devices_used(extra_flags) > 1:
        return eager, {}
    one = {"OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_WORKER_MULTIPROC_METHOD": "fork"}
    return (*eager, "--distributed-executor-backend", "uni"), one


def cpu_cache_bytes(model: Path) -> int:
    """The key-value cache on a CPU: as much as the weights, from 256 MiB (11,000 tokens of a 135M model) to 1 GiB.

    Its pages are touched at start, which takes a virtual machine some 3 s a GiB.
    """
    weights = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    return min(max(weights, LEAST_CPU_CACHE_BYTES), MOST_CPU_CACHE_BYTES)


def devices_used(flags: tuple[str, ...]) -> int:
    """Accelerators the engine takes: one, or as its flags spread it; the others of the machine stay free."""
    used = 1
    words = [word for flag in flags for word in flag.split("=", 1)]
    for name in ("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"):
        if name in words[:-1] and words[words.index(name) + 1].isdigit():
            used *= int(words[words.index(name) + 1])
    return used


def nvidia_gpus() -> list[str]:
    """Names of the accelerators, empty without any."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        seen = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return []
    return [line.strip() for line in seen.stdout.splitlines() if line.strip()] if seen.returncode == 0 else []


def contention() -> dict[str, float]:
    """How busy the machine is: load average, and the share of time (percent) that work waited for a processor."""
    sample = {"load_average_1min": round(os.getloadavg()[0], 2), "processors": float(os.cpu_count() or 1)}
    try:
        some = Path("/proc/pressure/cpu").read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return sample
    for part in some.split():
        if part.startswith("avg10="):
            sample["cpu_pressure_some_avg10"] = float(part.removeprefix("avg10="))
    return sample


def _about(python: Path) -> dict[str, str]:
    hint = "make install makes the engine's environment, .venv-vllm"
    if not python.is_file():
        raise ServeError("serving engine", "its interpreter is missing", got=python, hint=hint)
    asked = subprocess.run(
        [str(_absolute(python)), "-P", str(ENTRY), "about"], capture_output=True, text=True, timeout=60, check=False
    )
    if asked.returncode:
        last = (asked.stderr.strip().splitlines() or [""])[-1]
        raise ServeError("serving engine", "vLLM is not installed beside its interpreter", got=last, hint=hint)
    return dict(json.loads(asked.stdout.splitlines()[-1]))


def _absolute(python: Path) -> Path:
    # Not resolved: an environment's interpreter is a link, and following it would leave the environment.
    return Path.cwd() / python
