"""What a command takes: CPU seconds and peak memory of its whole process tree, start-up among them.

CPU seconds are the larger of two figures, as each can miss some: what the system adds up over processes that their
parents waited for (Ray's does not wait for its workers), and the last sample of every process seen (no short ones).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

EVERY_SECONDS = 0.05


@dataclass(frozen=True)
class Taken:
    """``peak_mib``: resident memory, summed over the processes, the highest of samples taken every 50 ms."""

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float

    def as_json(self) -> dict[str, float]:
        """Rounded."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def run(command: Sequence[str | Path], folder: Path | None = None, **environment: str) -> Taken:
    """Run a command to its end; raises SystemExit with its last lines where it fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, cwd=folder,
    )  # fmt: skip
    peak, last = [0.0], dict[int, float]()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, last), daemon=True)
    watcher.start()
    said, _ = process.communicate()
    wall = time.perf_counter() - start
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}: failed\n{said[-4_000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(max(cpu, sum(last.values())), wall, peak[0])


def _watch(pid: int, peak: list[float], last: dict[int, float]) -> None:
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            family = [root, *root.children(recursive=True)]
            peak[0] = max(peak[0], sum(map(_resident, family)) / 2**20)
            last.update({one.pid: used for one in family if (used := _processor(one))})
            time.sleep(EVERY_SECONDS)
    except psutil.NoSuchProcess:
        return


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _processor(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:
        return 0.0
