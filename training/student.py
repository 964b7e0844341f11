"""Stage student: a smaller model learns the teacher's answers and, where ids are shared, its captured probabilities."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    GenerationConfig,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from contracts.artifacts import Artifact, describe
from contracts.errors import FitError, InputError
from contracts.layers import PrunedLayers
from contracts.stage import stage_main
from contracts.usage import Usage
from recipes.stage_sections import StudentSection
from training.captured_data import EXAMPLES, CapturedCollator, CapturedExamples, read_captured, read_text
from training.compact_loss import SCALED_HEADS, labelled_logits
from training.device import Meter, require_free_memory
from training.distillation_loss import student_loss
from training.engine import plan_steps, run, tokens_seen, training_arguments
from training.loading import load_model, load_tokenizer, model_metrics, save_model, weight_bytes
from training.tokenizers import require_shared_ids, tokenizer_fingerprint, tokenizer_verdict

CODE_VERSION = "2"
CAPTURED = ("kd_ids", "kd_logp", "kd_mass")
TOKENIZER = "tokenizer"
DISTILLED = "train.jsonl"
MEMORY_FACTOR = 10.0
"""Bytes needed for each byte of bf16 weights: fp32 weights and gradients, Adam's moments, some activations."""


def student(section: StudentSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Train one student; it starts from ``start``, or from the layers of ``teacher`` that are kept.

    It learns from ``capture``, or from the text of ``distilled`` where the teacher is not captured. Weights are fp32
    while they are trained, and saved in bf16. A pruned student keeps the teacher's embeddings and head as they are:
    they mean the same to it, and training them costs as much as all its layers. Raises TokenizerMismatch when loss
    top_k meets other token ids, FitError when it meets no capture.
    """
    meter = Meter()
    begins_from = inputs["start"].path if section.student.model else inputs["teacher"].path
    examples, tokenizer_folder = _examples(section, inputs, begins_from)
    tokenizer = load_tokenizer(tokenizer_folder)
    require_free_memory(int(weight_bytes(begins_from) * MEMORY_FACTOR), f"student {section.name}")
    model = load_model(begins_from, dtype=torch.float32)
    kept = () if section.student.model else _prune(model, inputs["layers"], section.student.layers)
    _require_plain_head(model, section.name)
    plan = plan_steps(examples.lengths, section.student.optimiser, section.student.max_tokens)
    arguments = training_arguments(
        TrainingArguments,
        section.student.optimiser,
        plan,
        out_dir,
        remove_unused_columns=False,
        train_sampling_strategy="group_by_length",
        label_names=["labels"],
    )
    trainer = StudentTrainer(
        model=model,
        args=arguments,
        train_dataset=examples,
        data_collator=CapturedCollator(int(tokenizer.pad_token_id)),
        distillation_weight=section.student.distillation_weight,
    )
    begun = Begun()
    trainer.add_callback(begun)
    curve = run(trainer, f"student {section.name}")
    seconds, tokens = time.perf_counter() - begun.at, tokens_seen(trainer)
    _take_stop_tokens(model, tokenizer, inputs["teacher"].path)
    same_ids = tokenizer_folder != begins_from
    save_model(model, tokenizer, out_dir, source=inputs["teacher"].path if same_ids else begins_from)
    metrics = {
        **model_metrics(model),
        "stands_for": section.student.stands_for,
        "loss": section.loss,
        "loss_reason": section.loss_reason,
        "kept_layers": list(kept),
        "examples": len(examples),
        "too_long": examples.too_long,
        "tokens": tokens,
        "steps": plan.steps,
        "precision": str(meter.device.compute_dtype).removeprefix("torch."),
        **trainer.final_losses(),
        "tokens_per_second": (tokens - begun.tokens) / seconds,
        "loss_curve": curve,
    }
    return describe(out_dir, "model", metrics), meter.usage(tokens_in=tokens - begun.tokens)


class Begun(TrainerCallback):  # type: ignore[misc]
    """When this attempt began to train, and how many tokens earlier attempts had seen by then."""

    at = 0.0
    tokens = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After a checkpoint was loaded, before the first step."""
        self.at, self.tokens = time.perf_counter(), int(state.num_input_tokens_seen)


class StudentTrainer(Trainer):  # type: ignore[misc]
    """transformers' trainer with the student's loss on labelled positions; logs its two parts beside their sum."""

    def __init__(self, *, distillation_weight: float, **options: Any) -> None:
        super().__init__(**options)
        self.distillation_weight = distillation_weight
        self.model_accepts_loss_kwargs = True  # the loss below divides by the step's labelled tokens itself
        self._parts = torch.zeros(3)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Mean loss a labelled token over the whole accumulated step, which ``num_items_in_batch`` counts."""
        plain = {name: value for name, value in inputs.items() if name not in CAPTURED}
        logits_N_V, targets_N, _ = labelled_logits(model, plain)
        captured = (inputs["kd_ids"], inputs["kd_logp"], inputs["kd_mass"]) if "kd_ids" in inputs else None
        loss, divergence, cross_entropy = student_loss(logits_N_V, targets_N, captured, self.distillation_weight)
        counts = torch.tensor(float(len(targets_N)))
        self._parts += torch.stack([divergence.detach().cpu(), cross_entropy.detach().cpu(), counts])
        return loss / (len(targets_N) if num_items_in_batch is None else num_items_in_batch)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means since the last log: ``kl`` and ``cross_entropy``, nats a labelled token."""
        if "loss" in logs and self._parts[2]:
            logs["kl"], logs["cross_entropy"] = (self._parts[:2] / self._parts[2]).tolist()
            self._parts.zero_()
        super().log(logs, start_time)

    def final_losses(self) -> dict[str, float]:
        """The last logged ``final_loss``, ``final_kl`` and ``final_cross_entropy``, and the first ``first_loss``."""
        logged = [entry for entry in self.state.log_history if "cross_entropy" in entry]
        if not logged:
            return {}
        last = {f"final_{name}": float(logged[-1][name]) for name in ("loss", "kl", "cross_entropy")}
        return {"first_loss": float(logged[0]["loss"]), **last}


def keep_layers(model: PreTrainedModel, layers: tuple[int, ...]) -> None:
    """Prune a model in place to these decoder layers, renumbered from 0. Raises FitError for layers it has not."""
    found = model.base_model.layers
    if not layers or list(layers) != sorted({number for number in layers if 0 <= number < len(found)}):
        raise FitError(
            "student layers",
            f"must be ascending numbers below the teacher's {len(found)}",
            got=layers,
            hint="stage prune finds them; run it again for this teacher",
        )
    model.base_model.layers = torch.nn.ModuleList(found[number] for number in layers)
    for number, layer in enumerate(model.base_model.layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number  # the place in the cache
    model.config.num_hidden_layers = len(layers)
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[number] for number in layers]


def _prune(model: PreTrainedModel, layers: Artifact, count: int) -> tuple[int, ...]:
    """Leave the model the ``count`` layers that were found, its embeddings and head frozen; returns the layers."""
    found = PrunedLayers.model_validate_json(layers.file("layers.json").read_text(encoding="utf-8"))
    keep_layers(model, found.kept[count])
    for table in (model.get_input_embeddings(), model.get_output_embeddings()):
        table.requires_grad_(False)
    return found.kept[count]


def _examples(section: StudentSection, inputs: dict[str, Artifact], begins_from: Path) -> tuple[CapturedExamples, Path]:
    """The training set, and the folder of the tokenizer that its ids belong to."""
    if "capture" not in inputs:
        if section.loss == "top_k":
            hint = "set loss: auto or sequence for it"
            raise FitError(f"student {section.name}", "loss top_k needs a capture of the teacher", hint=hint)
        return _own_ids(inputs["distilled"].file(DISTILLED), begins_from), begins_from
    capture = inputs["capture"].path
    teachers = capture / TOKENIZER
    verdict = tokenizer_verdict(tokenizer_fingerprint(teachers), tokenizer_fingerprint(begins_from))
    if section.loss == "top_k":
        require_shared_ids(verdict, section.name)
        return read_captured(capture, with_probabilities=True), teachers
    if verdict in ("identical", "pad_tail_safe"):
        return read_captured(capture, with_probabilities=False), teachers
    return _own_ids(capture / EXAMPLES, begins_from), begins_from


def _own_ids(file: Path, begins_from: Path) -> CapturedExamples:
    config = AutoConfig.from_pretrained(begins_from, local_files_only=True, trust_remote_code=False)
    context = int(getattr(config.get_text_config(), "max_position_embeddings", 0) or 1 << 30)
    return read_text(file, load_tokenizer(begins_from), context)


def _require_plain_head(model: PreTrainedModel, name: str) -> None:
    scaled = [field for field in SCALED_HEADS if getattr(model.config, field, None) not in (None, 1.0)]
    if scaled:
        raise FitError(f"student {name}", "logits of this architecture are scaled after the head", got=scaled[0],
                       hint="choose a student without it")  # fmt: skip
    if not hasattr(model.base_model, "layers"):
        raise InputError(f"student {name}", "has no decoder layers", got=type(model).__name__)


def _take_stop_tokens(model: PreTrainedModel, tokenizer: Any, teacher: Path) -> None:
    """The student stops where the teacher does, and decodes with its settings."""
    if (teacher / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(str(teacher), local_files_only=True)
    for holder in (model.config, model.generation_config):
        holder.eos_token_id, holder.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id


if __name__ == "__main__":
    stage_main(student, StudentSection)
