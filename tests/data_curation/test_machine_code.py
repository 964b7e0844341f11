"""Loops that Python calls without the compiler: the same results as with it, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_curation import compiled
from data_curation.compiled import entry, loop, lowest_bit
from data_curation.machine_code import kinds_of

CHECKOUT = Path(compiled.__file__).parents[1]
PASS = """
import sys, tempfile
from data_curation.kernel import Wanted, texts_of
from data_curation.prints import cluster, prints_of
texts = texts_of([" ".join(f"word{n}" for n in range(first, first + 80)) for first in (0, 1, 500)])
with tempfile.TemporaryFile() as file:
    print(cluster(prints_of([texts], Wanted(), file), 0.8)[0].tolist(), "numba" in sys.modules)
"""


@loop
def _places(values: Any, number: int) -> Any:
    return lowest_bit(values[number]) * 10


@entry
def _fill(rows: Any, values: Any, factor: float, twice: bool, more: int) -> int:
    for number in range(values.size):
        rows[number, 0] = _places(values, number)
        rows[number, 1] = (2 if twice else 1) * factor
    return values.size + more


@entry
def _makes(values: Any) -> int:
    return np.empty(values.size, np.int64)[0]


def test_an_entry_does_what_its_function_does() -> None:
    rows, values = np.zeros((3, 2)), np.array([1, 8, 6], np.uint64)
    assert _fill(rows, values, 0.5, True, 4) == 7
    assert rows.tolist() == [[0, 1], [30, 1], [10, 1]]
    assert kinds_of((rows, values, 0.5, True, 4, np.uint64(1))) == ("f8x2", "u8x1", "f8", "b1", "i8", "u8")


def test_an_array_of_another_order_is_refused() -> None:
    with pytest.raises(ValueError, match="in C order"):
        _fill(np.zeros((2, 3)).T, np.zeros(3, np.uint64), 0.5, True, 4)


def test_an_entry_that_makes_an_array_is_refused() -> None:
    with pytest.raises(TypeError, match="_makes: must make no array, got a call of NRT"):
        _makes(np.zeros(3))


def test_near_duplicates_are_found_without_the_compiler() -> None:
    run = [sys.executable, "-c", PASS]
    subprocess.run(run, cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)  # compiles what nobody has called yet
    told = subprocess.run(run, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    assert told.split("\n")[0] == "[0, 0, 2] False"
