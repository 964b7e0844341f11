"""What a student learns from as a training set: captured shards, or text in its own ids; padded into batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset

from contracts.documents import ChatExample, read_jsonl
from contracts.errors import GateError, InputError
from training.chat import supervise
from training.compact_loss import IGNORED

EXAMPLES = "examples.jsonl"


class CapturedExamples(Dataset):  # type: ignore[misc]
    """Examples with ``input_ids`` [T], ``prompt_tokens``, and for top_k ``kd_ids``, ``kd_logp``, ``kd_mass``."""

    def __init__(self, rows: list[dict[str, Any]], too_long: int = 0) -> None:
        if not rows:
            got = f"{too_long} beyond the student's context" if too_long else None
            hint = "raise capture.max_tokens, or check the corpus"
            raise InputError("the student's data", "hold no example that fits", got=got, hint=hint)
        self.rows, self.too_long = rows, too_long

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(row["input_ids"]) for row in self.rows]


def read_captured(folder: Path, *, with_probabilities: bool) -> CapturedExamples:
    """All shards of a capture; without probabilities only the ids are read."""
    wanted = ["input_ids", "prompt_tokens"] + (["kd_ids", "kd_logp", "kd_mass"] if with_probabilities else [])
    shards = sorted(folder.glob("capture-*.parquet"))
    if not shards:
        raise InputError(str(folder), "holds no captured shard", hint="run the build again from capture")
    rows: list[dict[str, Any]] = []
    for shard in shards:
        columns = {name: _column(part) for name, part in _columns(shard, wanted)}
        rows += [
            {name: values[number] for name, values in columns.items()} for number in range(len(columns["input_ids"]))
        ]
    return CapturedExamples(rows)


def read_text(file: Path, tokenizer: Any, context: int) -> CapturedExamples:
    """Chat examples (JSONL) in the ids of the student's own tokenizer, for the sequence-level loss.

    Those longer than ``context`` tokens are left out and counted in ``too_long``. Raises GateError where no stop token
    closes an answer: a student trained on that would never stop.
    """
    rows, too_long = [], 0
    for example in read_jsonl(file, ChatExample):
        one = supervise(tokenizer, example.prompt, example.completion)
        if one.input_ids[-1] != tokenizer.eos_token_id:
            hint = "the chat template has to close the assistant's turn with the tokenizer's eos_token"
            got = tokenizer.decode(one.input_ids[-3:])
            raise GateError(f"example {example.id}", "must end with the stop token", got=got, hint=hint)
        if len(one.input_ids) > context:
            too_long += 1
        else:
            rows.append({"input_ids": np.asarray(one.input_ids), "prompt_tokens": one.mask.index(1)})
    return CapturedExamples(rows, too_long)


@dataclass(frozen=True)
class CapturedCollator:
    """Right-padded ``input_ids``, ``attention_mask`` and ``labels`` [B, T]; captured rows joined to [N, K] and [N].

    N counts the labelled positions of the batch, in the order of a boolean mask over [B, T].
    """

    pad_id: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Join examples into one batch."""
        longest = max(len(row["input_ids"]) for row in rows)
        ids_B_T = torch.full((len(rows), longest), self.pad_id, dtype=torch.long)
        mask_B_T = torch.zeros_like(ids_B_T)
        labels_B_T = torch.full_like(ids_B_T, IGNORED)
        for number, row in enumerate(rows):
            length, prompt = len(row["input_ids"]), int(row["prompt_tokens"])
            ids_B_T[number, :length] = torch.as_tensor(np.array(row["input_ids"], dtype=np.int64))
            mask_B_T[number, :length] = 1
            labels_B_T[number, prompt:length] = ids_B_T[number, prompt:length]
        batch = {"input_ids": ids_B_T, "attention_mask": mask_B_T, "labels": labels_B_T}
        if "kd_ids" in rows[0]:
            answers = [len(row["input_ids"]) - int(row["prompt_tokens"]) for row in rows]
            for name, dtype in (("kd_ids", np.int64), ("kd_logp", np.float32)):
                parts = [
                    np.asarray(row[name], dtype=dtype).reshape(answer, -1)
                    for row, answer in zip(rows, answers, strict=True)
                ]
                batch[name] = torch.from_numpy(np.concatenate(parts))
            batch["kd_mass"] = torch.from_numpy(np.concatenate([row["kd_mass"] for row in rows]))
        return batch


def _columns(shard: Path, names: list[str]) -> list[tuple[str, Any]]:
    table = pq.read_table(shard, columns=names)
    return [(name, table[name].combine_chunks()) for name in names]


def _column(array: Any) -> list[Any]:
    """One NumPy value or view a row, without a Python object a token."""
    if not pa.types.is_list(array.type):
        return list(array.to_numpy())
    values, offsets = array.values.to_numpy(zero_copy_only=False), array.offsets.to_numpy()
    return [values[start:end] for start, end in pairwise(offsets)]
