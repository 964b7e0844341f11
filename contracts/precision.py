"""Whether this machine's processor multiplies in bfloat16 itself; where it does not, bf16 is slower than fp32."""

from __future__ import annotations

from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
BF16_UNITS = {"avx512_bf16", "amx_bf16", "bf16"}
"""The kernel's names of the instruction sets: x86 (two) and ARM. AVX512 without them emulates bf16 at a third."""


@cache
def cpu_multiplies_bf16(described_in: Path = CPU_INFO) -> bool:
    """True where the first processor's flags name a bf16 instruction set; False where nothing is told."""
    try:
        lines = described_in.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), "")
    return not BF16_UNITS.isdisjoint(flags.split())
