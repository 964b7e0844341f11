"""A ledger of a million events: its monthly report, its FOCUS export, and the CPU of one beat.

Fills an empty ledger with leases spread over a year (beats, closes, some failed, some killed, price changes), then
takes the median of several runs of each: wall seconds, this process's CPU seconds, and the seconds for which it was
ready to run and another process had the core (the kernel's run delay: what of the wall time is the machine's load).
``command`` is ``stillroom ledger spend`` of a month as a user types it, imports included. The last line is JSON.

    .venv/bin/python -m benchmarks.ledger_scale --events 1000000 [--leases 25000] [--database postgresql]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from flows.settings import CHECKOUT
from ledger import Ledger, processes
from ledger.budgets import budget_states, set_budget
from ledger.focus import focus_rows
from ledger.schema import build, lease, lease_event
from ledger.spend import spend
from tests.ledger.postgres import start_or_skip

YEAR_START = datetime(2025, 1, 1, tzinfo=UTC)
VERTICALS = ("finance", "real_estate", "corporate_intelligence")
STAGES = ("curate", "cpt", "sft", "dpo", "capture", "student:student-7b", "serve:student-7b")
DEVICES = ("H100-SXM", "A100-80GB-SXM", "L40S", "cpu")
ROWS_A_STATEMENT = 5_000
BUILD_LEASES = 25
BEATS_MEASURED = 200


def main() -> None:
    """Fill, measure, print."""
    told = arguments()
    with opened(told.database) as (ledger, url, folder):
        found = measure(ledger, told.events, told.leases, told.runs) | command_seconds(url, folder, told.runs)
    print(json.dumps(found | {"database": told.database}))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--leases", type=int, default=25_000, help="how many leases share the events")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    return parser.parse_args()


@contextmanager
def opened(database: str) -> Iterator[tuple[Ledger, str, Path]]:
    """An empty ledger, its URL and a folder, all of which go with the block."""
    with tempfile.TemporaryDirectory(prefix="ledger-scale-") as folder:
        if database == "sqlite":
            url = f"sqlite:///{folder}/ledger.db"
            yield Ledger.open(url), url, Path(folder)
            return
        server = start_or_skip()
        try:
            url = server.new_database()
            yield Ledger.open(url, spool=Path(folder) / "spool"), url, Path(folder)
        finally:
            server.stop()


def measure(ledger: Ledger, events: int, leases: int, runs: int = 5) -> dict[str, Any]:
    """Fill the ledger and time it: medians; the CPU is this process's, not a server's."""
    started = time.perf_counter()
    written = fill(ledger, events, leases)
    found: dict[str, Any] = {"events": written, "leases": leases, "fill_s": time.perf_counter() - started}
    march = (datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
    set_budget(ledger, "everything", 1_000_000_000, period="month")
    for name, work in {
        "year_by_month_and_vertical": lambda: spend(ledger, ("month", "vertical")),
        "one_month_by_stage_and_device": lambda: spend(ledger, ("stage", "device"), *march),
        "one_month_in_focus": lambda: focus_rows(ledger, *march),
        "budget": lambda: budget_states(ledger, march[0]),
    }.items():
        found |= {f"{name}_{kind}": value for kind, value in _medians(work, runs).items()}
    found["beat_cpu_ms"] = beat_cpu_ms(ledger)
    return found


def fill(ledger: Ledger, events: int, leases: int) -> int:
    """Insert the leases and their events; returns how many events."""
    beats = max(0, events // leases - 1)
    prices = {name: [(YEAR_START, 3.0, "list"), (datetime(2025, 6, 15, tzinfo=UTC), 2.5, "list")] for name in DEVICES}
    ledger.load_prices(prices)
    with ledger.writing() as connection:
        builds = [_build(number) for number in range(leases // BUILD_LEASES + 1)]
        connection.execute(insert(build), builds)
    written = 0
    for first in range(0, leases, ROWS_A_STATEMENT):
        numbers = range(first, min(first + ROWS_A_STATEMENT, leases))
        with ledger.writing() as connection:
            connection.execute(insert(lease), [_lease(number, leases) for number in numbers])
    batch: list[dict[str, Any]] = []
    for number in range(leases):
        batch += _events(number, leases, beats)
        if len(batch) >= ROWS_A_STATEMENT or number == leases - 1:
            with ledger.writing() as connection:
                connection.execute(insert(lease_event), batch)
            written, batch = written + len(batch), []
    return written


def beat_cpu_ms(ledger: Ledger) -> float:
    """CPU milliseconds of this process for one beat, over many."""
    ledger.start_build("beating", "finance", "local", "r")
    held = ledger.hold("beating", "sft", "fp", DEVICES[0])
    ledger.beat(held.id)
    started = time.process_time()
    for _ in range(BEATS_MEASURED):
        ledger.beat(held.id)
    return 1000 * (time.process_time() - started) / BEATS_MEASURED


def _medians(work: Callable[[], object], runs: int) -> dict[str, float]:
    """Seconds of wall time (``s``), of CPU (``cpu_s``), and of waiting for a core (``delayed_s``)."""
    taken: list[tuple[float, float, float]] = []
    for _ in range(runs):
        before = time.perf_counter(), time.process_time(), _run_delay_seconds()
        work()
        after = time.perf_counter(), time.process_time(), _run_delay_seconds()
        taken.append((after[0] - before[0], after[1] - before[1], after[2] - before[2]))
    names = ("s", "cpu_s", "delayed_s")
    return {name: statistics.median(column) for name, column in zip(names, zip(*taken, strict=True), strict=True)}


def _run_delay_seconds() -> float:
    """How long this thread has been ready to run without a core, by the kernel's own count."""
    return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


def command_seconds(url: str, folder: Path, runs: int) -> dict[str, float]:
    """``stillroom ledger spend --month`` in a process of its own: wall and CPU seconds, medians."""
    words = ["-m", "flows.cli", "ledger", "spend", "--by", "stage,device", "--month", "2025-03", "--json"]
    env = os.environ | {"STILLROOM_HOME": str(folder), "STILLROOM_LEDGER_URL": url}
    wall, cpu = [], []
    for _ in range(runs):
        started, used = time.perf_counter(), _children_seconds()
        subprocess.run([sys.executable, *words], env=env, cwd=CHECKOUT, check=True, capture_output=True)
        wall.append(time.perf_counter() - started)
        cpu.append(_children_seconds() - used)
    return {"command_s": statistics.median(wall), "command_cpu_s": statistics.median(cpu)}


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _build(number: int) -> dict[str, Any]:
    vertical = VERTICALS[number % len(VERTICALS)]
    row = {"id": f"b{number}", "vertical": vertical, "scale": "local", "team": f"team-{number % 4}"}
    return row | {"recipe_fingerprint": "r", "started_at": YEAR_START}


def _lease(number: int, leases: int) -> dict[str, Any]:
    return {
        "id": f"l{number}", "build_id": f"b{number // BUILD_LEASES}", "stage": STAGES[number % len(STAGES)],
        "artifact_fingerprint": f"fp{number}", "attempt": 1, "device": DEVICES[number % len(DEVICES)],
        "device_count": 1 + number % 8, "host": "host", "boot_id": "boot", "supervisor_pid": 1,
        "supervisor_start_ticks": 1, "opened_at": _opened(number, leases), "opened_boot_seconds": 0.0,
        "share_numerator": 1, "share_denominator": 1,
    }  # fmt: skip


def _opened(number: int, leases: int) -> datetime:
    return YEAR_START + timedelta(seconds=number * 365 * 86_400 / leases)


def _events(number: int, leases: int, beats: int) -> Iterator[dict[str, Any]]:
    opened_at = _opened(number, leases)
    for beat in range(1, beats + 1):
        yield _event(number, "beat", opened_at + timedelta(seconds=15 * beat), None)
    ended_at = opened_at + timedelta(seconds=15 * beats + 7)
    kind, code = ("reconciled", None) if number % 50 == 0 else ("close", 1 if number % 20 == 0 else 0)
    yield _event(number, kind, ended_at, code)


def _event(number: int, kind: str, at: datetime, exit_code: int | None) -> dict[str, Any]:
    return {
        "idempotency_key": f"l{number}:{kind}:{at.timestamp()}", "kind": kind, "lease_id": f"l{number}", "at": at,
        "recorded_at": at, "exit_code": exit_code, "detail": {},
    }  # fmt: skip


if __name__ == "__main__":
    assert processes.visible(), "needs /proc"
    main()
