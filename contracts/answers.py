"""Answers as JSON objects of fields: one way to write them, read them and compare them, for every room.

The document writer makes gold answers, the teacher's are verified, evaluation scores candidates: all three mean
the same by "equal", so the meaning lives here.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from contracts.documents import ChatExample, ModelAnswer

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
FIELD_NAME = re.compile(r'"[^"\\\n]*"\s*:')
"""The key of a JSON member, also in an answer that was cut off and does not parse."""


def canonical(fields: dict[str, Any]) -> str:
    """The gold answer as text: compact JSON in the field order given."""
    return json.dumps(fields, ensure_ascii=False, separators=(", ", ": "))


def parse(text: str) -> dict[str, Any] | None:
    """The JSON object of an answer, or None. Text around the outermost braces is not forgiven, a code fence is."""
    stripped = text.strip()
    if stripped.startswith("```"):
        stripped = stripped.strip("`").removeprefix("json").strip()
    try:
        value = json.loads(stripped)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def normalise(value: Any) -> str:
    """A field's value for comparison: NFKC, case and runs of white space folded, edge punctuation dropped."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFKC", str(value)).casefold()
    return re.sub(r"\s+", " ", text).strip(" .,;:\"'")


def atoms(fields: dict[str, Any]) -> set[tuple[str, str]]:
    """``(field, normalised value)`` pairs; a list gives one pair an element; None and empty values give none."""
    found: set[tuple[str, str]] = set()
    for field, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None and normalise(one):
                found.add((field, normalise(one)))
    return found


def agrees(answer: dict[str, Any] | None, gold: dict[str, Any]) -> bool:
    """True when every field of ``gold`` is answered with the same value and nothing else is claimed."""
    return answer is not None and atoms(answer) == atoms(gold)


def fault(answer: ModelAnswer, example: ChatExample) -> str:
    """What is wrong with a model's answer: ``unfinished``, ``no_gold``, ``invalid_json`` or ``wrong_fields``.

    Empty when it is right. An example without gold fields has nothing to hold an answer against.
    """
    if answer.finish != "stop":
        return "unfinished"
    if example.gold is None:
        return "no_gold"
    fields = parse(answer.text)
    if fields is None:
        return "invalid_json"
    return "" if agrees(fields, example.gold) else "wrong_fields"


def numbers(text: str) -> set[str]:
    """The numbers of a text, thousands separators dropped: ``"54,318"`` gives ``{"54318"}``."""
    return {match.replace(",", "").rstrip(".") for match in NUMBER.findall(text)}


def invented_numbers(answer: str, context: str) -> set[str]:
    """Numbers that the answer states and the context does not: hallucinated figures.

    Field names are the question's, not the answer's: the 1 of ``"address_line1": ...`` is no figure.
    """
    return numbers(FIELD_NAME.sub(" ", answer)) - numbers(context)
