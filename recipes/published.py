"""The planner against published figures: each row of ``published.yaml`` computed by the formulas that plans use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal

import yaml
from pydantic import Field

from recipes.catalogue import FOLDER, devices, models
from recipes.memory import GIB, LOGIT_BYTES, OVERHEAD, Batch, total_gib, training_memory
from recipes.section import Section
from recipes.shapes import Shape, shape
from recipes.speed import (
    FP8_GAIN,
    FSDP_SHARE,
    MEGATRON_SHARE,
    ONE,
    QLORA_SPEED,
    flops_seconds,
    saturated_tokens_per_second,
    training_flops,
)

CONTEXT_TOKENS = 1_024
"""Of a served sequence, prompt and answer: the published throughputs name no workload."""
RANK = 16
Kind = Literal[
    "pretraining_flops", "pretraining_hours", "pretraining_days", "product", "quotient", "training_speed",
    "distillation_hours", "qlora_memory", "logit_memory", "serving_speed", "usd_per_million", "fp8_peak", "peak_ratio",
    "usual_price", "between",
]  # fmt: skip


class Published(Section):
    """One published figure, what it was published for, and how near a formula should come."""

    id: str
    kind: Kind
    given: dict[str, Any]
    published: float
    unit: str
    tolerance: float = Field(gt=0)
    """Largest relative error."""
    source: str
    note: str = ""
    contradicts: bool = False
    """The figure does not follow from its own source."""

    @property
    def computed(self) -> float:
        """What the formulas say; p50 where they give a band."""
        return compute(self.kind, self.given)

    @property
    def error(self) -> float:
        """Computed over published, less one."""
        return self.computed / self.published - 1

    @property
    def stands(self) -> bool:
        """Within the tolerance; for a figure that contradicts itself, outside of it as known."""
        return (abs(self.error) <= self.tolerance) != self.contradicts


@cache
def published() -> tuple[Published, ...]:
    """All rows, in the order of the file."""
    data = yaml.safe_load((FOLDER / "published.yaml").read_text(encoding="utf-8"))
    return tuple(Published.model_validate(row) for row in data["rows"])


def compute(kind: Kind, given: dict[str, Any]) -> float:
    """One figure, from what its row gives."""
    match kind:
        case "pretraining_flops":
            return pretraining_flops(float(given["params"]), given["tokens"])
        case "pretraining_hours":
            return pretraining_hours(given["params"], given["tokens"], given["device"])
        case "pretraining_days":
            return pretraining_hours(given["params"], given["tokens"], given["device"]) / float(given["count"]) / 24
        case "product":
            return float(math.prod(given["factors"]))
        case "quotient":
            return float(given["factors"][0] / given["factors"][1])
        case "training_speed":
            return _training_speed(given)
        case "distillation_hours":
            flops = given["tokens"] * (8 * given["student"] + 2 * given["teacher"])
            return flops_seconds(flops, devices()[given["device"]], FSDP_SHARE)[1] / 3600
        case "qlora_memory":
            return _qlora_gib(given)
        case "logit_memory":
            return float(LOGIT_BYTES * given["length"] * given["vocab"] / GIB)
        case _:
            return _of_devices(kind, given)


def pretraining_flops(params: float, tokens: float) -> float:
    """6 N D (Kaplan et al. 2020): two operations a parameter forwards, four backwards."""
    return 6 * params * tokens


def pretraining_hours(params: float, tokens: float, device: str) -> float:
    """Device-hours at the usual share of a Megatron-class stack."""
    return flops_seconds(pretraining_flops(params, tokens), devices()[device], MEGATRON_SHARE)[1] / 3600


def between(years: Sequence[float], prices: Sequence[float]) -> float:
    """The price in the second of three years, by the constant yearly decline from the first to the third."""
    first, wanted, last = years
    return float(prices[0] * (prices[1] / prices[0]) ** ((wanted - first) / (last - first)))


def _of_devices(kind: Kind, given: dict[str, Any]) -> float:
    """Figures of devices, of serving on them, and of prices."""
    if kind == "between":
        return between(given["years"], given["prices"])
    if kind == "usd_per_million":
        return float(given["usd_per_hour"] / (3600 * given["tokens_per_second"]) * 1e6)
    device = devices()[given["device"]]
    if kind == "serving_speed":
        return saturated_tokens_per_second(shape(models()[given["model"]]), device, CONTEXT_TOKENS)[1]
    if kind == "fp8_peak":
        return 2 * device.bf16_tflops
    if kind == "peak_ratio":
        return float(given.get("count", 1)) * device.bf16_tflops / devices()["A100-80GB-SXM"].bf16_tflops
    return device.usd_per_hour[1] if device.usd_per_hour else math.nan


def _training_speed(given: dict[str, Any]) -> float:
    """Tokens a second of one device."""
    vocab, width = given["vocab"], given["width"]
    model = Shape(given["params"], given["params"], given["layers"], width, vocab, width, 2.0 * vocab * width, False)
    device = devices()[given.get("device", "H100-SXM")]
    if "peak_tflops" in given:
        device = device.model_copy(update={"bf16_tflops": given["peak_tflops"]})
    share = MEGATRON_SHARE if given["stack"] == "megatron" else FSDP_SHARE
    speed = QLORA_SPEED if given["method"] == "qlora" else ONE
    flops = training_flops(model, given["method"], RANK, 1, given["length"], given.get("recompute", False))
    return (FP8_GAIN if given.get("fp8") else 1.0) / flops_seconds(flops, device, share, speed)[1]


def _qlora_gib(given: dict[str, Any]) -> float:
    """One sequence a pass, before the device's own context and fragments, as the tables have it."""
    batch = Batch(given["length"], 1)
    if "logit_chunks" in given:
        batch = replace(batch, labelled_share=1 / given["logit_chunks"])
    parts = training_memory(shape(models()[given["model"]]), "qlora", RANK, batch)
    return total_gib({name: size for name, size in parts.items() if name not in OVERHEAD})
