"""Stage ``answer``: ask a model the prompts of a split. Output: answers.jsonl (``ModelAnswer`` a line)."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, write_jsonl
from contracts.errors import InputError
from contracts.stage import stage_main
from contracts.usage import Usage
from evaluation.asking import ask, pick, read_examples
from evaluation.engine import load_engine, usage_of
from recipes.stage_sections import AnswerSection

CODE_VERSION = "2"


def answer(section: AnswerSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``model`` and ``corpus`` in, kind ``answers`` out; which examples are asked depends on their ids alone."""
    corpus = inputs["corpus"]
    examples = chosen(read_examples(corpus.file(f"{section.split}.jsonl")), section)
    if not examples:
        raise InputError(str(corpus.path), f"{section.split}.jsonl has no examples", hint="look at the curation card")
    found = list(ask(load_engine(inputs["model"].path), examples, section.answering, out_dir).values())
    write_jsonl(out_dir / "answers.jsonl", found)
    usage = usage_of(found)
    metrics = {
        "items": len(examples),
        "answers": len(found),
        "stopped_share": sum(one.finish == "stop" for one in found) / len(found),
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
    }
    return describe(out_dir, "answers", metrics), usage


def chosen(examples: list[ChatExample], section: AnswerSection) -> list[ChatExample]:
    """At most ``max_items_per_task`` of each task and ``max_items`` in all, by hash of their ids."""
    seed = section.answering.seed
    by_task = groupby(sorted(examples, key=lambda one: one.task), key=lambda one: one.task)
    capped = [one for _, group in by_task for one in pick(list(group), section.max_items_per_task, seed)]
    return pick(capped, section.max_items, seed)


if __name__ == "__main__":
    stage_main(answer, AnswerSection)
