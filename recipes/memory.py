"""Memory of one device, by part, in bytes.

F devices share what is sharded (FSDP); N_linear and N_embedding are a shape's parameters, P an adapter's, s the tokens
of a sequence, b the sequences of a pass, h width, L layers, V vocabulary:

    full         16 N / F                                  fp32 weights and gradients, Adam's two moments
    LoRA         2 N / F + 16 P                            bf16 base; adapter as above
    QLoRA        (0.516 N_linear + 2 N_embedding) / F + 16 P   NF4 with double quantisation; embeddings in bf16
    activations  2 s b h L + 34 s b h                      checkpointed: the layers' inputs and one layer's working set
                 34 s b h L                                kept whole (Korthikanti et al. 2022, without its attention
                                                           matrix, which fused attention does not store)
    logits       10 s b V                                  unfused: bf16 logits, fp32 copy, fp32 gradient
    cache        2 x 2 L kv_width tokens                   keys and values in bf16
    context      1.5 GiB                                   the device's own, 1 to 2 GiB
    fragments    7.5 % of all                              5 to 10 %

The published QLoRA figures of ``recipes/published.yaml`` are reproduced within 6 % (``stillroom plan check``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recipes.shapes import Shape

GIB = 2**30
PASS_TOKENS = {"cuda": 16_384, "cpu": 2_048}
"""Padded tokens of one training pass: larger ones leave a CPU's caches and gain nothing."""
CONTEXT_BYTES = 1.5 * GIB
FRAGMENTS = 0.075
OVERHEAD = ("context", "fragments")
NF4_BYTES = 0.516
LOGIT_BYTES = 10
CAPTURED_LOGIT_BYTES = 16
"""Of the loss on captured probabilities: fp32 logits, the labelled ones, their softmax, their gradient."""
Method = Literal["full", "lora", "qlora"]
Parts = dict[str, float]


@dataclass(frozen=True)
class Batch:
    """What one device holds in one training pass."""

    tokens: int
    """Of the longest sequence."""
    sequences: int
    recompute: bool = True
    """Gradient checkpointing: activations are computed again in the backward pass."""
    labelled_share: float = 1.0
    """Of the positions, those that have logits."""
    logit_bytes: int = LOGIT_BYTES


def training_memory(model: Shape, method: Method, rank: int, batch: Batch, devices: int = 1) -> Parts:
    """Bytes a device of one training step; see the module for the formulas."""
    trained = model.params / devices if method == "full" else model.adapter(rank)
    frozen = {"full": 0.0, "lora": 2 * model.params, "qlora": NF4_BYTES * model.linear + 2 * model.embeddings}[method]
    positions = batch.tokens * batch.sequences
    whole, inputs = 34 * positions * model.width, 2 * positions * model.width * model.layers
    return _with_overhead(
        {
            "weights": frozen / devices + 4 * trained,
            "gradients": 4 * trained,
            "optimiser": 8 * trained,
            "activations": float(inputs + whole if batch.recompute else whole * model.layers),
            "logits": batch.logit_bytes * positions * batch.labelled_share * model.vocab,
        }
    )


def inference_memory(model: Shape, sequences: int, tokens: int) -> Parts:
    """Bytes a device of answering ``sequences`` at once, each of ``tokens``, with weights in bf16."""
    cache = sequences * tokens * model.kv_bytes_per_token
    return _with_overhead({"weights": 2 * model.params, "kv cache": cache, "logits": 4.0 * sequences * model.vocab})


def total_gib(parts: Parts) -> float:
    """All parts together."""
    return sum(parts.values()) / GIB


def _with_overhead(parts: Parts) -> Parts:
    used = sum(parts.values()) + CONTEXT_BYTES
    return parts | {"context": CONTEXT_BYTES, "fragments": FRAGMENTS * used}
