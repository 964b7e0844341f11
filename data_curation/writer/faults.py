"""Answers that are wrong and look right: a swapped digit, a neighbour's figure, a wrong scale, named values."""

from __future__ import annotations

import random
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from contracts.answers import normalise
from data_curation.writer.schema import Wrong

if TYPE_CHECKING:
    from data_curation.writer.engine import Writing

FIGURE = re.compile(r"\d[\d,.\-/]*\d|\d")


def wrong_values(
    writing: Writing, row: dict[str, Any], wrong: dict[str, Wrong], text: str
) -> dict[str, list[dict[str, Any]]]:
    """Answer field to its wrong values, each ``{"value", "fault"}``; never the gold one."""
    found: dict[str, list[dict[str, Any]]] = {}
    for field, ways in writing.random.sample(sorted(wrong.items()), len(wrong)):
        gold = _at(row, ways.of or field)
        if gold in (None, "", []):
            continue
        seen = {normalise(gold)}
        for rule in ways.by:
            for value in _made(writing, rule.fault, rule.values, gold, text):
                if normalise(value) not in seen and value not in ("", None, []):
                    seen.add(normalise(value))
                    found.setdefault(field, []).append({"value": value, "fault": rule.fault})
    return found


def _made(writing: Writing, fault: str, templates: tuple[str, ...], gold: Any, text: str) -> list[Any]:
    if templates:
        values = [writing.value(template) for template in templates]
        return [[value, *gold[1:]] for value in values] if isinstance(gold, list) else values
    if isinstance(gold, list):
        return [
            [*gold[:i], one, *gold[i + 1 :]]
            for i, g in enumerate(gold[:1])
            for one in _by_rule(writing, fault, g, text)
        ]
    return _by_rule(writing, fault, gold, text)


def _by_rule(writing: Writing, fault: str, gold: Any, text: str) -> list[Any]:
    shown = str(int(gold)) if isinstance(gold, float) and gold.is_integer() else str(gold)
    made: list[str] = []
    match fault:
        case "swapped_digit":
            made = [swapped_digit(writing.random, shown)]
        case "neighbour_figure":
            made = neighbours(writing.random, shown, text)
        case "wrong_scale":
            made = wrong_scale(shown)
    if isinstance(gold, int | float):
        return [_number(one) for one in made if one]
    return [one for one in made if one]


def swapped_digit(source: random.Random, shown: str) -> str:
    """Two unlike neighbouring digits exchanged, or, where there are none, one digit raised by one."""
    pairs = [
        i
        for i, (here, after) in enumerate(pairwise(shown))
        if here.isdigit() and after.isdigit() and here != after and (i > 0 or after != "0")
    ]
    if pairs:
        i = source.choice(pairs)
        return shown[:i] + shown[i + 1] + shown[i] + shown[i + 2 :]
    digits = [i for i, sign in enumerate(shown) if sign.isdigit()]
    if not digits:
        return ""
    i = digits[-1]
    return shown[:i] + str((int(shown[i]) + 1) % 10) + shown[i + 1 :]


def neighbours(source: random.Random, shown: str, text: str) -> list[str]:
    """Up to two other figures of the text that are built like this one (same signs between digits)."""
    shape = re.sub(r"\d+", "0", shown)
    others = [one for one in dict.fromkeys(FIGURE.findall(text)) if one != shown and re.sub(r"\d+", "0", one) == shape]
    return source.sample(others, min(2, len(others)))


def wrong_scale(shown: str) -> list[str]:
    """Thousands for millions and the other way round."""
    if re.fullmatch(r"-?\d+", shown):
        return [shown[:-3]] if shown.endswith("000") and len(shown.lstrip("-")) > 3 else [shown + "000"]
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", shown):
        return [shown[:-4]] if shown.endswith(",000") else [shown + ",000"]
    return []


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text.replace(",", ""))


def _at(row: dict[str, Any], path: str) -> Any:
    value: Any = row
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
