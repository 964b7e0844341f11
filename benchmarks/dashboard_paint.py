"""First contentful paint of the dashboard in a real Chromium, over a ledger of a million events.

Fills a ledger as benchmarks.ledger_scale does, starts ``stillroom dashboard`` on it as a process of its own, and opens
its pages: the first view after the server's start, the first after a booking (everything is read again), and the median
of further ones. Milliseconds from the start of the navigation. The last line is JSON.

    .venv/bin/python -m benchmarks.dashboard_paint --events 1000000 [--leases 25000] [--database postgresql]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.ledger_scale import fill
from ledger import Ledger
from ledger.budgets import set_budget
from tests.chromium import chromium, missing
from tests.ledger.postgres import start_or_skip

CHECKOUT = Path(__file__).parent.parent
PAGES = ("", "spend", "budgets", "attribution", "running", "spend?vertical=finance&from=2025-03-01&to=2025-03-31")
PAINT = "return (performance.getEntriesByName('first-contentful-paint')[0] || {startTime: null}).startTime"


def main() -> None:
    """Fill, serve, open, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--leases", type=int, default=25_000, help="how many leases share the events")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    told = parser.parse_args()
    if missing():
        raise SystemExit("no chromium on this machine")
    with tempfile.TemporaryDirectory(prefix="dashboard-paint-") as folder, ledger_url(told.database, folder) as url:
        ledger = Ledger.open(url, spool=Path(folder) / "spool")
        events = fill(ledger, told.events, told.leases)
        set_budget(ledger, "everything", 1_000_000_000)
        found: dict[str, Any] = {"events": events, "leases": told.leases, "database": told.database}
        with chromium(Path(folder) / "profile") as driven:
            for page in PAGES:
                with served(folder, url) as address:
                    found[f"/{page}"] = measure(driven, f"{address}{page}", ledger, told.runs)
                    print(f"/{page}: {found[f'/{page}']}", file=sys.stderr)
    print(json.dumps(found))


def measure(driven: Any, address: str, ledger: Ledger, runs: int) -> dict[str, float]:
    """Milliseconds to the first contentful paint."""
    first = paint(driven, address)
    ledger.start_build(f"booked-{time.time_ns()}", "finance", "local", "r")
    booked = paint(driven, address)
    again = statistics.median(paint(driven, address) for _ in range(runs))
    return {"first_ms": round(first), "after_a_booking_ms": round(booked), "again_ms": round(again)}


def paint(driven: Any, address: str) -> float:
    """One view."""
    driven.get(address)
    deadline = time.monotonic() + 30
    while (at := driven.execute_script(PAINT)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return float(at)


@contextmanager
def ledger_url(database: str, folder: str) -> Iterator[str]:
    """Where the ledger is; a PostgreSQL of its own goes with the block."""
    if database == "sqlite":
        yield f"sqlite:///{folder}/ledger.sqlite3"
        return
    server = start_or_skip()
    try:
        yield server.new_database()
    finally:
        server.stop()


@contextmanager
def served(folder: str, url: str) -> Iterator[str]:
    """``stillroom dashboard`` as a user starts it; its address."""
    told = os.environ | {"STILLROOM_HOME": folder, "STILLROOM_LEDGER_URL": url}
    words = [sys.executable, "-m", "flows.cli", "dashboard", "--port", "0"]
    server = subprocess.Popen(words, cwd=CHECKOUT, env=told, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
