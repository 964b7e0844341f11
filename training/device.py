"""The device a stage computes on: which one, in which precision, how much memory is free, what it used."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from contracts.errors import FitError
from contracts.precision import cpu_multiplies_bf16
from contracts.usage import Usage

NVML_MILLIJOULE = 1e-3


@dataclass(frozen=True)
class Device:
    """``kind`` is ``cpu`` or ``cuda``; ``name`` is what the ledger books (``cpu`` or the accelerator's own name)."""

    kind: str
    name: str
    count: int

    @property
    def dtype(self) -> torch.dtype:
        """Precision of weights that are loaded to compute with: bf16 on CUDA, fp32 on a CPU."""
        return torch.bfloat16 if self.kind == "cuda" else torch.float32

    @property
    def bf16(self) -> bool:
        """Whether matrices are multiplied in bf16 while weights, gradients and sums that need it stay in fp32.

        On a CPU with bf16 units 1.7 times as fast as fp32; on one without, a third.
        """
        return self.kind == "cuda" or cpu_multiplies_bf16()

    @property
    def compute_dtype(self) -> torch.dtype:
        """The precision that matrices are multiplied in."""
        return torch.bfloat16 if self.bf16 else torch.float32

    def autocast(self) -> torch.autocast:
        """Mixed precision for the calls within; without effect where the device has no bf16."""
        return torch.autocast(self.kind, torch.bfloat16, enabled=self.bf16)


def device_in_use() -> Device:
    """The device of this process; ``count`` is the number of processes that train together."""
    count = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if torch.cuda.is_available():
        return Device("cuda", torch.cuda.get_device_name(), count)
    return Device("cpu", "cpu", 1)


class Meter:
    """Counts what a stage uses between its construction and ``usage``."""

    def __init__(self) -> None:
        self.device = device_in_use()
        self._energy_start = _energy_joules() if self.device.kind == "cuda" else None
        if self.device.kind == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def usage(self, tokens_in: int = 0, tokens_out: int = 0) -> Usage:
        """The stage's usage; wall and CPU seconds (and a CPU's peak memory) are filled by ``stage_main``."""
        peak_bytes, energy = 0, None
        if self.device.kind == "cuda":
            peak_bytes = torch.cuda.max_memory_allocated()
            energy_end = _energy_joules()
            if energy_end is not None and self._energy_start is not None:
                energy = max(0.0, energy_end - self._energy_start)
        return Usage(
            device=self.device.name,
            device_count=self.device.count,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            peak_memory_bytes=peak_bytes,
            energy_joules=energy,
        )


def free_memory_bytes() -> int:
    """Memory that a model can take now: the accelerator's free memory, or the machine's available memory."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 62  # no such file: nothing is known, nothing is refused


def require_free_memory(needed_bytes: int, what: str) -> None:
    """Raise FitError, with the processes that hold the device, when less than ``needed_bytes`` are free."""
    free = free_memory_bytes()
    if free >= needed_bytes:
        return
    holders = _holders() if torch.cuda.is_available() else ""
    hint = f"end what holds the device: {holders}" if holders else "choose a smaller model or a smaller batch_tokens"
    raise FitError(what, f"needs {needed_bytes / 2**30:.1f} GiB", got=f"{free / 2**30:.1f} GiB free", hint=hint)


def _holders() -> str:
    """``pid name memory`` of the processes on the accelerator, or an empty string where the driver does not tell."""
    query = ["nvidia-smi", "--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(line.strip() for line in answer.stdout.splitlines() if line.strip())


def _energy_joules() -> float | None:
    """Energy the current accelerator has used since its driver was loaded (NVML), or None where it does not tell."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    identifier = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}".encode()
    if nvml.nvmlInit_v2() != 0:
        return None
    try:
        # By UUID: NVML's index ignores CUDA_VISIBLE_DEVICES.
        if nvml.nvmlDeviceGetHandleByUUID(identifier, ctypes.byref(handle)) != 0:
            return None
        if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)) != 0:
            return None
        return millijoules.value * NVML_MILLIJOULE
    finally:
        nvml.nvmlShutdown()
