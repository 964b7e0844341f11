"""Who a process is, so that a reused pid or a rebooted machine is not mistaken for a live supervisor (Linux, /proc).

A process is named by three things together: the boot id of its kernel, its pid, and the clock tick it started at.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import Any

PROC = Path("/proc")
GONE_STATES = {"Z", "X", "x"}


def visible() -> bool:
    """True where processes can be looked at; elsewhere a lease's life is judged by its heartbeats alone."""
    return (PROC / "self" / "stat").exists()


def boot_id() -> str:
    """The kernel's random id of this boot, empty where the kernel tells none."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def boot_seconds() -> float:
    """Seconds since boot, sleep included. A step of the wall clock does not move it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def host() -> str:
    """The host's name with its pid namespace: containers that share a host name do not see each other's processes."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = "/" + os.readlink(PROC / "self/ns/pid")  # noqa: PTH115 (not a path: "pid:[4026531836]")
    return socket.gethostname() + namespace


def start_ticks(pid: int) -> int | None:
    """The clock tick, since boot, at which ``pid`` started; None where no such process runs (a zombie does not)."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command's name in brackets and may itself hold blanks and brackets.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in GONE_STATES else int(fields[19])


def alive(pid: int, started_at_ticks: int) -> bool:
    """True when the very process is running that had this pid and start tick."""
    return start_ticks(pid) == started_at_ticks


def this_process() -> dict[str, Any]:
    """This process as a lease's supervisor: the last four arguments of ``Ledger.open_lease``."""
    pid = os.getpid()
    return {
        "host": host(),
        "boot_id": boot_id(),
        "supervisor_pid": pid,
        "supervisor_start_ticks": start_ticks(pid) or 0,
    }
