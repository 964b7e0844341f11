"""What every trainer shares: the number of steps, the training arguments, the run with resume, the loss curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments, set_seed

from recipes.memory import PASS_TOKENS
from recipes.training_sections import Optimiser
from training.checkpoints import FOLDER, Watch, drop_incomplete, newest_complete
from training.device import Device, device_in_use

Arguments = TypeVar("Arguments", bound=TrainingArguments)


@dataclass(frozen=True)
class Plan:
    """How a data set is walked through: ``batch`` sequences a pass, ``accumulation`` passes a step, ``steps`` steps."""

    batch: int
    accumulation: int
    steps: int
    tokens_per_step: float

    @property
    def tokens(self) -> int:
        """Tokens seen when the plan is done, unpadded, about."""
        return round(self.tokens_per_step * self.steps)


def plan_steps(
    lengths: Sequence[int], optimiser: Optimiser, max_tokens: int | None = None, device: Device | None = None
) -> Plan:
    """From sequence lengths (tokens) and the recipe's ``batch_tokens`` to a plan; ``max_tokens`` ends it early.

    A step takes as many sequences as hold ``batch_tokens`` on average; a pass holds what fits by the longest.
    """
    device = device or device_in_use()
    mean = sum(lengths) / len(lengths)
    wanted = max(1, round(optimiser.batch_tokens / mean / device.count))
    fitting = max(1, (optimiser.pass_tokens or PASS_TOKENS[device.kind]) // max(lengths))
    accumulation = math.ceil(wanted / fitting)
    batch = math.ceil(wanted / accumulation)
    passes = math.ceil(len(lengths) / (batch * device.count))
    steps = max(1, math.ceil(optimiser.epochs * passes / accumulation))
    if optimiser.max_steps:
        steps = min(steps, optimiser.max_steps)
    tokens_per_step = mean * min(batch * accumulation * device.count, len(lengths))
    if max_tokens is not None:
        steps = max(1, min(steps, int(max_tokens // tokens_per_step)))
    return Plan(batch, accumulation, steps, tokens_per_step)


def training_arguments(
    kind: Callable[..., Arguments], optimiser: Optimiser, plan: Plan, out_dir: Path, **more: Any
) -> Arguments:
    """Arguments of the transformers or TRL class ``kind``; ``more`` are that class's own fields.

    Gradient checkpointing is off on a CPU, and so is bf16 on one without units for it: they cost most of the speed.
    """
    device = device_in_use()
    on_cuda = device.kind == "cuda"
    settings: dict[str, Any] = {
        "output_dir": str(out_dir / FOLDER),
        "per_device_train_batch_size": plan.batch,
        "gradient_accumulation_steps": plan.accumulation,
        "max_steps": plan.steps,
        "learning_rate": optimiser.learning_rate,
        "lr_scheduler_type": optimiser.schedule,
        "warmup_steps": math.ceil(optimiser.warmup_share * plan.steps),
        "weight_decay": optimiser.weight_decay,
        "max_grad_norm": optimiser.max_grad_norm,
        "seed": optimiser.seed,
        "data_seed": optimiser.seed,
        "save_strategy": "steps",
        "save_steps": optimiser.checkpoint_every_steps,
        "save_total_limit": 2,
        "logging_steps": max(1, plan.steps // 200),
        "logging_first_step": True,
        "include_num_input_tokens_seen": "non_padding",
        "report_to": "none",
        "disable_tqdm": True,
        "bf16": device.bf16,
        "gradient_checkpointing": on_cuda,
        "use_cpu": not on_cuda,
        "dataloader_pin_memory": on_cuda,
        "dataloader_num_workers": 0,
    }
    arguments = kind(**(settings | more))
    if device.count == 1 and arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one process takes one device; several are asked for with `accelerate launch`
    return arguments


def run(trainer: Trainer, what: str) -> list[dict[str, float]]:
    """Train from the newest complete checkpoint, or from the start; returns the loss curve.

    Half-written checkpoints are removed first: the trainer's own rotation would count them.
    """
    folder = Path(str(trainer.args.output_dir))
    folder.mkdir(parents=True, exist_ok=True)
    drop_incomplete(folder)
    checkpoint = newest_complete(folder)
    for talkative in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(talkative)
    trainer.add_callback(Watch(what))
    set_seed(int(trainer.args.seed))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return loss_curve(trainer)


def loss_curve(trainer: Trainer) -> list[dict[str, float]]:
    """``{"step", "loss", "learning_rate"}`` of every logged step, also of those before a resume."""
    return [
        {"step": entry["step"], "loss": round(entry["loss"], 6), "learning_rate": entry["learning_rate"]}
        for entry in trainer.state.log_history
        if "loss" in entry and "learning_rate" in entry
    ]


def resumed_from(trainer: Trainer) -> int:
    """The step at which this attempt began: 0, or a checkpoint's."""
    return max((one.resumed_at for one in trainer.callback_handler.callbacks if isinstance(one, Watch)), default=0)


def tokens_seen(trainer: Trainer) -> int:
    """Unpadded tokens trained on, also those before a resume."""
    return int(trainer.state.num_input_tokens_seen)
