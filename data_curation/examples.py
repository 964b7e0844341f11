"""Tasks over documents: chat examples with gold answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from contracts.answers import canonical
from contracts.documents import ChatExample
from contracts.errors import RecipeError
from data_curation.candidates import Book, Candidate
from data_curation.field_paths import is_empty, lookup, text_of
from data_curation.windows import is_printed, window_of
from recipes.schema import Task

PLACE = re.compile(r"\{(\w+)\}")
PERIOD = re.compile(r"^(\d{4}-\d\d-\d\d)/(\d{4}-\d\d-\d\d)$")
LETTERS = "ABCDEFGHIJ"


def check_prompts(tasks: dict[str, Task]) -> None:
    """Raises RecipeError when a prompt names a place that nothing fills."""
    for name, task in tasks.items():
        known = {"text", *task.values} | ({"choices"} if task.choices else set())
        for place in PLACE.findall(task.prompt):
            if place not in known:
                raise RecipeError(
                    f"tasks.{name}.prompt",
                    "names a place that nothing fills",
                    got=f"{{{place}}}",
                    hint=f"the places are {', '.join(sorted(known))}; add it to tasks.{name}.values",
                )


def examples_of(name: str, task: Task, candidate: Candidate, system_prompt: str, book: Book) -> list[ChatExample]:
    """The examples that one document gives to a task; what cannot be made is written down with its reason."""
    made: list[ChatExample] = []
    taken: set[str] = set()
    for number, element in _elements(task, candidate):
        if len(made) == task.per_document:
            break
        text = _text_for(task, element, candidate)
        if text is None:
            book.reject_example(name, candidate, "figure_not_in_text", text_of(_find(element, "window", task)))
            continue
        gold = _gold(task, element, text)
        reason = _missing(task, gold, text)
        if not gold:
            book.example_rejects[f"{name}: no_gold"] += 1  # the task does not apply here: nothing to look at
        elif reason:
            book.reject_example(name, candidate, *reason)
        if not gold or reason:
            continue
        prompt = _prompt(task, element, text)
        if prompt in taken:
            continue
        taken.add(prompt)
        made.append(
            _example(f"{name}/{candidate.document.id}/{number}", name, candidate, (system_prompt, prompt), gold, text)
        )
    return made


def _example(
    identity: str, task: str, candidate: Candidate, messages: tuple[str, str], gold: dict[str, Any], text: str
) -> ChatExample:
    document = candidate.document
    system, user = messages
    prompt = [{"role": "system", "content": system}] if system else []
    return ChatExample(
        id=identity, task=task, source=document.source, document_id=document.id, entity=document.entity,
        synthetic=document.synthetic, prompt=[*prompt, {"role": "user", "content": user}], completion=canonical(gold),
        gold=gold, context=text,
    )  # fmt: skip


def _elements(task: Task, candidate: Candidate) -> Iterator[tuple[int, dict[str, Any]]]:
    """``(number, row)``: the row itself, or for ``each`` the row with its element under ``each``.

    Elements come in an order that looks random and is the same on every run, so that a cap takes no prefix.
    """
    if not task.each:
        yield 0, candidate.row
        return
    found = lookup(candidate.row, task.each)
    numbered = list(enumerate(found)) if isinstance(found, list) else []
    key = candidate.document.id
    for number, element in sorted(numbered, key=lambda one: hashlib.sha256(f"{key}/{one[0]}".encode()).digest()):
        inner = element if isinstance(element, dict) else {"value": element}
        yield number, {**inner, **candidate.row, "each": element}


def _find(row: dict[str, Any], what: str, task: Task) -> Any:
    """The window's figure: a path in the element, with or without ``each.``."""
    path = task.window.around if task.window and what == "window" else what
    value = lookup(row, path)
    return value if value is not None or path.startswith("each.") else lookup(row, f"each.{path}")


def _text_for(task: Task, row: dict[str, Any], candidate: Candidate) -> str | None:
    text = candidate.document.text
    if task.window is None:
        return text
    printed = text_of(_find(row, "window", task)).strip()
    about = " ".join(text_of(lookup(row, path)) for path in task.values.values())
    return window_of(text, printed, about, task.window) if printed else None


def _gold(task: Task, row: dict[str, Any], text: str) -> dict[str, Any]:
    """Gold fields in the task's order. A field whose value is missing is left out: the model must not claim it."""
    gold: dict[str, Any] = {}
    for field, path in task.fields.items():
        value = _tidy(lookup(row, path))
        labels = task.labels.get(field, {})
        if is_empty(value) or (field in task.only_if_printed and not is_printed(value, text)):
            continue
        gold[field] = labels.get(str(value), value)
    return gold


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"\s+", " ", value).strip().rstrip(",;").rstrip()
    if isinstance(value, list):
        tidy = [_tidy(one) for one in value if not is_empty(one)]
        return list({str(one): one for one in tidy}.values())
    return value


def _missing(task: Task, gold: dict[str, Any], text: str) -> tuple[str, str] | None:
    for field in task.must_appear:
        value = gold.get(field)
        if value is None:
            continue
        for one in value if isinstance(value, list) else [value]:
            if not is_printed(one, text):
                return "gold_not_in_text", f"{field}: {one}"
    return None


def _prompt(task: Task, row: dict[str, Any], text: str) -> str:
    filled = {"text": text}
    for name, path in task.values.items():
        shown = text_of(_tidy(lookup(row, path)))
        filled[name] = PERIOD.sub(r"\1 to \2", task.labels.get(name, {}).get(shown, shown))
    if task.choices:
        options = lookup(row, task.choices) or []
        filled["choices"] = "\n".join(f"{LETTERS[n]}. {text_of(one)}" for n, one in enumerate(options[: len(LETTERS)]))
    return PLACE.sub(lambda place: filled.get(place.group(1), place.group(0)), task.prompt)
