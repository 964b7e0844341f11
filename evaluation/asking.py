"""Asking a model many prompts so that a killed run goes on: answers are appended to a log and never asked twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from contracts.documents import ChatExample, ModelAnswer, write_jsonl
from contracts.errors import InputError
from contracts.stage import progress
from recipes.training_sections import Answering

LOG = ".answers.jsonl"
CHOICES_LOG = ".choices.jsonl"
"""Scratch files in a stage's folder: an answer a line, in the order they came."""

Wanted = tuple[ChatExample, int]
"""An example and the number of the sample."""
Key = tuple[str, int]


class Provider(Protocol):
    """Something that answers prompts: the local engine, or an endpoint."""

    @property
    def name(self) -> str:
        """What it is and in which precision; two models are compared only under the same name."""
        ...

    def answers(self, wanted: Sequence[Wanted], settings: Answering) -> Iterator[ModelAnswer]:
        """Answers to ``(example, sample)`` pairs, in any order."""
        ...

    def choices(self, examples: Sequence[ChatExample], batch_size: int) -> Iterator[ModelAnswer]:
        """The chosen option letter (as ``text``) of each multiple-choice example, in any order."""
        ...


def read_examples(path: Path) -> list[ChatExample]:
    """A corpus's chat examples; raises InputError on a file that holds something else, naming the line."""
    found = []
    # not splitlines: a text may hold separators (U+0085, U+2028) that end no line of a JSONL file
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(ChatExample.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "line"
            raise InputError(
                f"{path}:{number}", f"is no chat example: {place}: {first['msg']}", hint="curate the corpus again"
            ) from error
    return found


def pick(examples: Sequence[ChatExample], limit: int, seed: int) -> list[ChatExample]:
    """At most ``limit`` examples, by a hash of seed and id: the same ones whatever the order or the rest."""
    if len(examples) <= limit:
        return list(examples)
    ranked = sorted(examples, key=lambda one: hashlib.sha256(f"{seed}:{one.id}".encode()).digest())
    kept = {one.id for one in ranked[:limit]}
    return [one for one in examples if one.id in kept]


def ask(
    provider: Provider, examples: Sequence[ChatExample], settings: Answering, out_dir: Path
) -> dict[Key, ModelAnswer]:
    """Every example's answers by ``(example id, sample)``; those in the log already are not asked again."""
    wanted = [(example, sample) for example in examples for sample in range(settings.samples)]
    return _finish(out_dir / LOG, wanted, lambda missing: provider.answers(missing, settings), "answers")


def ask_choices(
    provider: Provider, examples: Sequence[ChatExample], batch_size: int, out_dir: Path
) -> dict[str, ModelAnswer]:
    """Every multiple-choice example's chosen letter by example id; those in the log already are not asked again."""
    found = _finish(
        out_dir / CHOICES_LOG,
        [(example, 0) for example in examples],
        lambda missing: provider.choices([example for example, _ in missing], batch_size),
        "choices",
    )
    return {example_id: answer for (example_id, _), answer in found.items()}


def _finish(
    log: Path, wanted: Sequence[Wanted], answer: Callable[[Sequence[Wanted]], Iterator[ModelAnswer]], what: str
) -> dict[Key, ModelAnswer]:
    found = _read_log(log)
    keys = [(example.id, sample) for example, sample in wanted]
    missing = [one for one, key in zip(wanted, keys, strict=True) if key not in found]
    done = len(wanted) - len(missing)
    with log.open("a", encoding="utf-8") as out:
        for given in answer(missing) if missing else ():
            out.write(given.model_dump_json() + "\n")
            out.flush()
            found[given.example_id, given.sample] = given
            done += 1
            progress(done, len(wanted), what)
    return {key: found[key] for key in keys}


def _read_log(log: Path) -> dict[Key, ModelAnswer]:
    """What an earlier attempt left; a line that a kill cut in half is dropped from the file."""
    if not log.exists():
        return {}
    whole: dict[Key, ModelAnswer] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            given = ModelAnswer.model_validate_json(line)
        except ValidationError:
            continue
        whole[given.example_id, given.sample] = given
    part = log.with_suffix(".part")
    write_jsonl(part, whole.values())
    part.rename(log)
    return whole
