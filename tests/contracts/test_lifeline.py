"""A stage's process ends with its supervisor, also while it is still importing what it needs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
SUPERVISOR = """
import os, subprocess, sys
command = [sys.executable, "-m", "contracts.lifeline", str(os.getpid()), "tests.contracts.slow_import", "spec"]
child = subprocess.Popen(command)
print(child.pid, flush=True)
child.wait()
"""


def gone(pid: int) -> bool:
    """No such process, or one that has ended and is not yet buried."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in ("Z", "X")


def test_it_ends_with_its_supervisor_before_its_imports_do() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        assert supervisor.stdout.readline().strip() == "importing ['spec']"
        supervisor.kill()
    deadline = time.monotonic() + 60
    while not gone(child):
        assert time.monotonic() < deadline, "an orphan is left"
        time.sleep(0.02)


def test_it_does_not_begin_without_its_supervisor() -> None:
    command = [sys.executable, "-m", "contracts.lifeline", "1", "tests.contracts.slow_import"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the process that asked for this stage is gone" in done.stderr
