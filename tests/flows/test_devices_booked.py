"""Several devices and a part of one, from what the driver's tool prints to the lease, its cost and FOCUS."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from flows.build import opened
from flows.settings import Settings
from flows.step import plain_steps
from ledger.focus import focus_rows
from ledger.focus_check import check_rows
from ledger.report import StageLine, build_lines
from ledger.spend import spend
from recipes.load import load
from tests.flows.tiny_stage import TinySection

H100 = "NVIDIA H100 80GB HBM3"
USD_PER_HOUR = 3.6
TOOL = f"""#!/bin/sh
case "$1" in
-L)
    echo "GPU 0: {H100} (UUID: GPU-1)"
    echo "GPU 1: {H100} (UUID: GPU-2)"
    echo "GPU 2: {H100} (UUID: GPU-3)"
    echo "  MIG 1g.20gb     Device  0: (UUID: MIG-a)"
    echo "  MIG 3g.40gb     Device  1: (UUID: MIG-b)" ;;
*memory*) echo 81559; echo 81559; echo 81559 ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose driver lists three devices, the last of them cut in two."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(TOOL)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    return tmp_path / "home"


def booked(home: Path) -> tuple[StageLine, dict[str, object]]:
    """One real stage on what is seen here: its line, and its row in FOCUS."""
    settings = Settings(home=home, usd_per_device_hour=USD_PER_HOUR, heartbeat_seconds=0.2)
    with opened("one", load("finance"), settings, None, "", "") as build:
        plain_steps(build)("tiny", "tests.flows.tiny_stage", TinySection(seconds=0.3), {}, device=True)
        (line,) = build_lines(build.ledger, "one")
        (row,) = focus_rows(build.ledger)
        assert check_rows([row]) == []
        (device,) = spend(build.ledger, ("device",))
        assert device.group == {"device": H100}
        assert device.gpu_hours == pytest.approx(line.gpu_seconds / 3600)
    return line, row


@pytest.mark.parametrize(
    ("visible", "devices"),
    [("0,1", 2.0), ("1", 1.0), ("GPU-2,GPU-1", 2.0), ("MIG-a", 0.25), ("MIG-b,MIG-a", 0.5), ("2", 0.25)],
)
def test_what_is_held_is_booked_and_paid(
    machine: Path, monkeypatch: pytest.MonkeyPatch, visible: str, devices: float
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    line, row = booked(machine)
    held_seconds = line.gpu_seconds / devices
    assert 0.3 < held_seconds < 60
    assert line.cpu_device_seconds == 0
    assert line.micro_usd == pytest.approx(line.gpu_seconds * USD_PER_HOUR / 3600 * 1e6, abs=1)
    assert row["ResourceType"] == H100
    assert float(str(row["ConsumedQuantity"])) == pytest.approx(line.gpu_seconds / 3600)
    assert row["BilledCost"] == Decimal(line.micro_usd) / 1_000_000


def test_only_whole_devices_are_metered(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metered = {}
    for visible in ("0,1", "MIG-a"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        metered[visible] = Settings(home=machine).metered_devices
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    metered["a part of it"] = Settings(home=machine, device_share="1/2").metered_devices
    assert metered == {"0,1": ("GPU-1", "GPU-2"), "MIG-a": (), "a part of it": ()}


def test_a_machine_that_hides_its_devices_books_a_cpu(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settings = Settings(home=machine)
    assert (settings.device, settings.device_count, settings.share, settings.metered_devices) == ("cpu", 1, 1, ())
