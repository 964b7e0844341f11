"""Which devices a process here holds, or which part of one, by what the driver lists.

``nvidia-smi -L`` names every device with its MIG instances; ``CUDA_VISIBLE_DEVICES`` says which of them a process sees:
by index, by UUID or its beginning, or one MIG instance. What stands behind the first entry that is no device is not
seen, and of several MIG instances a process uses one, the first (NVIDIA's CUDA programming guide, environment
variables, and Multi-Instance GPU user guide, CUDA devices).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

MEMORY_SLICES = 8
COMPUTE_SLICES = 7
DEVICE = re.compile(r"GPU (\d+): (.+) \(UUID: (GPU-[^)\s]+)\)")
INSTANCE = re.compile(r"MIG (\d+)g\.(\d+)gb\S*\s.*UUID: (MIG-[^)\s]+)")


@dataclass(frozen=True)
class Held:
    """What a lease books: a device's name, how many, which part of each, and the UUIDs of those held whole."""

    device: str = "cpu"
    count: int = 1
    share: Fraction = Fraction(1)
    uuids: tuple[str, ...] = ()


@dataclass
class _Listed:
    index: int
    name: str
    uuid: str
    instances: list[tuple[str, int, int]] = field(default_factory=list)
    """UUID, slices of compute, gigabytes."""


def held(listed: Iterable[str], visible: str | None, memory_gib: Sequence[float] = ()) -> Held:
    """What a process holds that sees ``visible`` (None: not set) of the devices listed; a cpu where it sees none.

    ``memory_gib`` is the memory of each device in the order of its index; only MIG instances need it. An instance that
    is not listed is booked as its whole device: rather too much than too little.
    """
    devices = _read(listed)
    entries = None if visible is None else [entry.strip() for entry in visible.split(",") if entry.strip()]
    if not devices or entries == []:
        return Held()
    if entries and entries[0].startswith("MIG-"):
        return _instance(devices, entries[0], memory_gib)
    seen = devices if entries is None else _seen(devices, entries)
    if not seen:
        return Held()
    if seen[0].instances:
        return _instance(devices, seen[0].instances[0][0], memory_gib)
    return Held(seen[0].name, len(seen), uuids=tuple(one.uuid for one in seen))


def _read(listed: Iterable[str]) -> list[_Listed]:
    devices: list[_Listed] = []
    for line in listed:
        if device := DEVICE.search(line):
            devices.append(_Listed(int(device[1]), device[2], device[3]))
        elif devices and (instance := INSTANCE.search(line)):
            devices[-1].instances.append((instance[3], int(instance[1]), int(instance[2])))
    return devices


def _seen(devices: list[_Listed], entries: list[str]) -> list[_Listed]:
    found: list[_Listed] = []
    for entry in entries:
        named = [
            one for one in devices if entry == str(one.index) or (entry[:4] == "GPU-" and one.uuid.startswith(entry))
        ]
        if not named:
            break
        found.append(named[0])
    return found


def _instance(devices: list[_Listed], wanted: str, memory_gib: Sequence[float]) -> Held:
    """The larger of an instance's shares in compute (of 7 slices) and in memory (of 8).

    The larger one, because an instance with one slice of compute and a quarter of the memory leaves room for three more
    like it, not for six. Slices as in NVIDIA's tables of profiles; a profile's gigabytes are rounded there, so the
    memory's share is rounded to whole slices. No UUIDs: a device's counters do not tell its instances apart.
    """
    for device in devices:
        for uuid, compute, gigabytes in device.instances:
            if uuid == wanted and device.index < len(memory_gib):
                slices = round(gigabytes / memory_gib[device.index] * MEMORY_SLICES)
                share = max(Fraction(compute, COMPUTE_SLICES), Fraction(slices, MEMORY_SLICES))
                return Held(device.name, 1, min(Fraction(1), share))
    return Held(devices[0].name)
