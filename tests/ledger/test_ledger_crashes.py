"""No device-second is lost: real processes, killed with SIGKILL at real moments."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from ledger import Heartbeat, Ledger, build_lines, build_totals, processes
from ledger.leases import Span, read_spans
from ledger.schema import lease as lease_table
from tests.ledger.conftest import Rows, asking

FORK = multiprocessing.get_context("fork")
TTL_SECONDS = 0.5
KILLS = 15
WRITERS = 16


def die_with(parent_pid: int) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it was killed between the fork and the line above
        os._exit(1)


def supervise(url: str, spool: Path, fingerprint: str, out: Connection) -> None:
    """What the choke point does: lease, child, beats. Says each step, so that it can be killed at any of them."""
    ledger = Ledger.open(url, spool=spool)
    out.send("opened ledger")
    lease = ledger.hold("b1", "sft", fingerprint, "cpu")
    out.send("leased")
    child = subprocess.Popen(["sleep", "600"], preexec_fn=partial(die_with, os.getpid()))
    out.send("started")
    ledger.attach_child(lease.id, child.pid, processes.start_ticks(child.pid) or 0)
    out.send("attached")
    with Heartbeat(ledger, lease.id, every_seconds=TTL_SECONDS / 10):
        while True:
            time.sleep(TTL_SECONDS / 10)
            out.send("working")


def kill_somewhere(
    url: str, spool: Path, fingerprint: str, steps: int, pause_seconds: float
) -> tuple[datetime, datetime]:
    """Start a supervisor, kill it after so many steps; returns the last moment alive and the first one dead."""
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=supervise, args=(url, spool, fingerprint, theirs))
    process.start()
    theirs.close()
    for _ in range(steps):
        ours.recv()
    time.sleep(pause_seconds)
    alive_at = datetime.now(UTC)
    process.kill()
    process.join()
    return alive_at, datetime.now(UTC)


def span_of(ledger: Ledger, fingerprint: str) -> Span | None:
    with ledger.reading() as connection:
        found = read_spans(connection, lease_table.c.artifact_fingerprint == fingerprint)
    return found[0] if found else None


def test_what_was_held_is_billed_within_one_ttl_a_kill(ledger: Ledger, url: str, spool: Path) -> None:
    dice = random.Random(4)
    held_seconds = held_at_most_seconds = stalled_seconds = 0.0
    leases = 0
    for kill in range(KILLS):
        steps = kill % 9
        alive_at, dead_at = kill_somewhere(url, spool, f"fp{kill}", steps, dice.random() * 0.1)
        before = span_of(ledger, f"fp{kill}")
        assert before is not None or steps < 2, "a lease was told to be open and is not in the ledger"
        ended = ledger.reconcile(ttl_seconds=TTL_SECONDS)
        assert [one.outcome for one in ended] == (["ended"] if before else [])
        if before is None:
            continue
        leases += 1
        held_seconds += max(0.0, (alive_at - before.lease.opened_at).total_seconds())
        held_at_most_seconds += (dead_at - before.lease.opened_at).total_seconds()
        # The promise holds for beats that come within a TTL; a machine that stalled the supervisor for longer is told.
        stalled_seconds += max(0.0, (alive_at - before.last_sign).total_seconds() - TTL_SECONDS)
    totals = build_totals(ledger, "b1")
    assert leases >= KILLS * 2 // 3
    assert totals.attempts == leases and totals.open_leases == 0
    assert totals.device_seconds >= held_seconds - stalled_seconds
    assert totals.device_seconds <= held_at_most_seconds + leases * TTL_SECONDS
    assert totals.wasted_seconds == totals.device_seconds
    assert ledger.reconcile(ttl_seconds=TTL_SECONDS) == []


def _reconcile_on_signal(url: str, spool: Path, go: Connection, out: Connection) -> None:
    ledger = Ledger.open(url, spool=spool)
    go.recv()
    out.send([one.lease_id for one in ledger.reconcile(ttl_seconds=TTL_SECONDS)])


def test_two_reconcilers_at_once_end_each_lease_once(ledger: Ledger, url: str, spool: Path, rows: Rows) -> None:
    gone = processes.this_process() | {"supervisor_start_ticks": 1}
    leases = [ledger.open_lease("b1", "sft", f"fp{n}", "cpu", 1, **gone).id for n in range(20)]
    answers, starts, workers = [], [], []
    for _ in range(2):
        (go_end, go), (answer, answer_end) = FORK.Pipe(duplex=False), FORK.Pipe(duplex=False)
        workers.append(FORK.Process(target=_reconcile_on_signal, args=(url, spool, go_end, answer_end)))
        workers[-1].start()
        go_end.close()
        answer_end.close()
        answers.append(answer)
        starts.append(go)
    for go in starts:
        go.send("now")
    ended = [lease_id for answer in answers for lease_id in answer.recv()]
    for worker in workers:
        worker.join()
    assert sorted(ended) == sorted(leases)
    assert rows("SELECT count(*) FROM lease_event WHERE kind = 'reconciled'") == [(20,)]


def test_pid_reuse_and_reboot_are_not_mistaken_for_life(ledger: Ledger, noon: datetime) -> None:
    me = processes.this_process()
    ledger.open_lease("b1", "mine", "fp", "cpu", 1, **me, at=noon)
    reused = me | {"supervisor_start_ticks": me["supervisor_start_ticks"] + 1}
    ledger.open_lease("b1", "reused", "fp", "cpu", 1, **reused, at=noon)
    ledger.open_lease("b1", "rebooted", "fp", "cpu", 1, **(me | {"boot_id": "another boot"}), at=noon)
    done = ledger.reconcile(noon + timedelta(seconds=3), ttl_seconds=60)
    assert {(one.stage, one.reason.split(" ")[-1]) for one in done} == {("reused", "gone"), ("rebooted", "anew")}
    assert {one.billed_device_seconds for one in done} == {3.0}
    assert [span.lease.stage for span in ledger.open_leases()] == ["mine"]


def test_another_host_is_judged_by_its_beats_and_may_come_back(ledger: Ledger, noon: datetime) -> None:
    there = processes.this_process() | {"host": "another host", "boot_id": "its boot"}
    lease = ledger.open_lease("b1", "sft", "fp", "h100", 4, **there, at=noon)
    ledger.beat(lease.id, noon + timedelta(seconds=100))
    assert ledger.reconcile(noon + timedelta(seconds=160), ttl_seconds=60) == []
    [ended] = ledger.reconcile(noon + timedelta(seconds=500), ttl_seconds=60)
    assert (ended.at, ended.billed_device_seconds) == (noon + timedelta(seconds=160), 640.0)
    # It was only cut off: its spooled beats and its close arrive.
    ledger.beat(lease.id, noon + timedelta(seconds=400))
    assert [span.status for span in ledger.open_leases()] == ["open"]
    ledger.close(lease.id, 0, at=noon + timedelta(seconds=410))
    [line] = build_lines(ledger, "b1")
    assert (line.status, line.gpu_seconds, line.wasted_seconds) == ("done", 1640.0, 0.0)


def test_a_clock_set_back_bills_the_whole_ttl(ledger: Ledger, noon: datetime) -> None:
    gone = processes.this_process() | {"supervisor_start_ticks": 1}
    lease = ledger.open_lease("b1", "sft", "fp", "cpu", 1, **gone, at=noon)
    ledger.beat(lease.id, noon + timedelta(seconds=100))
    [ended] = ledger.reconcile(noon - timedelta(hours=1), ttl_seconds=60)
    assert ended.billed_device_seconds == 160.0


def test_an_orphan_keeps_its_lease_open_and_is_named(ledger: Ledger) -> None:
    orphan = subprocess.Popen(["sleep", "600"])
    try:
        lease = ledger.open_lease("b1", "sft", "fp", "cpu", 1, **(processes.this_process() | {"supervisor_pid": 0}))
        ledger.attach_child(lease.id, orphan.pid, processes.start_ticks(orphan.pid) or 0)
        later = lease.opened_at + timedelta(hours=1)
        [found] = ledger.reconcile(later, ttl_seconds=60)
        assert (found.outcome, found.pid) == ("orphan", orphan.pid)
        assert str(found).startswith(f"orphan {orphan.pid} still holds build b1, sft, attempt 1: supervisor 0 is gone")
        assert [span.lease.id for span in ledger.open_leases()] == [lease.id]
    finally:
        orphan.kill()
        orphan.wait()
    [ended] = ledger.reconcile(later + timedelta(minutes=5), ttl_seconds=60)
    assert (ended.outcome, ended.billed_device_seconds) == ("ended", 3660.0)


def test_a_zombie_supervisor_is_dead(ledger: Ledger) -> None:
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            signal.pause()
        os._exit(0)
    ticks = processes.start_ticks(pid)
    assert ticks is not None and processes.alive(pid, ticks)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the process table
    assert Path(f"/proc/{pid}").exists() and not processes.alive(pid, ticks)
    os.waitpid(pid, 0)


def _write_events(url: str, spool: Path, writer: int) -> None:
    ledger = Ledger.open(url, spool=spool)
    for artifact in range(2):
        lease = ledger.hold("b1", f"stage{writer}", f"fp{artifact}", "cpu")
        for second in range(6):
            beat_at = lease.opened_at + timedelta(seconds=second)
            ledger.beat(lease.id, beat_at)
            ledger.beat(lease.id, beat_at)
        ledger.close(lease.id, 0, at=lease.opened_at + timedelta(seconds=10))


def test_sixteen_writers_lose_and_double_no_event_even_on_a_new_ledger(empty_url: str, spool: Path) -> None:
    url = empty_url

    def race(target: object) -> None:
        workers = [FORK.Process(target=target, args=(url, spool, n)) for n in range(WRITERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * WRITERS

    race(_open_only)
    ledger = Ledger.open(url, spool=spool)
    ledger.start_build("b1", "finance", "local", "r")
    race(_write_events)
    ledger.replay()
    totals = build_totals(ledger, "b1")
    assert (totals.attempts, totals.open_leases, totals.device_seconds) == (2 * WRITERS, 0, 20.0 * WRITERS)
    counts = asking(url)("SELECT kind, count(*) FROM lease_event GROUP BY kind ORDER BY kind")
    assert counts == [("beat", 12 * WRITERS), ("close", 2 * WRITERS)]


def _open_only(url: str, spool: Path, _writer: int) -> None:
    Ledger.open(url, spool=spool)
