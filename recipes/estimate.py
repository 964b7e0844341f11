"""What a stage is expected to take, from the recipe alone: FLOPs, device-seconds as a band, memory by part.

FLOPs per token (N: matmul parameters, active ones of a mixture): full training 6N, LoRA 4N (reproduces published H100
fine-tuning tables within 1.5 %), forward 2N. QLoRA runs at 0.60 / 0.75 / 0.85 of LoRA's speed. Model FLOPs utilisation
0.15 / 0.28 / 0.40 of the dense bf16 peak for FSDP and TRL; decoding is bound by memory bandwidth instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from recipes.catalogue import devices, models
from recipes.catalogue_rows import Device, PublicModel
from recipes.schema import Recipe

MFU = (0.40, 0.28, 0.15)
"""Best, usual, worst: they give the p10, p50 and p90 of the time."""
QLORA_SPEED = (0.85, 0.75, 0.60)
DECODE_BANDWIDTH_SHARE = (0.7, 0.5, 0.25)
CHARS_PER_TOKEN = 4.0
ANSWER_SHARE = 0.5
"""Of ``max_new_tokens``, what an answer is expected to use."""
SERVE_START_SECONDS = (45.0, 70.0, 180.0)
ENGINE_BATCH = 16
Band = tuple[float, float, float]


@dataclass(frozen=True)
class Estimate:
    """One stage: device-seconds p10 / p50 / p90, and bytes of device memory by part."""

    seconds: Band
    memory_bytes: dict[str, float]

    @property
    def memory_gib(self) -> float:
        """All parts together."""
        return sum(self.memory_bytes.values()) / 2**30


def estimate(recipe: Recipe, stage: str, device_name: str) -> Estimate | None:
    """The estimate of a chain's stage on a catalogue device; None for stages that hold no device."""
    device = devices()[device_name]
    base = models()[recipe.selection.candidates[0]]
    kind, _, which = stage.partition(":")
    student = recipe.students.get(which)
    model, keep = base, 1.0
    if student is not None and student.model:
        model = models()[student.model]
    elif student is not None:
        keep = student.layers / (base.layers or 1)
    params = matmul_params(model) * keep
    match kind:
        case "select":
            tokens = recipe.selection.held_out_chars / CHARS_PER_TOKEN
            return Estimate(_flops_seconds(2 * params * tokens, device), _inference_memory(model, recipe))
        case "cpt":
            flops = 6 * params * recipe.cpt.max_tokens
            return Estimate(_flops_seconds(flops, device), _full_memory(model, recipe, keep))
        case "sft":
            flops = 4 * params * recipe.sft.max_tokens
            slow = QLORA_SPEED if recipe.sft.method == "qlora" else (1.0, 1.0, 1.0)
            return Estimate(_flops_seconds(flops, device, slow), _lora_memory(model, recipe))
        case "dpo":
            tokens = recipe.dpo.max_pairs * 2 * recipe.tokenise.max_tokens * ANSWER_SHARE
            flops = (4 + 2) * params * tokens * recipe.dpo.optimiser.epochs
            return Estimate(_flops_seconds(flops, device), _lora_memory(model, recipe))
        case "sample" | "teacher" | "evaluate":
            return Estimate(_answer_seconds(recipe, kind, params, device), _inference_memory(model, recipe))
        case "capture":
            return Estimate(
                _flops_seconds(2 * params * _distil_tokens(recipe), device), _inference_memory(model, recipe)
            )
        case "prune":
            return Estimate(_flops_seconds(_prune_flops(recipe, base), device), _inference_memory(model, recipe))
        case "student" if student is not None:
            flops = 6 * params * min(student.max_tokens, _distil_tokens(recipe) * student.optimiser.epochs)
            return Estimate(_flops_seconds(flops, device), _full_memory(model, recipe, keep))
        case "serve":
            cells = len(recipe.serving.concurrency) + len(recipe.serving.request_rates)
            requests = cells * recipe.serving.repeats * recipe.serving.requests_per_cell
            tokens = requests * recipe.serving.output_tokens
            run = _decode_seconds(tokens, params, device)
            seconds = (
                run[0] + SERVE_START_SECONDS[0],
                run[1] + SERVE_START_SECONDS[1],
                run[2] + SERVE_START_SECONDS[2],
            )
            return Estimate(seconds, _inference_memory(model, recipe))
        case _:
            return None


def matmul_params(model: PublicModel) -> float:
    """Parameters that a token is multiplied with: all (or the active ones) but the input embedding."""
    params = (model.active_b or model.params_b) * 1e9
    return params - embedding_params(model) if params < 1e9 else params


def embedding_params(model: PublicModel) -> float:
    """Rows of the vocabulary times the width; 0 where the catalogue does not say."""
    return float((model.vocab or 0) * (model.hidden or 0))


def _flops_seconds(flops: float, device: Device, speed: Band = (1.0, 1.0, 1.0)) -> Band:
    peak = device.bf16_tflops * 1e12
    return (
        flops / (peak * MFU[0] * speed[0]),
        flops / (peak * MFU[1] * speed[1]),
        flops / (peak * MFU[2] * speed[2]),
    )


def _decode_seconds(tokens: float, params: float, device: Device) -> Band:
    """Each step reads the weights once for the whole batch (2 bytes a weight)."""
    bytes_read = tokens / ENGINE_BATCH * 2 * params
    bandwidth = device.bandwidth_tb_s * 1e12
    low, usual, high = (bytes_read / (bandwidth * share) for share in DECODE_BANDWIDTH_SHARE)
    return (low, usual, high)


def _answer_seconds(recipe: Recipe, kind: str, params: float, device: Device) -> Band:
    items = {
        "sample": recipe.dpo.samples,
        "teacher": recipe.capture.teacher_prompts,
        "evaluate": recipe.curation.max_eval * len(recipe.tasks) + recipe.evaluation.general_items,
    }[kind]
    prompt = _flops_seconds(2 * params * items * recipe.tokenise.max_tokens * ANSWER_SHARE, device)
    answer = _decode_seconds(items * recipe.evaluation.answering.max_new_tokens * ANSWER_SHARE, params, device)
    return (prompt[0] + answer[0], prompt[1] + answer[1], prompt[2] + answer[2])


def _distil_tokens(recipe: Recipe) -> float:
    if recipe.writer.for_students:
        return recipe.capture.max_tokens
    return min(recipe.capture.max_tokens, recipe.sft.max_tokens / max(1.0, recipe.sft.optimiser.epochs))


def _prune_flops(recipe: Recipe, base: PublicModel) -> float:
    """Each round leaves every layer out in turn; the layers before it are not computed again: half a model each."""
    layers, fewest = base.layers or 1, min((one.layers for one in recipe.students.values() if one.layers), default=0)
    candidates = sum(range(layers, fewest, -recipe.prune.layers_per_round)) if fewest else 0
    tokens = recipe.prune.examples * recipe.prune.max_tokens
    return candidates * tokens * (matmul_params(base) * (1 + fewest / layers) / 2 + 2 * embedding_params(base))


def _activations(model: PublicModel, recipe: Recipe) -> dict[str, float]:
    width, layers, tokens = model.hidden or 4096, model.layers or 32, recipe.tokenise.max_tokens
    return {
        "activations (checkpointed)": 2.0 * tokens * width * layers + 34.0 * tokens * width,
        "logits": 10.0 * tokens * (model.vocab or 128_000),
        "context": 1.5 * 2**30,
    }


def _full_memory(model: PublicModel, recipe: Recipe, keep: float) -> dict[str, float]:
    params = model.params_b * 1e9 * keep
    return {"weights, gradients and AdamW": 16.0 * params} | _activations(model, recipe)


def _lora_memory(model: PublicModel, recipe: Recipe) -> dict[str, float]:
    width, layers, rank = model.hidden or 4096, model.layers or 32, recipe.sft.lora.rank
    adapter = 7 * layers * rank * 2.7 * width  # seven linear layers, the MLP's about 2.7 times as wide
    embedding = embedding_params(model)
    linear = model.params_b * 1e9 - embedding
    weights = 0.516 * linear + 2 * embedding if recipe.sft.method == "qlora" else 2 * model.params_b * 1e9
    return {"weights": weights, "adapter and AdamW": 16.0 * adapter} | _activations(model, recipe)


def _inference_memory(model: PublicModel, recipe: Recipe) -> dict[str, float]:
    width, layers = model.hidden or 4096, model.layers or 32
    # grouped-query attention keeps about a quarter of the width for keys and as much for values
    cache = ENGINE_BATCH * recipe.tokenise.max_tokens * layers * width * 0.25 * 2 * 2
    return {"weights": 2 * model.params_b * 1e9, "kv cache": cache, "context": 1.5 * 2**30}
