"""SIGKILL at random moments of real builds: what is billed afterwards against what was really held.

Each round starts a build of one real stage in a process of its own and kills, at a moment drawn anew, the flow, the
stage's process, the ledger's connection or PostgreSQL itself (which is started again). Then the reconciler runs.
Checked over all rounds: billed >= the stages' own lives; billed <= what the flows can have held + kills x TTL; no lease
left open, no orphan. The last line is JSON.

    .venv/bin/python -m benchmarks.ledger_kills --kills 100 [--database postgresql]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from contracts.errors import StillroomError
from flows.build import open_ledger, opened
from flows.reconciler import reconcile_once
from flows.settings import CHECKOUT, Settings
from flows.step import run_step
from ledger import Ledger, build_totals
from ledger.leases import read_children, read_spans
from ledger.processes import start_ticks
from ledger.schema import lease
from recipes.load import load
from tests.flows.tiny_stage import TinySection
from tests.ledger.postgres import Server, start_or_skip

TTL_SECONDS = 2.0
STAGE_SECONDS = 3.0
LONGEST_WAIT_SECONDS = 60.0
MODULE = "benchmarks.ledger_kills"


@dataclass
class Found:
    """What the rounds gave; seconds are summed over them."""

    kills: int = 0
    by_victim: Counter[str] = field(default_factory=Counter)
    leases: int = 0
    stage_seconds: float = 0.0
    """The stages' processes lived so long: what was certainly held."""
    held_at_most_seconds: float = 0.0
    """From the moment before a flow asked for its lease to the flow's end: no more can have been held."""
    billed_seconds: float = 0.0
    open_leases: int = 0
    orphans: int = 0
    lost_builds: int = 0
    """Builds whose lease the ledger does not know though their stage ran."""

    @property
    def holds(self) -> bool:
        """Whether nothing was lost and nothing invented."""
        most = self.held_at_most_seconds + self.kills * TTL_SECONDS
        kept = self.stage_seconds <= self.billed_seconds <= most
        return kept and not (self.open_leases or self.orphans or self.lost_builds)


def rounds(kills: int, folder: Path, server: Server | None, seed: int = 4) -> Found:
    """Kill so often; ``server`` None is SQLite."""
    url = server.new_database() if server else f"sqlite:///{folder}/ledger.db"
    settings = Settings(home=folder / "home", ledger_url=url, heartbeat_seconds=0.4, lease_ttl_seconds=TTL_SECONDS)
    ledger, found, chance = open_ledger(settings), Found(), random.Random(seed)
    victims = ["flow", "stage", "connection", "server"] if server else ["flow", "stage"]
    for number in range(kills):
        _round(f"b{number}", victims[number % len(victims)], settings, ledger, server, chance, found)
    ledger.replay()
    found.open_leases = len(ledger.open_leases())
    found.billed_seconds = sum(build_totals(ledger, f"b{number}").device_seconds for number in _known(ledger, kills))
    return found


def _round(
    build: str,
    victim: str,
    settings: Settings,
    ledger: Ledger,
    server: Server | None,
    chance: random.Random,
    found: Found,
) -> None:
    started = time.time()
    flow = subprocess.Popen(
        [sys.executable, "-m", MODULE, "--build", build], cwd=CHECKOUT, env=os.environ | _environment(settings),
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    stage = _stage_of(settings, flow)
    born = time.monotonic()
    time.sleep(chance.random() * STAGE_SECONDS * 0.9)
    if stage is not None and start_ticks(stage) is None:
        stage = None  # it had ended before its moment came
    _kill(victim, flow, stage, settings, server)
    while stage is not None and start_ticks(stage) is not None and time.monotonic() < born + LONGEST_WAIT_SECONDS:
        time.sleep(0.01)
    found.stage_seconds += time.monotonic() - born if stage is not None else 0.0
    if victim == "server" and server is not None:
        server.start()
    flow.wait(LONGEST_WAIT_SECONDS)
    found.held_at_most_seconds += _held_at_most(settings, started)
    found.kills += 1
    found.by_victim[victim] += 1
    reconcile_once(settings)
    with ledger.reading() as connection:
        spans = read_spans(connection, lease.c.build_id == build)
        children = [child for span in spans for child in read_children(connection, span.lease.id)]
    found.leases += len(spans)
    found.lost_builds += not spans and stage is not None
    found.orphans += sum(start_ticks(pid) == ticks for pid, ticks in children)


def _kill(
    victim: str, flow: subprocess.Popen[bytes], stage: int | None, settings: Settings, server: Server | None
) -> None:
    if victim == "stage" and stage is not None:
        os.kill(stage, signal.SIGKILL)
    elif victim == "connection" and server is not None:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stillroom-ledger'"
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(end)
    elif victim == "server" and server is not None:
        server.kill()
    else:
        flow.kill()


def _stage_of(settings: Settings, flow: subprocess.Popen[bytes]) -> int | None:
    """The pid of the stage's process once it runs; None where the flow ends before."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < deadline and flow.poll() is None:
        for file in settings.home.glob("work/*/pid"):
            pid = int(file.read_text() or 0)
            if pid and start_ticks(pid) is not None:
                file.unlink()
                return pid
        time.sleep(0.01)
    return None


def _held_at_most(settings: Settings, started: float) -> float:
    """Since the round's flow locked its work folder, before it asked for its lease; 0 where it never came so far."""
    asked = [lock.stat().st_mtime for lock in settings.home.glob("work/*.lock")]
    return time.time() - max([one for one in asked if one >= started], default=time.time())


def _known(ledger: Ledger, kills: int) -> list[int]:
    with ledger.reading() as connection:
        builds = {span.lease.build_id for span in read_spans(connection)}
    return [number for number in range(kills) if f"b{number}" in builds]


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "STILLROOM_HOME": str(settings.home), "STILLROOM_LEDGER_URL": settings.ledger_url,
        "STILLROOM_HEARTBEAT_SECONDS": str(settings.heartbeat_seconds),
        "STILLROOM_LEASE_TTL_SECONDS": str(settings.lease_ttl_seconds), "PYTHONPATH": str(CHECKOUT),
    }  # fmt: skip


def _one_build(name: str) -> None:
    """What the victim runs: a build of one stage, forced anew, through the choke point."""
    try:
        with opened(name, load("finance"), Settings(), None, "", "tiny") as build:
            section = TinySection(text=name, seconds=STAGE_SECONDS)
            run_step(build, "tiny", "tests.flows.tiny_stage", section, {}, True)
    except StillroomError as error:
        raise SystemExit(error.exit_code) from error


def main() -> None:
    """Run the rounds, print what they gave."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--build", default="", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.build:
        _one_build(told.build)
        return
    server = start_or_skip() if told.database == "postgresql" else None
    try:
        with tempfile.TemporaryDirectory(prefix="ledger-kills-") as folder:
            found = rounds(told.kills, Path(folder), server)
    finally:
        if server is not None:
            server.stop()
    print(json.dumps(vars(found) | {"database": told.database, "holds": found.holds}))
    sys.exit(0 if found.holds else 1)


if __name__ == "__main__":
    main()
