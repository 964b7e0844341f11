"""What the devices held say of themselves, read by the supervisor at each beat: energy and utilisation.

NVML tells both (NVIDIA Management Library, ``nvmlDeviceGetTotalEnergyConsumption``: millijoules since the driver was
loaded, from Volta on; ``nvmlDeviceGetUtilizationRates``: percent of the last sampling period, a second at most, in
which a kernel ran). A machine without NVML, a device that does not tell, a part of a device: nothing is claimed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)
MILLIJOULE = 1e-3
PERCENT = 0.01


@dataclass(frozen=True)
class Reading:
    """One look at one device; None for what it does not tell."""

    energy_joules: float | None
    """Of a counter that only grows, until the driver is loaded anew."""
    utilisation: float | None
    """Share of the last sampling period in which a kernel ran."""


Read = Callable[[], Sequence[Reading]]


class DeviceMeter:
    """Sums up readings from its making on. ``read`` gives one reading a device, always in the same order, or none."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._last = [one.energy_joules for one in read()]
        self._used: list[float | None] = [None if one is None else 0.0 for one in self._last]
        self._utilisation_sum, self._samples = 0.0, 0
        self._one_at_a_time = threading.Lock()  # a heartbeat and a checkpoint may ask at once

    def sample(self) -> dict[str, float]:
        """Read again; ``energy_joules`` of all devices and mean ``utilisation`` over the samples, as far as known.

        The energy is that of all devices together or of none: a part of it would pass for the whole.
        """
        with self._one_at_a_time:
            readings = self._read()
            if len(readings) == len(self._last):
                for number, one in enumerate(readings):
                    self._add(number, one.energy_joules)
            busy = [one.utilisation for one in readings if one.utilisation is not None]
            if busy and len(busy) == len(readings):
                self._utilisation_sum += sum(busy) / len(busy)
                self._samples += 1
            return self._told()

    def _add(self, number: int, now: float | None) -> None:
        before, used = self._last[number], self._used[number]
        if now is None or before is None or used is None:
            self._used[number] = None
            return
        self._used[number] = used + (now - before if now >= before else now)  # a driver loaded anew begins at 0
        self._last[number] = now

    def _told(self) -> dict[str, float]:
        known = [one for one in self._used if one is not None]
        told = {"energy_joules": round(sum(known), 3)} if known and len(known) == len(self._used) else {}
        if self._samples:
            told["utilisation"] = round(self._utilisation_sum / self._samples, 4)
        return told


def nvml_meter(uuids: Sequence[str]) -> DeviceMeter:
    """A meter of these devices, named by UUID since NVML's indices ignore ``CUDA_VISIBLE_DEVICES``."""
    return DeviceMeter(_nvml(uuids) if uuids else lambda: ())


def _nvml(uuids: Sequence[str]) -> Read:
    """Readings by NVIDIA's own binding; none where binding, library or devices are missing."""
    try:
        import pynvml
    except ImportError:
        return lambda: ()
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
    except pynvml.NVMLError as error:
        logger.info("devices are not metered: %s", error)
        return lambda: ()

    def told(ask: Callable[[Any], float], handle: Any) -> float | None:
        try:
            return ask(handle)
        except pynvml.NVMLError:  # this device does not tell it, or is ill: no reason to disturb the run
            return None

    def energy_joules(handle: Any) -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * MILLIJOULE

    def utilisation(handle: Any) -> float:
        return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) * PERCENT

    return lambda: [Reading(told(energy_joules, one), told(utilisation, one)) for one in handles]
