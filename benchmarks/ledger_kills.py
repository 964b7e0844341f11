"""SIGKILL at random moments of real builds: what is billed afterwards beside what was really held.

Each round starts a worker with its flow on a chain of real stages (``ledger_kills_chain``) and kills one of six at a
moment drawn anew: the **flow** at any moment of its life; the **worker** above it; the **supervisor**, which is the
flow's process while it holds a lease and beats; the **trainer**, the process of the stage that trains; the ledger's
database **connection**; the **server**, PostgreSQL itself, which is started again up to two seconds later (the last two
with ``--database postgresql`` only). Then the reconciler runs. The next round goes on with the chain that was broken
off, or begins a new one. What was really held is told by ``ledger_kills_observer``, which knows the kernel and no
ledger. The worker is a process that starts its flow as Prefect's does; Prefect's own is killed in
``tests/e2e/test_kills.py``.

A portion holds where: sum billed >= sum held, as far as the observer saw it; sum billed <= sum held + kills x TTL;
every stage process's life lies within a lease of its artifact; no lease is open and no stage process alive after the
reconciler; no row is corrupt and no published artifact broken. Portions can be gathered in a file, and are added up:

    .venv/bin/python -m benchmarks.ledger_kills --kills 10 --seed 1 --database postgresql --append kills.jsonl
    .venv/bin/python -m benchmarks.ledger_kills --sum kills.jsonl

The last line is JSON.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.ledger_kills_chain import Attempt, start_worker
from benchmarks.ledger_kills_checks import Lives, broken_artifacts, corrupt_rows, uncovered_seconds
from flows.priced_ledger import open_ledger
from flows.reconciler import reconcile_once
from flows.settings import CHECKOUT, Settings
from ledger.leases import read_spans
from ledger.processes import start_ticks
from tests.ledger.postgres import Server, start_or_skip

TTL_SECONDS = 2.0
BEAT_SECONDS = 0.4
PATIENCE_SECONDS = 180.0
LONGEST_OUTAGE_SECONDS = 2.0
ROUNDING_SECONDS = 0.001
"""The ledger keeps microseconds, the lease's clock a float."""
LATEST_SECONDS = {"real": 12.0, "tiny": 1.8}
"""A kill comes up to so long after its victim's beginning."""
VICTIMS = ("flow", "worker", "supervisor", "trainer")
OF_POSTGRESQL = ("connection", "server")
TRAINS = {"real": "sft", "tiny": "tiny"}
SUMMED = (
    "kills", "leases", "lives", "held_at_least_seconds", "held_at_most_seconds", "billed_seconds", "uncovered_seconds",
    "open_leases", "orphans", "corrupt_rows", "broken_artifacts", "wall_seconds",
)  # fmt: skip


@dataclass
class Portion:
    """What so many kills over one ledger gave. Seconds are sums of device-seconds unless named otherwise."""

    database: str
    chain: str
    seed: int
    kills: int = 0
    by_victim: Counter[str] = field(default_factory=Counter)
    by_stage: Counter[str] = field(default_factory=Counter)
    """The stage that ran at the moment of the kill; ``between`` where none did."""
    leases: int = 0
    lives: int = 0
    held_at_least_seconds: float = 0.0
    """The stage processes' lives, as far as the observer saw them alive."""
    held_at_most_seconds: float = 0.0
    """The same up to the moments at which it saw them dead."""
    billed_seconds: float = 0.0
    uncovered_seconds: float = 0.0
    """Of the lives, what lies in no lease."""
    open_leases: int = 0
    orphans: int = 0
    corrupt_rows: int = 0
    broken_artifacts: int = 0
    wall_seconds: float = 0.0
    longest_gap_seconds: float = 0.0
    """The longest time for which the observer itself was not run: beyond the TTL the machine stood still."""


def holds(told: dict[str, Any]) -> bool:
    """Whether a portion, or a sum of portions, shows what it must."""
    least, most = told["held_at_least_seconds"], told["held_at_most_seconds"] + told["kills"] * TTL_SECONDS
    nothing = ("open_leases", "orphans", "corrupt_rows", "broken_artifacts")
    kept = least <= told["billed_seconds"] <= most and told["uncovered_seconds"] < ROUNDING_SECONDS
    return kept and not any(told[one] for one in nothing)


class Round:
    """The kills of one portion, one after the other, over one ledger."""

    def __init__(self, folder: Path, server: Server | None, seed: int, chain: str) -> None:
        url = server.new_database() if server else f"sqlite:///{folder}/ledger.db"
        self.server, self.chance = server, random.Random(seed)
        self.settings = Settings(
            home=folder / "home", ledger_url=url, heartbeat_seconds=BEAT_SECONDS, lease_ttl_seconds=TTL_SECONDS
        )
        self.ledger = open_ledger(self.settings)
        self.found = Portion("postgresql" if server else "sqlite", chain, seed)
        self.lives = Lives(folder / "lives.jsonl")
        self.chain_number = 0

    def kill_one(self) -> str:
        """The victim. Rounds until one kill has met its victim: a chain may end before the moment that was drawn."""
        victims = VICTIMS + (OF_POSTGRESQL if self.server else ())
        victim = victims[self.found.kills % len(victims)]
        while not self._round(victim):
            self.chain_number += 1
        self.found.kills += 1
        self.found.by_victim[victim] += 1
        return victim

    def _round(self, victim: str) -> bool:
        build = f"b{self.found.kills}-{self.chain_number}"
        attempt = Attempt(self.settings, self.found.chain, self.chain_number, build)
        worker, flow = start_worker(attempt)
        ticks = start_ticks(flow)
        self._await(victim, flow, ticks)
        until = time.monotonic() + self.chance.random() * LATEST_SECONDS[self.found.chain]
        _until(lambda: time.monotonic() >= until or not _runs(flow, ticks))
        self._await(victim, flow, ticks)
        stages = [one.stage for one in self.lives.alive()]
        met = _runs(flow, ticks) and self._there(victim)
        if met:
            self.found.by_stage[stages[0] if stages else "between"] += 1
            self._kill(victim, worker.pid or 0, flow)
        _until(lambda: not _runs(flow, ticks) and not self.lives.alive())
        worker.join()
        reconcile_once(self.settings)
        self.found.open_leases += len(self.ledger.open_leases())
        self.found.orphans += len(self.lives.alive())
        return met

    def _there(self, victim: str) -> bool:
        """A supervisor only while a stage runs, a trainer only while the stage that trains does."""
        stages = [one.stage for one in self.lives.alive()]
        match victim:
            case "supervisor":
                return bool(stages)
            case "trainer":
                return TRAINS[self.found.chain] in stages
            case _:
                return True

    def _await(self, victim: str, flow: int, ticks: int | None) -> None:
        _until(lambda: self._there(victim) or not _runs(flow, ticks))

    def _kill(self, victim: str, worker: int, flow: int) -> None:
        match victim:
            case "worker":
                os.kill(worker, signal.SIGKILL)
            case "trainer":
                for one in self.lives.alive()[:1]:
                    os.kill(one.pid, signal.SIGKILL)
            case "connection" if self.server:
                end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
                with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as connection:
                    connection.execute(end, ("stillroom-ledger",))
            case "server" if self.server:
                self.server.kill()
                time.sleep(self.chance.random() * LONGEST_OUTAGE_SECONDS)
                self.server.start()
            case _:
                os.kill(flow, signal.SIGKILL)

    def result(self) -> Portion:
        """The portion, with all that is checked at its end."""
        found, lives = self.found, self.lives.read()
        self.ledger.replay()
        with self.ledger.reading() as connection:
            spans = read_spans(connection)
        found.leases, found.lives = len(spans), len(lives)
        found.held_at_least_seconds = sum(one.seconds_at_least for one in lives)
        found.held_at_most_seconds = sum(one.seconds_at_most for one in lives)
        found.billed_seconds = sum(span.billed_device_seconds for span in spans)
        found.uncovered_seconds = uncovered_seconds(lives, spans)
        rows, artifacts = corrupt_rows(self.ledger), broken_artifacts(self.settings.home)
        found.corrupt_rows, found.broken_artifacts = len(rows), len(artifacts)
        for fault in rows + artifacts:
            print(fault, file=sys.stderr)
        found.longest_gap_seconds = self.lives.longest_gap_seconds
        return found


def portion(
    kills: int,
    folder: Path,
    server: Server | None,
    seed: int = 4,
    chain: str = "real",
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """So many kills over a new ledger in ``folder``; ``server`` None is SQLite."""
    started = time.monotonic()
    (folder / "home").mkdir()
    if chain == "real":
        command = [sys.executable, "-m", "benchmarks.ledger_kills_chain", str(folder / "home")]
        subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    with _observed(folder / "home" / "work", folder / "lives.jsonl"):
        rounds = Round(folder, server, seed, chain)
        for number in range(kills):
            victim = rounds.kill_one()
            say(f"{number + 1} of {kills}: {victim}, {time.monotonic() - started:.0f} s")
        found = rounds.result()
    found.wall_seconds = time.monotonic() - started
    told = {name: round(value, 3) if isinstance(value, float) else value for name, value in vars(found).items()}
    return told | {"ttl_seconds": TTL_SECONDS, "holds": holds(told)}


def added_up(file: Path) -> dict[str, Any]:
    """All portions of a file together; they hold where each does and the sum does."""
    portions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    told: dict[str, Any] = {name: round(sum(one[name] for one in portions), 3) for name in SUMMED}
    for name in ("by_victim", "by_stage"):
        told[name] = dict(sum((Counter(one[name]) for one in portions), Counter()))
    told["longest_gap_seconds"] = max((one["longest_gap_seconds"] for one in portions), default=0.0)
    return told | {"portions": len(portions), "holds": holds(told) and all(one["holds"] for one in portions)}


@contextmanager
def _observed(under: Path, out: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.ledger_kills_observer", str(under), str(out)]
    observer = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE)
    try:
        yield
    finally:
        observer.communicate()


def _runs(pid: int, ticks: int | None) -> bool:
    return ticks is not None and start_ticks(pid) == ticks


def _until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"not so after {PATIENCE_SECONDS} s"
        time.sleep(0.005)


def main() -> None:
    """Run a portion, or add portions up."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=4)
    arguments.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    arguments.add_argument("--chain", choices=["real", "tiny"], default="real")
    arguments.add_argument("--append", type=Path, help="add the result to this file, then show the sum of all in it")
    arguments.add_argument("--sum", type=Path, help="only show the sum of a file")
    told = arguments.parse_args()
    if told.sum is None:
        server = start_or_skip() if told.database == "postgresql" else None
        try:
            with tempfile.TemporaryDirectory(prefix="ledger-kills-") as folder:
                found = portion(told.kills, Path(folder), server, told.seed, told.chain,
                                lambda line: print(line, file=sys.stderr, flush=True))  # fmt: skip
        finally:
            if server is not None:
                server.stop()
        if told.append is not None:
            with told.append.open("a", encoding="utf-8") as out:
                out.write(json.dumps(found) + "\n")
    shown = found if told.sum is None and told.append is None else added_up(told.sum or told.append)
    print(json.dumps(shown))
    sys.exit(0 if shown["holds"] else 1)


if __name__ == "__main__":
    main()
