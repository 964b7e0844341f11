"""Energy and utilisation of the devices held: sums over given readings, NVML at its C interface, its absence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from contracts.usage import Usage
from ledger import Ledger, build_lines, build_totals, processes
from ledger.artifact_costs import artifact_costs
from ledger.device_meter import DeviceMeter, Reading, nvml_meter
from ledger.report import list_builds
from ledger.tables import render
from tests.ledger.test_ledger_reports import shown

CHECKOUT = Path(__file__).parent.parent.parent
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def told(*readings: Sequence[Reading]) -> DeviceMeter:
    """A meter that is given these readings, one after the other."""
    given = iter(readings)
    return DeviceMeter(lambda: next(given))


def test_energy_is_summed_over_devices_and_utilisation_averaged_over_samples() -> None:
    meter = told(
        [Reading(100.0, 0.9), Reading(50.0, 0.9)],  # what came before the lease is not its own
        [Reading(130.0, 1.0), Reading(55.0, 0.5)],
        [Reading(140.0, 0.2), Reading(75.0, 0.3)],
    )
    assert meter.sample() == {"energy_joules": 35.0, "utilisation": 0.75}
    assert meter.sample() == {"energy_joules": 65.0, "utilisation": 0.5}


def test_a_counter_that_began_again_is_counted_from_nothing() -> None:
    meter = told([Reading(100.0, None)], [Reading(130.0, None)], [Reading(7.0, None)], [Reading(9.0, None)])
    assert [meter.sample()["energy_joules"] for _ in range(3)] == [30.0, 37.0, 39.0]


def test_what_a_device_does_not_tell_is_claimed_of_none() -> None:
    meter = told(
        [Reading(100.0, 0.5), Reading(None, 0.5)],
        [Reading(130.0, 0.5), Reading(None, None)],
        [Reading(150.0, 0.4), Reading(20.0, 0.6)],
    )
    assert meter.sample() == {}
    assert meter.sample() == {"utilisation": 0.5}  # energy: its beginning was never known
    fell_silent = told([Reading(1.0, 0.5)], [Reading(2.0, 0.5)], [], [Reading(None, None)])
    assert fell_silent.sample() == {"energy_joules": 1.0, "utilisation": 0.5}
    assert fell_silent.sample() == {"energy_joules": 1.0, "utilisation": 0.5}
    assert fell_silent.sample() == {"utilisation": 0.5}


def test_without_devices_or_without_nvml_nothing_is_claimed() -> None:
    assert nvml_meter(()).sample() == {}
    if not shutil.which("nvidia-smi"):
        assert nvml_meter(("GPU-1",)).sample() == {}


HOLD = """
import sys
from ledger import Ledger, Heartbeat
from ledger.device_meter import nvml_meter
ledger = Ledger.open(sys.argv[1])
ledger.start_build("b1", "finance", "local", "r")
lease = ledger.hold("b1", "sft", "fp", "NVIDIA H100", 2, meter=nvml_meter(sys.argv[2].split(",")))
ledger.beat(lease.id)
ledger.beat(lease.id)
if sys.argv[3] == "close":
    ledger.close(lease.id, 0)
"""


@pytest.fixture(scope="session")
def nvml_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libnvidia-ml.so.1 of ours."""
    pytest.importorskip("pynvml")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("fake_nvml.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder


def held(ledger: Ledger, url: str, folder: Path, uuids: str, end: str, mute: str = "") -> list[dict[str, object]]:
    """A supervisor of two devices in a process of its own; what its events say of the meter."""
    env = os.environ | {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML_MUTE": mute, "PYTHONPATH": str(CHECKOUT)}
    subprocess.run([sys.executable, "-c", HOLD, url, uuids, end], env=env, cwd=CHECKOUT, check=True)
    with ledger.reading() as connection:
        found = connection.exec_driver_sql("SELECT detail FROM lease_event ORDER BY id").scalars()
        return [json.loads(detail).get("meter") for detail in found]


@pytest.fixture
def empty(tmp_path: Path) -> tuple[Ledger, str]:
    url = f"sqlite:///{tmp_path}/metered.db"
    return Ledger.open(url), url


def test_each_beat_and_the_close_carry_what_nvml_tells(empty: tuple[Ledger, str], nvml_folder: Path) -> None:
    ledger, url = empty
    assert held(ledger, url, nvml_folder, "GPU-1,GPU-2", "close") == [
        {"energy_joules": 12.0, "utilisation": 0.6},
        {"energy_joules": 24.0, "utilisation": 0.6},
        {"energy_joules": 36.0, "utilisation": 0.6},
    ]
    [line] = build_lines(ledger, "b1")
    assert (line.energy_joules, line.utilisation) == (36.0, 0.6)
    assert list_builds(ledger)[0].energy_joules == 36.0


def test_a_killed_supervisor_leaves_the_meter_of_its_last_beat(empty: tuple[Ledger, str], nvml_folder: Path) -> None:
    ledger, url = empty
    held(ledger, url, nvml_folder, "GPU-2", "leave it open")
    [ended] = ledger.reconcile()
    assert ended.outcome == "ended"
    assert artifact_costs(ledger, ["fp"])["fp"].energy_joules == 14.0


@pytest.mark.parametrize(
    ("mute", "uuids", "told"),
    [
        ("energy", "GPU-1", {"utilisation": 0.8}), ("utilisation", "GPU-1", {"energy_joules": 5.0}),
        ("init", "GPU-1", None), ("", "GPU-9", None), ("", "GPU-1,GPU-9", None),
    ],
)  # fmt: skip
def test_what_nvml_does_not_tell_is_not_booked(
    empty: tuple[Ledger, str], nvml_folder: Path, mute: str, uuids: str, told: dict[str, float] | None
) -> None:
    assert held(*empty, nvml_folder, uuids, "close", mute)[0] == told


@ON_SQLITE
def test_energy_and_utilisation_stand_in_the_tables_where_they_are_known(ledger: Ledger, noon: datetime) -> None:
    me = processes.this_process()
    for stage, energy in (("sft", 7.2e6), ("dpo", None)):
        lease = ledger.open_lease("b1", stage, stage, "h100", 1, **me, at=noon)
        ledger.close(lease.id, 0, Usage(energy_joules=energy), at=noon + timedelta(hours=1))
    sft, dpo = build_lines(ledger, "b1")
    assert (sft.energy_joules, dpo.energy_joules) == (7.2e6, None)  # the stage's own counter, where there is no meter
    text = shown(render([sft, dpo], build_totals(ledger, "b1")))
    assert "kWh" in text and text.count("2.0000") == 2
    assert "kWh" not in shown(render([dpo], build_totals(ledger, "b1")))
