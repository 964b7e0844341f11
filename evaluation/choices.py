"""Multiple choice: which letters an example offers, and which one an answer names."""

from __future__ import annotations

import re

from contracts.answers import parse
from contracts.documents import ChatExample
from contracts.errors import InputError

OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s", re.MULTILINE)
LETTER = re.compile(r"\b([A-Z])\b")


def gold_letter(example: ChatExample) -> str:
    """The right option's letter, from ``gold`` (``{"answer": "B"}``)."""
    letter = str((example.gold or {}).get("answer", ""))
    if not re.fullmatch(r"[A-Z]", letter):
        hint = 'the general suite is multiple choice: gold is {"answer": "B"}'
        raise InputError(f"general item {example.id}", "has no letter as its gold answer", got=example.gold, hint=hint)
    return letter


def letters(example: ChatExample) -> list[str]:
    """The letters of the options in the prompt (lines that begin ``A.``, ``(A)`` or ``A:``); A to D where none are."""
    found = dict.fromkeys(OPTION.findall(example.prompt[-1]["content"]))
    return sorted({*(found or "ABCD"), gold_letter(example)})


def answer_opening(example: ChatExample) -> str:
    """The part of the gold completion before its letter: the same for every option, so it tells nothing."""
    place = example.completion.rfind(gold_letter(example))
    return example.completion[:place] if place > 0 else ""


def named_letter(text: str) -> str:
    """The letter that a written answer names: its JSON field ``answer``, else its first lone capital; empty: none."""
    fields = parse(text)
    if fields is not None:
        text = str(fields.get("answer", ""))
    found = LETTER.search(text)
    return found.group(1) if found else ""
