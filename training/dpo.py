"""Stage dpo: preference alignment of the SFT model against itself, on its own wrong answers before written ones."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer
from trl.trainer import utils as fused_head

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, ModelAnswer, PreferencePair, read_jsonl
from contracts.errors import GateError
from contracts.stage import stage_main
from contracts.usage import Usage
from recipes.training_sections import Dpo
from training.adapters import lora_config, with_adapter
from training.chat import supervise
from training.device import Meter, device_in_use, require_free_memory
from training.engine import plan_steps, run, tokens_seen, training_arguments
from training.loading import load_model, load_tokenizer, save_adapter, weight_bytes
from training.pairs import Pairs, gather

CODE_VERSION = "4"
MEMORY_FACTOR = 3.0
"""Bytes needed for each byte of bf16 weights: fp32 weights, the adapter, some activations."""
LN2_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 2e-2}
"""In bf16 the padding of another batch moves an answer's sum by tenths of a nat, and the loss by beta times that."""
COMPACT_FOR = "1.16."
"""The TRL whose fused head was read; another one projects every position on a CPU again: slower, never wrong."""


def dpo(section: Dpo, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """An ``adapter`` over ``model`` (the merged SFT model, which with the adapter off is the reference).

    Pairs come of ``answers`` (the model's own to train prompts of ``corpus``, may be absent) and of the corpus's
    pairs.jsonl. Without any pair the adapter is an identity and the metric ``skipped`` says why. Raises GateError when
    the loss before the first step is not ln 2: the reference would not be the model that is trained.
    """
    meter, source = Meter(), inputs["model"].path
    pairs = _pairs(section, inputs)
    if not pairs.all:
        told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(pairs.reasons.items()))
        reason = f"no pairs; the SFT model's answers: {told or 'none'}"
        save_adapter(with_adapter(load_model(source), section.lora, section.optimiser.seed), out_dir)
        return describe(out_dir, "adapter", {**pairs.counts, "skipped": True, "reason": reason}), meter.usage()
    tokenizer = load_tokenizer(source)
    require_free_memory(int(weight_bytes(source) * MEMORY_FACTOR), "dpo")
    trainer = make_trainer(section, source, tokenizer, pair_dataset(tokenizer, pairs.all), out_dir)
    loss_at_0 = require_reference(trainer)
    started = time.perf_counter()
    curve = run(trainer, "dpo")
    seconds, tokens = time.perf_counter() - started, tokens_seen(trainer)
    save_adapter(trainer.accelerator.unwrap_model(trainer.model), out_dir)
    accuracy = pair_curve(trainer)
    metrics = {
        **pairs.counts,
        "skipped": False,
        "reference_loss_at_step_0": loss_at_0,
        "beta": section.beta,
        "sft_weight": section.sft_weight,
        "steps": int(trainer.state.global_step),
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "first_pair_accuracy": _mean_accuracy(accuracy[: len(accuracy) // 4 + 1]),
        "final_pair_accuracy": _mean_accuracy(accuracy[-len(accuracy) // 4 :]),
        "final_loss": curve[-1]["loss"] if curve else None,
        "loss_curve": curve,
        "pair_curve": accuracy,
    }
    return describe(out_dir, "adapter", metrics), meter.usage(tokens_in=tokens)


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on pairs that are token ids already, with the head on the answers' positions on every device."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool) -> Any:
        with compact_head(), device_in_use().autocast():
            return super()._compute_loss(model, inputs, return_outputs)

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, torch.Tensor]) -> Any:
        """Summed log-probabilities of both answers under the reference.

        In the precision of the training: fp32 beside bf16 would be another model by a quarter nat an answer.
        """
        with compact_head(), device_in_use().autocast():
            return super().compute_ref_log_probs(model, inputs)


def make_trainer(
    section: Dpo, source: Path, tokenizer: PreTrainedTokenizerBase, dataset: Dataset, out_dir: Path
) -> PairTrainer:
    """The trainer with a fresh adapter on the model at ``source``; computes the reference's log-probabilities once."""
    lengths = [2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in dataset]
    plan = plan_steps(lengths, section.optimiser)
    anchored = section.sft_weight > 0
    arguments = training_arguments(
        DPOConfig,
        section.optimiser,
        plan,
        out_dir,
        beta=section.beta,
        loss_type=["sigmoid", "sft"] if anchored else ["sigmoid"],
        loss_weights=[1.0, section.sft_weight] if anchored else [1.0],
        max_length=None,
        precompute_ref_log_probs=True,
    )
    torch.manual_seed(section.optimiser.seed)  # the adapter's start
    return PairTrainer(
        model=load_model(source),
        args=arguments,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=lora_config(section.lora),
    )


def pair_dataset(tokenizer: PreTrainedTokenizerBase, pairs: list[PreferencePair]) -> Dataset:
    """``prompt_ids``, ``chosen_ids``, ``rejected_ids``; both answers end with the stop token, as in SFT."""
    rows = []
    for pair in pairs:
        chosen = supervise(tokenizer, pair.prompt, pair.chosen)
        rejected = supervise(tokenizer, pair.prompt, pair.rejected)
        start = chosen.mask.index(1)
        rows.append(
            {
                "prompt_ids": chosen.input_ids[:start],
                "chosen_ids": chosen.input_ids[start:],
                "rejected_ids": rejected.input_ids[start:],
            }
        )
    return Dataset.from_list(rows)


def require_reference(trainer: DPOTrainer) -> float:
    """The sigmoid loss of the first batches before any step; raises GateError where it is not ln 2.

    Model and reference are the same before the first step, so every pair's margin is 0 and its loss is ln 2; any other
    figure means that the reference is another model (the raw base under an adapter is the usual one).
    """
    kinds, weights = trainer.loss_types, trainer.loss_weights
    trainer.loss_types, trainer.loss_weights = ["sigmoid"], [1.0]
    trainer.model.eval()
    worst = math.log(2)
    with torch.no_grad():
        for number, batch in enumerate(trainer.get_train_dataloader()):
            loss = float(trainer.compute_loss(trainer.model, trainer._prepare_inputs(batch)))
            # "not <=", so that a loss that is no number counts as wrong
            if not abs(loss - math.log(2)) <= abs(worst - math.log(2)):
                worst = loss
            if number == 2 or not math.isfinite(worst):
                break
    trainer.model.train()
    trainer.loss_types, trainer.loss_weights = kinds, weights
    trainer._metrics["eval"].clear()
    if not abs(worst - math.log(2)) <= LN2_TOLERANCE[device_in_use().compute_dtype]:
        raise GateError(
            "dpo: loss before the first step",
            f"must be ln 2 = {math.log(2):.4f} against the SFT model as reference",
            got=f"{worst:.4f}",
            hint="the reference is not the model that is trained; give the merged SFT model and a fresh adapter",
        )
    return worst


def pair_curve(trainer: DPOTrainer) -> list[dict[str, float]]:
    """``{"step", "accuracy", "margin"}``: share of pairs whose chosen answer gained more, and by how many nats."""
    return [
        {
            "step": entry["step"],
            "accuracy": round(entry["rewards/accuracies"], 6),
            "margin": round(entry["rewards/margins"], 6),
        }
        for entry in trainer.state.log_history
        if "rewards/accuracies" in entry
    ]


def _mean_accuracy(points: list[dict[str, float]]) -> float | None:
    """Over a quarter of the run: one batch holds few pairs."""
    return sum(point["accuracy"] for point in points) / len(points) if points else None


@contextlib.contextmanager
def compact_head() -> Iterator[None]:
    """Let TRL's fused head score labelled positions only, on a CPU as it does on an accelerator: 1.6 times as fast."""
    if not trl.__version__.startswith(COMPACT_FOR):
        yield
        return
    own = fused_head._use_triton
    fused_head._use_triton = lambda device: True
    try:
        yield
    finally:
        fused_head._use_triton = own


def _pairs(section: Dpo, inputs: dict[str, Artifact]) -> Pairs:
    corpus = inputs["corpus"]
    answers = read_jsonl(inputs["answers"].file("answers.jsonl"), ModelAnswer) if "answers" in inputs else ()
    written = read_jsonl(corpus.file("pairs.jsonl"), PreferencePair) if "pairs.jsonl" in corpus.files else ()
    return gather(section, read_jsonl(corpus.file("train.jsonl"), ChatExample), answers, written)


if __name__ == "__main__":
    stage_main(dpo, Dpo)
