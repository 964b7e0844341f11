"""Holds an engine and everything the engine starts, and ends all of it when its owner is gone.

Run as a program of its own, standard library only: ``python -I guardian.py``. Its first line of stdin is the order, as
JSON: ``{"command", "environment", "log", "grace_seconds"}``. The rest of stdin is the lifeline: the owner keeps the
pipe open, and the kernel closes it however the owner ends, SIGKILL included. The guardian adopts the engine's orphans
(PR_SET_CHILD_SUBREAPER), so a worker whose parent died is still found. Exit code: the engine's own.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.25
GRACE_WITHOUT_OWNER_SECONDS = 2.0


def prctl(option: int, value: int) -> None:
    """Ask the kernel; elsewhere than on Linux there is nothing to ask."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def descendants(root: int) -> list[int]:
    """Every living process below ``root``, from /proc; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name in parentheses may hold anything, so fields are counted from its end: state, parent
            state, parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    found: list[int] = []
    below = [root]
    while below:
        below = [child for parent in below for child in children.get(parent, [])]
        found += below
    return found


def end_all(engine: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """SIGTERM to the engine, up to ``grace_seconds`` for it and its workers to go, then SIGKILL to what is left."""
    engine.terminate()
    until = time.monotonic() + grace_seconds
    while time.monotonic() < until and (engine.poll() is None or descendants(os.getpid())):
        time.sleep(0.05)
    for _ in range(100):
        left = descendants(os.getpid())
        if not left:
            break
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def reap() -> None:
    """Wait for adopted processes that have ended, so that their processor time reaches the owner's account."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def main() -> int:
    """Start the engine, wait for its end, the owner's, or SIGTERM; leave nothing behind."""
    stop_asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal stop_asked
        stop_asked = True

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    lifeline = sys.stdin.fileno()
    order = json.loads(_first_line(lifeline))
    owner = os.getppid()
    with Path(order["log"]).open("ab") as log:
        engine = subprocess.Popen(
            order["command"],
            env=os.environ | order["environment"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # If the guardian itself is killed, at least the engine's head goes with it.
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )
    owner_gone = False
    while engine.poll() is None and not (stop_asked or owner_gone):
        try:
            readable, _, _ = select.select([lifeline], [], [], POLL_SECONDS)
        except InterruptedError:
            continue
        owner_gone = bool(readable and not os.read(lifeline, 4096)) or os.getppid() != owner
    ended_by_itself = engine.poll() is not None
    grace = GRACE_WITHOUT_OWNER_SECONDS if owner_gone or ended_by_itself else float(order["grace_seconds"])
    end_all(engine, grace)
    code = engine.wait()
    reap()
    return code if code >= 0 else 128 - code


def _first_line(descriptor: int) -> bytes:
    """The order, read byte by byte so that nothing of the lifeline is buffered away."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            sys.exit("the guardian's owner was gone before it gave an order")
        line += byte
    return line


if __name__ == "__main__":
    sys.exit(main())
