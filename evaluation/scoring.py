"""What one answer is worth: compared with the gold fields, and its numbers looked up in the document.

The meaning of "equal" is that of ``contracts.answers``. An item's scores are counts, so that any sum of items (and any
resample of them) gives the suite's figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from contracts.answers import agrees, atoms, invented_numbers, parse
from contracts.documents import ChatExample, ModelAnswer
from contracts.errors import InputError
from contracts.reports import Estimate, SuiteScore
from evaluation.intervals import Floats, Statistic, bootstrap, mean, micro_f1

GENERAL = "general"
"""Name of the general-ability suite; its only score is ``accuracy``."""
FIELD_METRICS = ("exact_match", "field_f1", "numeric_match", "valid_json", "invented_number_rate", "stopped")
LOWER_IS_BETTER = frozenset({"invented_number_rate"})


class ItemScore(BaseModel):
    """One item's scores, with the answer. ``right`` is exact match, or the right letter in the general suite."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    task: str
    entity: str = ""
    answer: str
    gold: dict[str, Any]
    right: bool
    true_positive: int = 0
    """Fields (list elements) answered as in the gold answer."""
    false_positive: int = 0
    false_negative: int = 0
    numeric: int = 0
    """Numeric fields of the gold answer."""
    numeric_right: int = 0
    valid_json: bool = False
    invented_numbers: list[str] = []
    stopped: bool = True
    prompt_tokens: int = 0
    completion_tokens: int = 0


def score_fields(example: ChatExample, answer: ModelAnswer) -> ItemScore:
    """Score one extraction answer; raises InputError where the example has no gold fields."""
    gold = example.gold if example.gold is not None else parse(example.completion)
    if not gold:
        hint = "an evaluation item needs gold fields; look at the task's fields in the recipe"
        raise InputError(f"example {example.id}", "has no gold answer", hint=hint)
    fields = parse(answer.text)
    wanted, given = atoms(gold), atoms(fields or {})
    figures = numeric_atoms(gold)
    return ItemScore(
        id=example.id,
        task=example.task,
        entity=example.entity,
        answer=answer.text,
        gold=gold,
        right=agrees(fields, gold),
        true_positive=len(wanted & given),
        false_positive=len(given - wanted),
        false_negative=len(wanted - given),
        numeric=len(figures),
        numeric_right=len(figures & numeric_atoms(fields or {})),
        valid_json=fields is not None,
        invented_numbers=sorted(invented_numbers(answer.text, example.context or example.prompt[-1]["content"])),
        stopped=answer.finish == "stop",
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )


def score_choice(example: ChatExample, answer: ModelAnswer, letter: str) -> ItemScore:
    """Score one multiple-choice item."""
    return ItemScore(
        id=example.id,
        task=GENERAL,
        entity=example.entity,
        answer=answer.text,
        gold={"answer": letter},
        right=answer.text == letter,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )


def numeric_atoms(fields: dict[str, Any]) -> set[tuple[str, Decimal]]:
    """``(field, number)`` of every field that is a number, written as one or not: ``"$54,318.0"`` equals ``54318``."""
    found: set[tuple[str, Decimal]] = set()
    for field, text in atoms(fields):
        try:
            number = Decimal(text.replace(",", "").lstrip("$€£").rstrip("%").strip())
        except InvalidOperation:
            continue
        if number.is_finite():
            found.add((field, number))
    return found


def columns(items: Sequence[ItemScore], metric: str) -> tuple[Floats, Statistic]:
    """What a metric sums over items ``[N, C]``, and how the sums become the figure."""
    match metric:
        case "field_f1":
            rows = [(one.true_positive, one.false_positive, one.false_negative) for one in items]
            return np.array(rows, dtype=np.float64).reshape(-1, 3), micro_f1
        case "exact_match" | "accuracy":
            rates = [(int(one.right), 1) for one in items]
        case "numeric_match":
            rates = [(one.numeric_right, one.numeric) for one in items]
        case "valid_json":
            rates = [(int(one.valid_json), 1) for one in items]
        case "invented_number_rate":
            rates = [(int(bool(one.invented_numbers)), 1) for one in items]
        case "stopped":
            rates = [(int(one.stopped), 1) for one in items]
        case _:
            hint = f"one of {', '.join((*FIELD_METRICS, 'accuracy'))}"
            raise InputError("metric", "is none that items are scored on", got=metric, hint=hint)
    return np.array(rates, dtype=np.float64).reshape(-1, 2), mean


def suite_score(task: str, items: Sequence[ItemScore], resamples: int, seed: int) -> SuiteScore:
    """One suite's figures with their intervals; ``numeric_match`` only where the gold answers hold numbers."""
    names = ("accuracy",) if task == GENERAL else FIELD_METRICS
    scores: dict[str, Estimate] = {}
    for name in names:
        if name == "numeric_match" and not any(one.numeric for one in items):
            continue
        scores[name] = bootstrap(*columns(items, name), resamples, seed)
    return SuiteScore(task=task, items=len(items), scores=scores)
