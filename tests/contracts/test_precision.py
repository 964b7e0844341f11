"""bf16 is used where the processor says that it has units for it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.precision import cpu_multiplies_bf16


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags : fpu amx_bf16\n", True),
        ("Features\t: fp asimd i8mm bf16\n", True),
        ("flags : fpu avx2 avx512f avx512_vnni\n", False),
        ("bugs : avx512_bf16\n", False),
        ("", False),
    ],
)
def test_the_flags_decide(tmp_path: Path, told: str, expected: bool):
    described = tmp_path / "cpuinfo"
    described.write_text(told)
    assert cpu_multiplies_bf16(described) is expected


def test_an_untold_processor_has_none(tmp_path: Path):
    assert cpu_multiplies_bf16(tmp_path / "absent") is False
