"""Which part of a device a MIG instance takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

MEMORY_SLICES = 8
COMPUTE_SLICES = 7
LINE = re.compile(r"MIG (\d+)g\.(\d+)gb\S*\s.*UUID: (MIG-[^)\s]+)")


def mig_share(listed: Iterable[str], instance: str, whole_memory_gib: float) -> Fraction:
    """The larger of an instance's shares in compute (of 7 slices) and in memory (of 8); 1 where it is not listed.

    ``listed`` are the lines of ``nvidia-smi -L``, ``instance`` a MIG UUID. The larger one, because an instance with one
    slice of compute and a quarter of the memory leaves room for three more like it, not for six. Source of the slices:
    NVIDIA's Multi-Instance GPU user guide, tables of profiles; a profile's gigabytes are rounded there, so the memory's
    share is rounded to whole slices.
    """
    for line in listed:
        found = LINE.search(line)
        if found and found.group(3) == instance:
            compute = Fraction(int(found.group(1)), COMPUTE_SLICES)
            slices = round(int(found.group(2)) / whole_memory_gib * MEMORY_SLICES)
            return min(Fraction(1), max(compute, Fraction(slices, MEMORY_SLICES)))
    return Fraction(1)
