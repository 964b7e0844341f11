"""Stage sft: supervised fine-tuning on prompts and answers, by QLoRA, LoRA or in full."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from contracts.artifacts import Artifact, describe
from contracts.stage import stage_main
from contracts.usage import Usage
from recipes.training_sections import Sft
from training.adapters import to_fp32, with_adapter
from training.compact_loss import CompactSftTrainer
from training.device import Meter, require_free_memory
from training.engine import Plan, plan_steps, resumed_from, run, tokens_seen, training_arguments
from training.loading import (
    load_model,
    load_model_4bit,
    load_tokenizer,
    model_metrics,
    save_adapter,
    save_model,
    trainable_parameters,
    weight_bytes,
)
from training.token_files import SFT_TRAIN, read_dataset

CODE_VERSION = "2"
MEMORY_FACTOR = {"qlora": 1.5, "lora": 3.0, "full": 10.0}
"""Bytes needed for each byte of bf16 weights: the weights as loaded, gradients, Adam's moments, some activations."""


def sft(section: Sft, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``model`` tuned on ``tokens``; makes an ``adapter``, or a ``model`` where the method is ``full``.

    The loss is on the answers only. Raises FitError where the model does not fit the device's free memory.
    """
    meter = Meter()
    source = inputs["model"].path
    require_free_memory(int(weight_bytes(source) * MEMORY_FACTOR[section.method]), f"sft ({section.method})")
    dataset = read_dataset(inputs["tokens"], SFT_TRAIN, ["input_ids", "labels"])
    lengths = [len(ids) for ids in dataset["input_ids"]]
    plan = plan_steps(lengths, section.optimiser, section.max_tokens, meter.device)
    tokenizer = load_tokenizer(source)
    trainer = make_trainer(section, trainable_model(section, source), tokenizer, dataset, plan, out_dir)
    started = time.monotonic()
    curve = run(trainer, "sft")
    seconds = time.monotonic() - started
    model = trainer.accelerator.unwrap_model(trainer.model)
    metrics: dict[str, Any] = {
        "method": section.method,
        "examples": len(lengths),
        "steps": plan.steps,
        "resumed_from_step": resumed_from(trainer),
        "epochs": round(plan.steps * plan.batch * plan.accumulation / len(lengths), 3),
        "examples_per_step": plan.batch * plan.accumulation,
        "tokens": tokens_seen(trainer),
        "tokens_per_second": round(plan.tokens / seconds, 1) if seconds else 0.0,
        "trainable_parameters": sum(parameter.numel() for _, parameter in trainable_parameters(model)),
        "loss_first": curve[0]["loss"] if curve else None,
        "loss_last": curve[-1]["loss"] if curve else None,
        "loss_curve": curve,
    }
    if section.method == "full":
        metrics |= model_metrics(model)
        save_model(model, tokenizer, out_dir, source)
    else:
        save_adapter(model, out_dir)
    kind = "model" if section.method == "full" else "adapter"
    return describe(out_dir, kind, metrics), meter.usage(tokens_in=tokens_seen(trainer))


def trainable_model(section: Sft, source: Path) -> PreTrainedModel:
    """The model as the method trains it: 4-bit with an adapter, plain with an adapter, or whole in fp32."""
    match section.method:
        case "qlora":
            return with_adapter(load_model_4bit(source), section.lora, section.optimiser.seed)
        case "lora":
            return with_adapter(load_model(source), section.lora, section.optimiser.seed)
        case "full":
            return load_model(source, torch.float32)


def make_trainer(
    section: Sft, model: PreTrainedModel, tokenizer: Any, dataset: Dataset, plan: Plan, out_dir: Path
) -> CompactSftTrainer:
    """TRL's trainer over tokenised examples of similar length in a batch, with fp32 adapter weights."""
    arguments = training_arguments(
        SFTConfig,
        section.optimiser,
        plan,
        out_dir,
        train_sampling_strategy="group_by_length",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = CompactSftTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id),
    )
    if section.method != "full":
        to_fp32(trainer.model)
    return trainer


if __name__ == "__main__":
    stage_main(sft, Sft)
