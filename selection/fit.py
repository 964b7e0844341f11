"""What a catalogue model takes, by arithmetic alone: memory and cost.

Memory of a QLoRA fine-tune on one device, in bytes (N_linear and N_embedding: parameters of the linear layers and of
the embeddings, P: LoRA parameters, s: tokens of a sequence, one sequence a batch, h: width, L: layers, V: vocabulary):

    0.516 N_linear + 2 N_embedding      NF4 weights with double quantisation; embeddings in bf16
    + 16 P                              LoRA weights, gradients and Adam's moments
    + 2 s h L + 34 s h                  checkpointed activations, and one layer's working set
    + 10 s V                            unfused logits and their gradient
    + 1.5 GiB, then 7.5 % on top        the device's own context, fragmentation
"""

from __future__ import annotations

from dataclasses import dataclass

from recipes.catalogue import devices
from recipes.catalogue_rows import Device, PublicModel

GIB = 1024**3
LORA_RANK = 16
TRAIN_SHARE_OF_PEAK = 0.28
"""Model FLOPs over the device's bf16 peak in LoRA fine-tuning: the middle of published runs (0.15 to 0.40)."""
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
    """Peak memory in GiB of a QLoRA step on one sequence of ``tokens``; see the module for the formula.

    Rows without layers or width are taken as a usual shape of their size (width 128 times the layers).
    """
    parameters = row.params_b * 1e9
    layers = row.layers or max(1, round((parameters / (12 * 128**2)) ** (1 / 3)))
    width = row.hidden or 128 * layers
    vocabulary = row.vocab or 128_000
    # Input and output embeddings; models under 5 billion parameters tie the two.
    embeddings = min(parameters / 2, vocabulary * width * (1 if row.params_b < 5 else 2))
    lora = 18.5 * LORA_RANK * width * layers  # in + out widths of one layer's seven projections come to about 18.5 h
    needed = (
        0.516 * (parameters - embeddings)
        + 2 * embeddings
        + 16 * lora
        + 2 * tokens * width * layers
        + 34 * tokens * width
        + 10 * tokens * vocabulary
    )
    return (needed + 1.5 * GIB) * 1.075 / GIB if overhead else needed / GIB


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
        train_usd=flops / (peak * TRAIN_SHARE_OF_PEAK) * usd_per_second,
        serve_usd_per_1m_tokens=2 * active * 1e6 / (peak * SERVE_SHARE_OF_PEAK) * usd_per_second,
    )


def _usd_per_hour(device: Device) -> float:
    """The middle of the device's price band."""
    return device.usd_per_hour[1] if device.usd_per_hour else 0.0
