"""A sort for compiled loops: linear in the length, and quick to compile."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_curation.compiled import loop

FEW = 48
"""Up to here values are inserted one by one."""
BYTE = 256
STARTS = BYTE + 1
"""Numbers that the sort has to keep of its own."""


@loop
def order(values: Any, there: Any, starts: Any) -> None:
    """Sort unsigned integers where they are: byte by byte from the lowest, as radix sort does.

    ``there`` (as many integers of the same kind, or more) and ``starts`` (int64, ``STARTS``) are room to work in.
    """
    here = values
    if values.size <= FEW:
        for number in range(1, values.size):
            value, at = here[number], number
            while at > 0 and here[at - 1] > value:
                here[at] = here[at - 1]
                at -= 1
            here[at] = value
        return
    for shift in range(0, 8 * values.itemsize, 8):
        for byte in range(BYTE + 1):
            starts[byte] = 0
        for number in range(values.size):
            starts[((here[number] >> np.uint8(shift)) & np.uint8(255)) + 1] += 1
        for byte in range(BYTE):
            starts[byte + 1] += starts[byte]
        for number in range(values.size):
            byte = (here[number] >> np.uint8(shift)) & np.uint8(255)
            there[starts[byte]] = here[number]
            starts[byte] += 1
        here, there = there, here  # an even number of times: the last pass writes to where the values were
