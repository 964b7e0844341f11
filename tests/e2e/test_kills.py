"""SIGKILL during SFT: trainer, flow and worker, each in turn. Nothing is lost or left over, the next run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.artifacts import Artifact, broken_files, load
from flows.settings import CHECKOUT
from ledger.processes import start_ticks
from tests.e2e.conftest import STILLROOM, Platform

pytestmark = pytest.mark.e2e
LONGER = ["sft.optimiser.max_steps=12", "sft.optimiser.checkpoint_every_steps=2", "sft.max_tokens=60000"]


def _wait_for(what: str, probe, seconds: float = 300) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)


def _trainers(platform: Platform) -> list[int]:
    """Living processes of the stage."""
    pids = [int(path.read_text()) for path in (platform.home / "work").glob("sft-*/pid")]
    return [pid for pid in pids if start_ticks(pid) is not None]


def _launch(platform: Platform) -> str:
    """``prefect deployment run``, as a team does."""
    parameters = json.dumps({"scale": "smoke", "overrides": LONGER})
    env = platform.env | {"PREFECT_API_URL": f"http://127.0.0.1:{platform.env['STILLROOM_PREFECT_PORT']}/api"}
    said = subprocess.run(
        [sys.executable, "-m", "prefect", "deployment", "run", "build-vertical/finance", "--params", parameters],
        cwd=CHECKOUT, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return next(
        word for line in said.stdout.splitlines() if "UUID:" in line for word in line.split() if word.count("-") == 4
    )


def _made(platform: Platform) -> list[Artifact]:
    """The adapters that are published."""
    found = [load(record.parent) for record in (platform.home / "store").glob("sft/*/artifact.json")]
    return [one for one in found if one is not None]


def _last_step(platform: Platform) -> int:
    """The step of the newest checkpoint; -1 before there is one."""
    found = (platform.home / "work").glob("sft-*/out/.checkpoints/checkpoint-*/complete")
    return max((int(path.parent.name.rpartition("-")[2]) for path in found), default=-1)


@pytest.mark.parametrize("victim", ["trainer", "flow", "worker"])
def test_killed_during_sft(platform: Platform, victim: str) -> None:
    assert platform.stillroom("up").returncode == 0
    before, made_before = _last_step(platform), _made(platform)
    build = _launch(platform)
    _wait_for("the trainer", lambda: _trainers(platform))
    began = time.monotonic()
    (trainer,) = _trainers(platform)
    _wait_for("a checkpoint", lambda: _last_step(platform) > before)
    flow = int(Path(f"/proc/{trainer}/stat").read_text().rpartition(")")[2].split()[1])
    worker = json.loads((platform.home / "pids.json").read_text())["worker"]["pid"]
    os.kill({"trainer": trainer, "flow": flow, "worker": worker}[victim], signal.SIGKILL)
    held = time.monotonic() - began
    _wait_for("the trainer's end", lambda: start_ticks(trainer) is None, 30)
    _wait_for("the flow's end", lambda: victim == "trainer" or start_ticks(flow) is None, 30)
    if victim == "trainer":
        _wait_for("the flow's end", lambda: start_ticks(flow) is None, 90)
    assert _trainers(platform) == []
    assert platform.stillroom("up").returncode == 0  # reconciles, and starts a worker where it died
    (line,) = [one for one in platform.books(build)["lines"] if one["stage"] == "sft"]
    ttl, start_up = float(platform.env["STILLROOM_LEASE_TTL_SECONDS"]), 30.0
    assert line["status"] == {"trainer": "failed"}.get(victim, "killed")
    assert held <= line["device_seconds"] + 1 and line["device_seconds"] <= held + ttl + start_up
    whole = [load(record.parent) for record in (platform.home / "store").glob("*/*/artifact.json")]
    assert whole and all(one is not None and broken_files(one) == [] for one in whole)
    assert len(_made(platform)) == len(made_before)


def test_the_same_command_finishes_from_the_last_complete_checkpoint(platform: Platform) -> None:
    killed_at = _last_step(platform)
    assert killed_at >= 2
    overrides = [word for one in LONGER for word in ("--set", one)]
    said = subprocess.run(
        [*STILLROOM, "run", "finance", "--scale", "smoke", *overrides, "--only", "sft"],
        cwd=CHECKOUT, env=platform.env, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    resumed = [one.metrics.get("resumed_from_step") for one in _made(platform)]
    assert killed_at in resumed, said.stderr[-2000:]
