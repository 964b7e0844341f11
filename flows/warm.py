"""An interpreter made ready beforehand: importing torch takes seconds that the stage before has to spare.

``python -m flows.warm PACKAGE ...`` imports the packages, then runs the one stage that it is told on stdin, as
``python -m MODULE SPEC.json`` would. One process still runs one stage. It ends when stdin closes or the flow dies.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys

from contracts.lifeline import die_with
from flows.settings import CHECKOUT

PACKAGES = ("torch", "transformers", "transformers.modeling_utils", "transformers.generation")


def prepare(environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start an interpreter that gets ready by itself."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.warm", str(os.getpid()), *PACKAGES],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def hand_over(ready: subprocess.Popen[str], module: str, spec_path: str) -> bool:
    """Tell a prepared interpreter which stage to run; False where it is gone. The rest of its stdin is the stage's."""
    if ready.poll() is not None or ready.stdin is None:
        return False
    try:
        ready.stdin.write(json.dumps([module, spec_path]) + "\n")
        ready.stdin.flush()
    except OSError:
        return False
    return True


def main() -> None:
    """Import, wait, run."""
    parent_pid, packages = int(sys.argv[1]), sys.argv[2:]
    die_with(parent_pid)
    for package in packages:
        importlib.import_module(package)
    told = sys.stdin.readline()
    if told:
        module, spec_path = json.loads(told)
        sys.argv = [module, spec_path]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
