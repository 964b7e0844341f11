"""Who held a device, and how long, by the kernel alone: nothing of the ledger, or of the project, is imported here.

Watches for processes that run a stage's spec under a folder. A life begins at the start time in ``/proc/PID/stat`` (cut
off to clock ticks) and ends when the process's pidfd says so; a death tells too when the process was last seen alive.
Times are seconds since boot. One JSON line a birth and a death.

    python -m benchmarks.ledger_kills_observer FOLDER OUT.jsonl       (ends when its stdin does)
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import TextIO

POLL_MS = 15
SPEC = "spec.json"
YOUNG_SECONDS = 2.0
"""A process that is younger may still become a stage's: a fork has its parent's command line until it calls exec."""
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def boot_seconds() -> float:
    """The clock that start times are told in."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Observer:
    """The stage processes alive now, each with its pidfd."""

    def __init__(self, folder: str, out: TextIO) -> None:
        self.folder, self.out = folder.rstrip("/") + "/", out
        self.poll = select.poll()
        self.alive: dict[int, tuple[int, str]] = {}
        """pidfd to pid and spec."""
        self.others: set[int] = set()
        self.looked_at = boot_seconds()

    def look(self) -> None:
        """Note the births and deaths since the last look, and when nobody looked for long."""
        for handle, _ in self.poll.poll(POLL_MS):
            self._tell("death", *self.alive.pop(handle), boot_seconds(), alive_at=self.looked_at)
            self.poll.unregister(handle)
            os.close(handle)
        now = boot_seconds()
        if now - self.looked_at > 10 * POLL_MS / 1000:
            self._tell("gap", 0, "", now, seconds=now - self.looked_at)
        self.looked_at = now
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 (a listing every 15 ms)
        self.others &= pids
        for pid in pids - self.others - {pid for pid, _ in self.alive.values()}:
            self._meet(pid)

    def _meet(self, pid: int) -> None:
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return
        try:
            began, spec = self._started(pid), self._spec(pid)
        except OSError:
            os.close(handle)
            return
        if not spec:
            os.close(handle)
            if boot_seconds() - began > YOUNG_SECONDS:
                self.others.add(pid)
            return
        self.alive[handle] = (pid, spec)
        self.poll.register(handle, select.POLLIN)
        self._tell("birth", pid, spec, began)

    def _started(self, pid: int) -> float:
        # The second field is the command's name in brackets and may itself hold blanks and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[19]) * TICK_SECONDS

    def _spec(self, pid: int) -> str:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return next((word for word in words if word.startswith(self.folder) and word.endswith(SPEC)), "")

    def _tell(self, what: str, pid: int, spec: str, at: float, **more: float) -> None:
        self.out.write(json.dumps({"what": what, "pid": pid, "spec": spec, "at": at} | more) + "\n")
        self.out.flush()


def main() -> None:
    """Look until stdin ends."""
    with Path(sys.argv[2]).open("a", encoding="utf-8") as out:
        observer = Observer(sys.argv[1], out)
        while not select.select([sys.stdin], [], [], 0)[0]:
            observer.look()


if __name__ == "__main__":
    main()
