"""A platform of its own for the end-to-end tier: real Prefect, real model, real vLLM, in one temporary folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.settings import CHECKOUT

STILLROOM = [sys.executable, "-m", "flows.cli"]


@dataclass(frozen=True)
class Platform:
    """A running Stillroom: its home and the environment its commands need."""

    home: Path
    env: dict[str, str]

    def stillroom(self, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """Run one ``stillroom`` command to its end."""
        return subprocess.run(
            [*STILLROOM, *arguments],
            cwd=CHECKOUT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def builds(self) -> list[Path]:
        """The builds' folders, oldest first."""
        return sorted((self.home / "builds").iterdir(), key=lambda path: path.stat().st_mtime)

    def books(self, build: str = "") -> dict[str, Any]:
        """A build's lines and total, as ``stillroom ledger --json`` prints them."""
        said = self.stillroom("ledger", build, "--json") if build else self.stillroom("ledger", "--json")
        return dict(json.loads(said.stdout))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Prefect server and worker of the test's own, taken down at the end."""
    home = tmp_path_factory.mktemp("stillroom")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"STILLROOM_HOME": str(home), "STILLROOM_PREFECT_PORT": str(port), "STILLROOM_HEARTBEAT_SECONDS": "2",
           "STILLROOM_LEASE_TTL_SECONDS": "8", "STILLROOM_INBOX": str(home / "drops")}  # fmt: skip
    (home / "drops").mkdir()
    running = Platform(home, os.environ | own)
    try:
        yield running
    finally:
        running.stillroom("down")
