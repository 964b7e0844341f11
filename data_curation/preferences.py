"""Preference pairs: the gold answer against one that looks right and is wrong in one figure or one label."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from contracts.answers import atoms, canonical
from contracts.documents import ChatExample, PreferencePair
from data_curation.field_paths import text_of
from recipes.schema import Task

FIGURE = re.compile(r"\(?\d[\d,]*(?:\.\d+)?\)?")
PAIRS_PER_EXAMPLE = 3
MOST_LABELS = 20
EXAMPLES_A_LABEL = 5
Wrong = tuple[str, Any, str]
"""Field, wrong value, fault."""


Labels = dict[str, list[str]]
"""Answer field to the labels it takes; only fields with a closed set."""


def closed_sets(examples: list[ChatExample]) -> Labels:
    """Fields of one task that take few values, many times each: their values are labels, not copied text."""
    values: dict[str, Counter[str]] = {}
    for example in examples:
        for field, value in (example.gold or {}).items():
            if isinstance(value, str) and not any(character.isdigit() for character in value):
                values.setdefault(field, Counter())[value] += 1
    return {
        field: sorted(counts)
        for field, counts in values.items()
        if 2 <= len(counts) <= MOST_LABELS and counts.total() >= EXAMPLES_A_LABEL * len(counts)
    }


def pairs_of(example: ChatExample, task: Task, row: dict[str, Any], labels: Labels) -> list[PreferencePair]:
    """Pairs for one training example: the writer's wrong values first, then made ones (figures, then labels)."""
    gold = example.gold or {}
    made: dict[str, PreferencePair] = {}
    for field, value, fault in [*_written(row, gold), *_generated(example, task), *_relabelled(example, labels)]:
        answer = gold | {field: value}
        text = canonical(answer)
        if atoms(answer) == atoms(gold) or text in made or len(made) == PAIRS_PER_EXAMPLE:
            continue
        made[text] = PreferencePair(
            id=f"{example.id}/{fault}/{field}", task=example.task, prompt=example.prompt, chosen=example.completion,
            rejected=text, fault=fault,
        )  # fmt: skip
    return list(made.values())


def _written(row: dict[str, Any], gold: dict[str, Any]) -> Iterator[Wrong]:
    wrong = row.get("wrong")
    for field, options in wrong.items() if isinstance(wrong, dict) else ():
        for option in options if isinstance(options, list) else ():
            if field in gold and isinstance(option, dict) and "value" in option:
                yield field, option["value"], str(option.get("fault", "wrong_value"))


def _generated(example: ChatExample, task: Task) -> Iterator[Wrong]:
    """One fault of each kind a numeric field, the kinds in turn by the example's hash so that a cap mixes them."""
    turn = hashlib.sha256(example.id.encode()).digest()[0]
    for field in task.numeric:
        value = (example.gold or {}).get(field)
        text = text_of(value)
        if value is None or isinstance(value, list) or not any(character.isdigit() for character in text):
            continue
        wrong = [
            (field, one, fault)
            for one, fault in (
                (swapped_digit(text), "swapped_digit"),
                (neighbour(text, example.context), "neighbour_figure"),
                (wrong_scale(text), "wrong_scale"),
            )
            if one and one != text
        ]
        yield from wrong[turn % max(1, len(wrong)) :] + wrong[: turn % max(1, len(wrong))]


def _relabelled(example: ChatExample, labels: Labels) -> Iterator[Wrong]:
    turn = hashlib.sha256(example.id.encode()).digest()[1]
    for field, value in (example.gold or {}).items():
        others = [label for label in labels.get(field, []) if label != value]
        if others:
            yield field, others[turn % len(others)], "other_label"


def swapped_digit(figure: str) -> str | None:
    """Two neighbouring digits change places, the last pair that differs: ``54,318`` to ``54,381``."""
    places = [place for place, character in enumerate(figure) if character.isdigit()]
    for left, right in reversed(list(pairwise(places))):
        if figure[left] != figure[right] and (figure[right] != "0" or left != places[0]):
            swapped = list(figure)
            swapped[left], swapped[right] = figure[right], figure[left]
            return "".join(swapped)
    return None


def neighbour(figure: str, context: str) -> str | None:
    """Another figure of the context with the same look (digits within one, the same decimals), the nearest one."""
    if not FIGURE.fullmatch(figure):
        return None
    at = context.find(figure)
    digits, decimals = _look(figure)
    found = [
        (abs(match.start() - at), match.group().strip("()"))
        for match in FIGURE.finditer(context)
        if match.group().strip("()") != figure.strip("()")
        and abs(_look(match.group())[0] - digits) <= 1
        and _look(match.group())[1] == decimals
        and ("," in match.group()) == ("," in figure)
    ]
    return min(found)[1] if found else None


def wrong_scale(figure: str) -> str | None:
    """A thousand times too much: ``54,318`` to ``54,318,000``. Only for figures with a thousands separator."""
    return f"{figure},000" if re.fullmatch(r"\d{1,3}(,\d{3})+", figure) else None


def _look(figure: str) -> tuple[int, int]:
    whole, _, decimals = figure.strip("()").partition(".")
    return sum(character.isdigit() for character in whole), len(decimals)
