"""Stage cpt: continued pretraining on packed text of the vertical, with replay of general text."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import SFTConfig
from trl.data_utils import pack_dataset

from contracts.artifacts import Artifact, describe
from contracts.errors import InputError
from contracts.stage import stage_main
from contracts.usage import Usage
from recipes.training_sections import Cpt, Lora
from training.adapters import with_adapter
from training.compact_loss import CompactSftTrainer
from training.device import Meter, require_free_memory
from training.engine import Plan, plan_steps, run, tokens_seen, training_arguments
from training.loading import load_model, load_tokenizer, model_metrics, save_model, weight_bytes
from training.text_scores import bits_per_byte
from training.token_files import CPT, HELD_OUT, read_dataset

CODE_VERSION = "2"
MEMORY_FACTOR = {"lora": 3.0, "full": 10.0}


def cpt(section: Cpt, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``model`` trained on ``tokens``, in full or by an adapter that is merged at the end; makes a ``model``.

    Metrics hold bits per byte on held-out vertical and general text, before and after, and the loss by source.
    """
    meter = Meter()
    source, tokens = inputs["model"].path, inputs["tokens"]
    require_free_memory(int(weight_bytes(source) * MEMORY_FACTOR[section.method]), f"cpt ({section.method})")
    tokenizer = load_tokenizer(source)
    held_out = list(read_dataset(tokens, HELD_OUT))
    pack_tokens = int(tokens.metrics.get("pack_tokens", 1_024))
    mixed = mix(list(read_dataset(tokens, CPT)), section.replay_share, section.max_tokens, section.optimiser.seed)
    packs = pack(mixed, pack_tokens)
    plan = plan_steps([len(ids) for ids in packs["input_ids"]], section.optimiser, section.max_tokens, meter.device)
    before = bits_per_byte(load_model(source), held_out, section.held_out_tokens)
    model = load_model(source, torch.float32) if section.method == "full" else load_model(source)
    if section.method == "lora":
        model = with_adapter(model, Lora(), section.optimiser.seed)
    trainer = make_trainer(section, model, tokenizer, packs, plan, out_dir)
    started = time.monotonic()
    curve = run(trainer, "cpt")
    seconds = time.monotonic() - started
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if section.method == "lora":
        trained = trained.merge_and_unload()
    after = bits_per_byte(trained, held_out, section.held_out_tokens)
    replayed = sum(len(row["input_ids"]) for row in mixed if row["replay"])
    metrics: dict[str, Any] = model_metrics(trained) | {
        "method": section.method,
        "steps": plan.steps,
        "packs": len(packs),
        "tokens": tokens_seen(trainer),
        "tokens_per_second": round(plan.tokens / seconds, 1) if seconds else 0.0,
        "replay_share": round(replayed / sum(len(row["input_ids"]) for row in mixed), 4),
        "bits_per_byte_before": {name: before[name] for name in ("vertical", "general")},
        "bits_per_byte_after": {name: after[name] for name in ("vertical", "general")},
        "loss_by_source_before": before["by_source"],
        "loss_by_source_after": after["by_source"],
        "held_out_tokens": after["tokens"],
        "loss_curve": curve,
    }
    save_model(trained, tokenizer, out_dir, source)
    return describe(out_dir, "model", metrics), meter.usage(tokens_in=tokens_seen(trainer))


def mix(rows: list[dict[str, Any]], replay_share: float, max_tokens: int, seed: int) -> list[dict[str, Any]]:
    """Vertical and general rows in a drawn order, so that general text is ``replay_share`` of the tokens.

    The vertical text is cut to what ``max_tokens`` leaves it; general text is repeated where there is too little, at
    most four times. Raises InputError where a share of replay is asked for and the corpus has none.
    """
    drawn = random.Random(seed)
    vertical = drawn.sample([row for row in rows if not row["replay"]], k=sum(not row["replay"] for row in rows))
    general = [row for row in rows if row["replay"]]
    if not vertical:
        raise InputError("tokens", "hold no text of the vertical", hint="give the recipe a source for pretraining")
    if replay_share and not general:
        hint = "give the recipe a source with use: replay, or set cpt.replay_share to 0"
        raise InputError("tokens", "hold no general text to replay", got=0, hint=hint)
    kept = _up_to(vertical, int(max_tokens * (1 - replay_share)))
    wanted = sum(len(row["input_ids"]) for row in kept) * replay_share / max(1e-9, 1 - replay_share)
    repeated = [row for _ in range(4) for row in drawn.sample(general, k=len(general))]
    mixed = kept + (_up_to(repeated, round(wanted)) if wanted >= 1 else [])
    drawn.shuffle(mixed)
    return mixed


def pack(rows: list[dict[str, Any]], pack_tokens: int) -> Dataset:
    """Best-fit packs of at most ``pack_tokens``; ``seq_lengths`` says where each document ends, none is cut short."""
    dataset = Dataset.from_list([{"input_ids": row["input_ids"]} for row in rows])
    return pack_dataset(dataset, pack_tokens, strategy="bfd_split")


def make_trainer(
    section: Cpt, model: PreTrainedModel, tokenizer: Any, packs: Dataset, plan: Plan, out_dir: Path
) -> CompactSftTrainer:
    """TRL's padding-free trainer: position ids start anew at each document and there is no attention mask, so no
    token attends to another document."""
    arguments = training_arguments(
        SFTConfig,
        section.optimiser,
        plan,
        out_dir,
        include_num_input_tokens_seen="all",  # there is no padding
        padding_free=True,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    return CompactSftTrainer(model=model, args=arguments, train_dataset=packs, processing_class=tokenizer)


def _up_to(rows: list[dict[str, Any]], tokens: int) -> list[dict[str, Any]]:
    """The first rows that together hold ``tokens``, the last one cut."""
    kept: list[dict[str, Any]] = []
    left = tokens
    for row in rows:
        if left <= 1:
            break
        kept.append({**row, "input_ids": row["input_ids"][:left]})
        left -= len(row["input_ids"])
    return kept


if __name__ == "__main__":
    stage_main(cpt, Cpt)
