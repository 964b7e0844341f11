"""From floating-point operations and bytes to seconds on a device, as p10 / p50 / p90.

Operations a token (N: matmul parameters of the shape, active ones of a mixture; s: tokens of a sequence):

    forward           2 N
    full training     6 N + 6 L h s     causal attention; 6 N alone is Kaplan et al. 2020
    LoRA, QLoRA       4 N + 6 P         no gradient of the frozen weights; reproduces H100 tables of NeMo 24.12
    recomputing       + 2 N             activations computed a second time

Time is these over the device's dense bf16 peak and a share of it that stacks reach. Decoding reads weights and cache
from memory once a step, whatever the arithmetic would allow.
"""

from __future__ import annotations

from recipes.catalogue_rows import Device
from recipes.memory import Method
from recipes.shapes import Shape

Band = tuple[float, float, float]
"""p10, p50, p90."""
ONE: Band = (1.0, 1.0, 1.0)
FSDP_SHARE: Band = (0.40, 0.28, 0.15)
"""Of the bf16 peak, best first (it gives the shortest time): FSDP, TRL and PEFT as published for LoRA; also ours."""
MEGATRON_SHARE: Band = (0.55, 0.45, 0.35)
"""The same for Megatron-class stacks, for compiled training on one device, and for forward passes: none of them waits
for other devices, or for an optimiser."""
FP8_GAIN = 1.5
"""Of fp8 over bf16 in training: only the linear layers double. Fitted to the four rows of NeMo 24.12."""
QLORA_SPEED: Band = (0.85, 0.75, 0.60)
"""Of LoRA's speed: de-quantisation costs bandwidth."""
BANDWIDTH_SHARE: Band = (0.7, 0.5, 0.25)
"""Of the memory bandwidth, in decoding."""
USABLE_SHARE = 0.9
"""Of the memory that a serving engine takes."""


def training_flops(
    model: Shape, method: Method, rank: int, tokens: float, length: int, recompute: bool, labelled_share: float = 1.0
) -> float:
    """Operations of training on ``tokens`` in sequences of ``length``; positions without a label need no head."""
    used = model.matmul - model.head * (1 - labelled_share)
    again = 2 * used if recompute else 0.0
    if method == "full":
        return tokens * (6 * used + 6 * model.layers * model.width * length + again)
    return tokens * (4 * used + 6 * model.adapter(rank) + again)


def flops_seconds(flops: float, device: Device, share: Band, speed: Band = ONE) -> Band:
    """Seconds on one device."""
    peak = device.bf16_tflops * 1e12
    low, usual, high = (flops / (peak * s * v) for s, v in zip(share, speed, strict=True))
    return (low, usual, high)


def step_seconds(model: Shape, device: Device, sequences: float, context: float) -> Band:
    """One decoding step of ``sequences`` at once, each with ``context`` tokens behind it: memory or arithmetic bound.

    A mixture's step reads the experts that any of the sequences needs: all of them from a few sequences on.
    """
    weights = 2 * min(model.params, model.active * max(1.0, sequences))
    read = weights + sequences * context * model.kv_bytes_per_token
    arithmetic = flops_seconds(2 * model.matmul * sequences, device, MEGATRON_SHARE)
    low, usual, high = (
        max(read / (device.bandwidth_tb_s * 1e12 * share), bound)
        for share, bound in zip(BANDWIDTH_SHARE, arithmetic, strict=True)
    )
    return (low, usual, high)


def decode_seconds(model: Shape, device: Device, tokens: float, sequences: float, context: float) -> Band:
    """Seconds to write ``tokens`` in all, ``sequences`` at a time."""
    return times(step_seconds(model, device, sequences, context), tokens / max(1.0, sequences))


def saturated_tokens_per_second(model: Shape, device: Device, context: float, most: float = 1_024) -> Band:
    """Output tokens a second of one device whose memory is full of sequences of ``context`` tokens; p10 is the least.

    0 where the weights alone do not fit.
    """
    free = device.memory_bytes * USABLE_SHARE - 2 * model.params
    sequences = min(most, free // (context * model.kv_bytes_per_token))
    if sequences < 1:
        return (0.0, 0.0, 0.0)
    quick, usual, slow = step_seconds(model, device, sequences, context)
    return (sequences / slow, sequences / usual, sequences / quick)


def plus(*bands: Band) -> Band:
    """Bands added as if all went well, or badly, together: wider than the sum of independent ones."""
    low, usual, high = (sum(values) for values in zip(*bands, strict=True))
    return (low, usual, high)


def times(band: Band, factor: float) -> Band:
    """A band scaled."""
    return (band[0] * factor, band[1] * factor, band[2] * factor)
