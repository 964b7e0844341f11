"""A process that ends with the one that started it, so that no orphan holds a device.

    python -m contracts.lifeline PARENT_PID MODULE SPEC.json

runs ``python -m MODULE SPEC.json`` so. It imports nothing but the standard library: a stage's own imports take seconds,
and a supervisor that is killed meanwhile must not leave it behind.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent_pid: int) -> None:
    """Ask the kernel to end this process with its parent (Linux); ends it at once where that is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit("the process that asked for this stage is gone")


def main() -> None:
    """Tie, then become the module."""
    parent_pid, module = int(sys.argv[1]), sys.argv[2]
    die_with(parent_pid)
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
