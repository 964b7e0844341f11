"""A sort for compiled loops: linear in the length, and quick to compile."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_curation.compiled import loop

FEW = 48
"""Up to here values are inserted one by one."""
BYTE = 256


@loop
def ordered(values: Any) -> Any:
    """A sorted copy of unsigned integers: byte by byte from the lowest, as radix sort does."""
    here = np.empty(values.size, values.dtype)
    for number in range(values.size):
        here[number] = values[number]
    if values.size <= FEW:
        for number in range(1, here.size):
            value, at = here[number], number
            while at > 0 and here[at - 1] > value:
                here[at] = here[at - 1]
                at -= 1
            here[at] = value
        return here
    there, starts = np.empty(here.size, here.dtype), np.empty(BYTE + 1, np.int64)
    for shift in range(0, 8 * values.itemsize, 8):
        for byte in range(BYTE + 1):
            starts[byte] = 0
        for number in range(here.size):
            starts[((here[number] >> np.uint8(shift)) & np.uint8(255)) + 1] += 1
        for byte in range(BYTE):
            starts[byte + 1] += starts[byte]
        for number in range(here.size):
            byte = (here[number] >> np.uint8(shift)) & np.uint8(255)
            there[starts[byte]] = here[number]
            starts[byte] += 1
        here, there = there, here
    return here
