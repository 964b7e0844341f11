"""Which layers a depth-pruned student should keep: its loss on captured answers before any training.

    .venv/bin/python -m benchmarks.pruned_starts TEACHER_FOLDER CAPTURE_FOLDER --keep 20 --first 5 8 10 12 14

Both folders are artifacts of a build's store. One line a split, in nats a token; the last line is JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

import torch
from torch.nn import functional

from distillation import layer_plan
from training.captured_data import CapturedCollator, read_captured
from training.compact_loss import labelled_logits
from training.loading import load_model
from training.student import keep_layers

BATCH = 4


def main() -> None:
    """Prune, measure, print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("teacher", type=Path)
    arguments.add_argument("capture", type=Path)
    arguments.add_argument("--keep", type=int, required=True, help="layers in all")
    arguments.add_argument("--first", type=int, nargs="+", required=True, help="of these, kept from the front")
    arguments.add_argument("--examples", type=int, default=8)
    told = arguments.parse_args()
    teacher = load_model(told.teacher, dtype=torch.float32)
    examples = read_captured(told.capture, with_probabilities=False)
    spread = [examples[number] for number in range(0, len(examples), max(1, len(examples) // told.examples))]
    rows = {}
    for first in told.first:
        pruned = copy.deepcopy(teacher)
        keep_layers(pruned, layer_plan(len(teacher.base_model.layers), first, told.keep - first))
        rows[f"{first}+{told.keep - first}"] = loss = cross_entropy(pruned, spread[: told.examples])
        print(f"first {first} + last {told.keep - first}: {loss:.3f}")
    print(json.dumps(rows))


@torch.no_grad()
def cross_entropy(model: torch.nn.Module, rows: list[dict]) -> float:
    """Nats a token of the answers."""
    total, count, collate = 0.0, 0, CapturedCollator(pad_id=0)
    for start in range(0, len(rows), BATCH):
        logits_N_V, targets_N, _ = labelled_logits(model, collate(rows[start : start + BATCH]))
        total += functional.cross_entropy(logits_N_V.float(), targets_N, reduction="sum").item()
        count += len(targets_N)
    return total / count


if __name__ == "__main__":
    main()
