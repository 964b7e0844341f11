"""What a catalogue model takes, by arithmetic alone: memory (``recipes.memory`` has the formulas) and cost."""

from __future__ import annotations

from dataclasses import dataclass

from recipes.catalogue import devices
from recipes.catalogue_rows import Device, PublicModel
from recipes.memory import OVERHEAD, Batch, total_gib, training_memory
from recipes.shapes import shape
from recipes.speed import FSDP_SHARE

LORA_RANK = 16
SERVE_SHARE_OF_PEAK = 0.25
"""The same for saturated serving: 0.12 to 0.39 in published vLLM figures for 7B to 32B models."""
BYTES_PER_TOKEN = 4.0
"""English text, any of the catalogue's tokenizers, roughly."""


@dataclass(frozen=True)
class Cost:
    """Estimated USD on the catalogue's device; the serving figure is per one million output tokens."""

    train_usd: float
    serve_usd_per_1m_tokens: float


def qlora_memory_gib(row: PublicModel, tokens: int, overhead: bool = True) -> float:
    """Peak memory in GiB of a QLoRA step on one sequence of ``tokens``."""
    parts = training_memory(shape(row), "qlora", LORA_RANK, Batch(tokens, sequences=1))
    return total_gib({name: size for name, size in parts.items() if overhead or name not in OVERHEAD})


def device_for(memory_gib: float) -> tuple[str, Device]:
    """The smallest priced device of at least that memory, the cheapest a FLOP among equals; else the largest."""
    priced = [(name, row) for name, row in devices().items() if row.usd_per_hour is not None]
    large_enough = [one for one in priced if one[1].memory_gb >= memory_gib]
    if not large_enough:
        return max(priced, key=lambda one: one[1].memory_gb)
    return min(large_enough, key=lambda one: (one[1].memory_gb, _usd_per_hour(one[1]) / one[1].bf16_tflops))


def cost(row: PublicModel, device: Device, pretraining_tokens: float, tuning_tokens: float) -> Cost:
    """One pass of continued pretraining (6 N a token) and of QLoRA tuning (4 N a token), and serving (2 N a token)."""
    active = (row.active_b or row.params_b) * 1e9
    flops = 6 * active * pretraining_tokens + 4 * active * tuning_tokens
    usd_per_second = _usd_per_hour(device) / 3600
    peak = device.bf16_tflops * 1e12
    return Cost(
        train_usd=flops / (peak * FSDP_SHARE[1]) * usd_per_second,
        serve_usd_per_1m_tokens=2 * active * 1e6 / (peak * SERVE_SHARE_OF_PEAK) * usd_per_second,
    )


def _usd_per_hour(device: Device) -> float:
    """The middle of the device's price band."""
    return device.usd_per_hour[1] if device.usd_per_hour else 0.0
