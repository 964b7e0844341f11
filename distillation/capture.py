"""Stage capture: the teacher's top-k log-probabilities at every supervised token, once, for all students.

A row of a shard is one example: ``example_id``, ``input_ids`` (prompt and answer), ``prompt_tokens`` P, and, flattened
row by row, ``kd_ids`` and ``kd_logp`` of shape [len(input_ids) - P, K]. The mass that the K tokens do not hold is
``1 - kd_mass``: nothing is normalised away. Beside the shards lie the teacher's tokenizer, since the ids mean nothing
without it, and the examples as text, for a student that has other ids.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.artifacts import Artifact, describe, digest
from contracts.documents import ChatExample, read_jsonl, write_jsonl
from contracts.errors import FitError, InputError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from distillation.rendering import Rendered, render
from distillation.teacher import Teacher, TopK
from recipes.training_sections import Capture

CODE_VERSION = "3"
SHARD_EXAMPLES = 256
BATCH_TOKENS = 2_048
"""Padded tokens a forward pass on a CPU; an accelerator takes eight times as many."""
CUDA_FACTOR = 8
TOKENIZER = "tokenizer"
EXAMPLES = "examples.jsonl"
PLAN = ".plan.json"
SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("input_ids", pa.list_(pa.int32())),
        ("prompt_tokens", pa.int32()),
        ("kd_ids", pa.list_(pa.int32())),
        ("kd_logp", pa.list_(pa.float16())),
        ("kd_mass", pa.list_(pa.float32())),
    ]
)


def capture(section: Capture, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """One forward pass of ``model`` over the examples of ``distilled`` (train.jsonl), within ``max_tokens``.

    A shard is written aside and renamed, so a killed attempt goes on after its last whole shard. Raises InputError
    where no example fits, FitError where the model has fewer tokens than ``top_k``.
    """
    teacher = Teacher(inputs["model"].path)
    if section.top_k > teacher.vocabulary:
        raise FitError("capture.top_k", f"must be <= {teacher.vocabulary}, the vocabulary", got=section.top_k)
    examples = list(read_jsonl(inputs["distilled"].file("train.jsonl"), ChatExample))
    chosen, too_long = within_budget([render(teacher.tokenizer, one) for one in examples], section, teacher.context)
    _keep_only_own_shards(out_dir, _plan(section, inputs, teacher))
    (out_dir / TOKENIZER).mkdir(exist_ok=True)
    teacher.tokenizer.save_pretrained(out_dir / TOKENIZER)
    by_id = {example.id: example for example in examples}
    write_jsonl(out_dir / EXAMPLES, [by_id[one.example_id] for one in chosen])
    shards = [chosen[start : start + SHARD_EXAMPLES] for start in range(0, len(chosen), SHARD_EXAMPLES)]
    done = 0
    for number, shard in enumerate(shards):
        target = out_dir / f"capture-{number:05d}.parquet"
        if not target.is_file():
            _write_shard(target, shard, teacher, section.top_k, partial(_told, len(chosen), done))
        done += len(shard)
    progress(len(chosen), len(chosen), "captured")
    supervised = sum(len(one.input_ids) - one.prompt_tokens for one in chosen)
    tokens = sum(len(one.input_ids) for one in chosen)
    metrics = {
        "examples": len(chosen),
        "too_long": too_long,
        "over_budget": len(examples) - too_long - len(chosen),
        "tokens": tokens,
        "supervised_tokens": supervised,
        "top_k": section.top_k,
        "vocabulary": teacher.vocabulary,
        **_mass(out_dir),
        "bytes_per_token": sum(path.stat().st_size for path in _shards(out_dir)) / supervised,
    }
    return describe(out_dir, "capture", metrics), Usage(device=teacher.device_name, tokens_in=tokens)


def within_budget(rendered: list[Rendered], section: Capture, context: int) -> tuple[list[Rendered], int]:
    """The examples to capture, and how many are longer than the teacher's context.

    The first ones, as curation ordered them: tasks in turn, real documents first, so that a budget which ends early
    leaves some of every task.
    """
    fitting = [one for one in rendered if len(one.input_ids) <= context]
    chosen, tokens = [], 0
    for one in fitting:
        tokens += len(one.input_ids)
        if tokens > section.max_tokens:
            break
        chosen.append(one)
    if not chosen:
        raise InputError(
            "capture",
            f"no example fits into max_tokens {section.max_tokens} and the teacher's context of {context}",
            got=f"{len(rendered)} examples, the shortest of {min((len(one.input_ids) for one in rendered), default=0)}",
            hint="raise capture.max_tokens, or check the corpus",
        )
    return chosen, len(rendered) - len(fitting)


def batches(shard: Sequence[Rendered], budget: int) -> Iterator[list[int]]:
    """Indices of a shard in batches of like length, each at most ``budget`` padded tokens (or one example)."""
    batch: list[int] = []
    for index in sorted(range(len(shard)), key=lambda index: len(shard[index].input_ids), reverse=True):
        longest = len(shard[batch[0]].input_ids) if batch else 0
        if batch and longest * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _told(total: int, before: int, done: int) -> None:
    progress(before + done, total, "capturing probabilities, examples")


def _write_shard(
    target: Path, shard: Sequence[Rendered], teacher: Teacher, k: int, told: Callable[[int], None]
) -> None:
    budget = BATCH_TOKENS * (1 if teacher.device == "cpu" else CUDA_FACTOR)
    found: dict[int, TopK] = {}
    for batch in batches(shard, budget):
        found.update(zip(batch, teacher.top_k([shard[index] for index in batch], k), strict=True))
        told(len(found))
    rows = [found[index] for index in range(len(shard))]
    table = pa.table(
        [
            pa.array([one.example_id for one in shard]),
            pa.array([one.input_ids for one in shard], type=pa.list_(pa.int32())),
            pa.array([one.prompt_tokens for one in shard], type=pa.int32()),
            pa.array([row.ids_T_K.ravel() for row in rows], type=pa.list_(pa.int32())),
            pa.array([row.logp_T_K.ravel() for row in rows], type=pa.list_(pa.float16())),
            pa.array([row.mass_T for row in rows], type=pa.list_(pa.float32())),
        ],
        schema=SCHEMA,
    )
    part = target.with_name(f".{target.name}.part")
    pq.write_table(table, part, compression="zstd")
    part.rename(target)


def _shards(out_dir: Path) -> list[Path]:
    return sorted(out_dir.glob("capture-*.parquet"))


def _plan(section: Capture, inputs: dict[str, Artifact], teacher: Teacher) -> str:
    """What the shards in ``out_dir`` depend on; shards of another plan must not be mixed in."""
    what = {
        "top_k": section.top_k,
        "max_tokens": section.max_tokens,
        "shard_examples": SHARD_EXAMPLES,
        "device": teacher.device,
        "model": inputs["model"].files,
        "distilled": digest(inputs["distilled"].file("train.jsonl")),
    }
    return json.dumps(what, sort_keys=True)


def _keep_only_own_shards(out_dir: Path, plan: str) -> None:
    kept = out_dir / PLAN
    if not kept.is_file() or kept.read_text(encoding="utf-8") != plan:
        for shard in _shards(out_dir):
            shard.unlink()
        kept.write_text(plan, encoding="utf-8")


def _mass(out_dir: Path) -> dict[str, float]:
    """Probability mass that the top k hold, over all shards."""
    total, count, least = 0.0, 0, math.inf
    for shard in _shards(out_dir):
        column = pq.read_table(shard, columns=["kd_mass"])["kd_mass"].combine_chunks()
        mass = np.asarray(column.flatten(), dtype=np.float64)
        total, count, least = total + float(mass.sum()), count + len(mass), min(least, float(mass.min()))
    return {"mass_kept_mean": min(1.0, total / count), "mass_kept_min": min(1.0, least)}


if __name__ == "__main__":
    stage_main(capture, Capture)
