"""What a stage is expected to take: operations, seconds as a band, memory by part, and whether it fits.

The bands are those of published stacks (``recipes.speed``) until a ledger's own history replaces them
(``recipes.calibration``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from contracts.errors import InputError
from recipes.catalogue import devices
from recipes.catalogue_rows import Device
from recipes.memory import Method, Parts, inference_memory, total_gib, training_memory
from recipes.schema import Recipe
from recipes.speed import FSDP_SHARE, MEGATRON_SHARE, Band, decode_seconds, flops_seconds, plus, times
from recipes.work import DISK_BYTES_PER_SECOND, Answering, Training, Work, work

MOST_DEVICES = 1_024
LIGHTER: dict[Method, tuple[Method, ...]] = {"full": ("lora",), "lora": ("qlora",), "qlora": ()}
OFFERED = {"cpt": ("full", "lora"), "sft": ("full", "lora", "qlora")}
"""The methods that a section of the recipe may name."""


@dataclass(frozen=True)
class Group:
    """Devices of one kind that a build holds together."""

    name: str
    count: int = 1

    @property
    def device(self) -> Device:
        """The catalogue's row."""
        return devices()[self.name]

    @property
    def memory_bytes(self) -> float:
        """Of one device."""
        return self.device.memory_bytes

    @property
    def on_gpu(self) -> bool:
        """Whether it is an accelerator."""
        return self.name != "cpu"

    def __str__(self) -> str:
        return f"{self.count} x {self.name}" if self.count > 1 else self.name


@dataclass(frozen=True)
class Estimate:
    """One stage on a group. ``wall_seconds`` passes on the clock; ``device_seconds`` is that times the devices held."""

    flops: float
    wall_seconds: Band
    device_seconds: Band
    memory_bytes: Parts
    fits: bool
    nearest: tuple[str, ...] = ()
    """Where it does not fit: the settings nearest to the recipe's with which it does."""

    @property
    def memory_gib(self) -> float:
        """All parts together, on each device."""
        return total_gib(self.memory_bytes)


def group(text: str) -> Group:
    """``8xH100-SXM`` or ``H100-SXM``. Raises InputError for a device that the catalogue does not have."""
    count, name = re.fullmatch(r"(?:(\d+)\s*[x*])?\s*(.*)", text.strip(), re.IGNORECASE | re.DOTALL).groups()  # type: ignore[union-attr]
    known = {one.upper(): one for one in devices()}
    if name.upper() not in known:
        near = get_close_matches(name.upper(), known, n=1)
        hint = f"did you mean {known[near[0]]}?" if near else f"one of: {', '.join(known.values())}"
        raise InputError("--device", "is not in recipes/devices.yaml", got=repr(text), hint=hint)
    held = int(count or 1)
    if not 1 <= held <= MOST_DEVICES:
        raise InputError("--device", f"must be 1 to {MOST_DEVICES} devices", got=held, hint="e.g. 8xH100-SXM")
    return Group(known[name.upper()], held)


def estimate(recipe: Recipe, stage: str, on: Group, base: str = "") -> Estimate | None:
    """The estimate of a stage of the chain; None for stages that hold no device.

    Training shards over all devices of the group (``accelerate launch`` with FSDP); the other stages compute on one of
    them while the rest are held.
    """
    done = work(recipe, stage, on.on_gpu, base)
    if done is None:
        return None
    sharing, share = (on.count, FSDP_SHARE) if isinstance(done.holds, Training) else (1, MEGATRON_SHARE)
    wall = times(flops_seconds(done.flops, on.device, share, done.speed), 1 / sharing)
    written = [decode_seconds(done.model, on.device, one.tokens, one.sequences, done.context) for one in done.writings]
    wall = plus(wall, *written, done.waits, _disk_seconds(done))
    parts = memory(done, on.count)
    fits = sum(parts.values()) <= on.memory_bytes
    return Estimate(done.flops, wall, times(wall, on.count), parts, fits, () if fits else tuple(nearest(done, on)))


def memory(done: Work, count: int) -> Parts:
    """Bytes by part on each of ``count`` devices."""
    held = done.holds
    if isinstance(held, Answering):
        return inference_memory(done.model, held.sequences, held.tokens)
    return training_memory(done.model, held.method, held.rank, held.batch, count)


def nearest(done: Work, on: Group) -> Iterator[str]:
    """Settings that fit, the nearest of each kind first by itself, else with the smallest pass that there is."""
    held = done.holds
    if isinstance(held, Answering):
        fewer = (count for count in range(held.sequences - 1, 0, -1) if _fits(done, replace(held, sequences=count), on))
        if held.key and (count := next(fewer, 0)):
            yield f"{held.key}={count}"
        yield from _other_devices(done, on)
        return
    alone = replace(held, batch=replace(held.batch, sequences=1))
    smaller = list(_smaller_passes(done, held, on))
    found = smaller or [
        text for tried in (held, alone) for text in _one_change(done, tried, on, alone is tried is not held)
    ]
    yield from list(dict.fromkeys(found))[:3]
    yield from _other_devices(done, on)


def _disk_seconds(done: Work) -> Band:
    """The weights' way from and to the disk, two bytes a parameter."""
    quick, usual, slow = (done.files * 2 * done.model.params / rate for rate in DISK_BYTES_PER_SECOND)
    return (quick, usual, slow)


def _fits(done: Work, held: Training | Answering, on: Group) -> bool:
    return sum(memory(replace(done, holds=held), on.count).values()) <= on.memory_bytes


def _smaller_passes(done: Work, held: Training, on: Group) -> Iterator[str]:
    """The largest micro-batch that fits."""
    for sequences in range(held.batch.sequences - 1, 0, -1):
        if _fits(done, replace(held, batch=replace(held.batch, sequences=sequences)), on):
            yield f"{held.section}.optimiser.pass_tokens={sequences * held.batch.tokens}"
            return


def _one_change(done: Work, held: Training, on: Group, alone: bool) -> Iterator[str]:
    """Precision, devices, sequence: the smallest change of each that fits."""
    beside = f"{held.section}.optimiser.pass_tokens={held.batch.tokens} with " if alone else ""
    methods = [one for one in OFFERED.get(held.section, ()) if one in _lighter(held.method)]
    rank = held.rank or 16
    fitting = [one for one in methods if _fits(done, replace(held, method=one, rank=rank), on)]  # type: ignore[arg-type]
    if fitting:
        yield f"{beside}{held.section}.method={fitting[0]}"
    count = on.count * 2
    while count <= MOST_DEVICES:
        if _fits(done, held, Group(on.name, count)):
            yield f"{beside}--device {count}x{on.name}"
            break
        count *= 2
    tokens = held.batch.tokens // 2
    while tokens >= held.shortest * held.joined and held.batch.sequences == 1:  # else shorter ones only become more
        if _fits(done, replace(held, batch=replace(held.batch, tokens=tokens)), on):
            yield f"{held.section}.optimiser.pass_tokens={tokens} with {held.length_key}={tokens // held.joined}"
            break
        tokens //= 2


def _lighter(method: Method) -> set[str]:
    return {lower for one in LIGHTER[method] for lower in (one, *LIGHTER[one])}


def _other_devices(done: Work, on: Group) -> Iterator[str]:
    """The smallest other device of the catalogue that holds the stage as it is."""
    larger = [
        (row.memory_bytes, name)
        for name, row in devices().items()
        if name not in (on.name, "cpu") and _fits(done, done.holds, Group(name, on.count))
    ]
    if larger:
        yield f"--device {f'{on.count}x' if on.count > 1 else ''}{min(larger)[1]}"
