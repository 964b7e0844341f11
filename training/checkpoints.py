"""Checkpoints that survive a kill: written aside, fsynced, marker last; only the newest complete one is used."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from contracts.artifacts import sync
from contracts.stage import checkpointed, progress

FOLDER = ".checkpoints"
MARKER = "complete"


def step_of(checkpoint: Path) -> int:
    """``checkpoint-12`` is 12; -1 for a name that is no checkpoint's."""
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() and number != checkpoint.name else -1


def newest_complete(folder: Path) -> Path | None:
    """The checkpoint of the highest step that carries the marker, or None."""
    complete = [path for path in folder.glob("checkpoint-*") if step_of(path) >= 0 and (path / MARKER).is_file()]
    return max(complete, key=step_of, default=None)


def drop_incomplete(folder: Path) -> list[str]:
    """Remove what a kill left half-written; returns the names removed."""
    broken = [path for path in folder.glob("checkpoint-*") if not (path / MARKER).is_file()]
    for path in broken:
        shutil.rmtree(path)
    return sorted(path.name for path in broken)


def mark_complete(checkpoint: Path) -> None:
    """Fsync every file of a checkpoint, then write the marker and fsync it and the folder."""
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file():
            sync(path)
    marker = checkpoint / MARKER
    marker.write_text(f"{step_of(checkpoint)}\n", encoding="ascii")
    sync(marker)
    sync(checkpoint)


class Watch(TrainerCallback):  # type: ignore[misc]
    """Reports progress after every step and marks each checkpoint complete once it is on the disk."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.resumed_at = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Remember where the run starts: not 0 after a resume."""
        self.resumed_at = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """One progress line a step, with the last loss."""
        losses = [entry["loss"] for entry in state.log_history[-3:] if "loss" in entry]
        shown = f"{self.what}, loss {losses[-1]:.3f}" if losses else self.what
        progress(state.global_step, state.max_steps, shown)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The trainer has written the checkpoint of this step."""
        checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and checkpoint.is_dir():
            mark_complete(checkpoint)
            checkpointed(state.global_step)
