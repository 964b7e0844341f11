"""What validation finds wrong with a file that people write: the key's path, what is wrong, and what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from contracts.errors import RecipeError

SHOWN_CHARS = 120


def faults_of(
    subject: str, error: ValidationError, model: Any, hint: str, hints: Mapping[str, str] | None = None
) -> list[RecipeError]:
    """Every fault of a file that was read as ``model`` (a section, or a table of them); ``subject`` names it.

    ``hints`` knows keys by their names.
    """
    return [_fault(subject, detail, model, hint, hints or {}) for detail in error.errors(include_url=False)]


def fact_of(detail: ErrorDetails) -> str:
    """What is wrong, in words that go behind a key's path."""
    context = detail.get("ctx", {})
    told = {
        "missing": "is missing",
        "extra_forbidden": "no such key",
        "string_type": "must be text",
        "string_too_short": "must not be empty",
        "string_pattern_mismatch": f"must match {context.get('pattern')}",
        "too_short": f"needs at least {context.get('min_length')} of them",
        "dict_type": "must be a mapping of keys",
        "model_type": "must be a mapping of keys",
        "tuple_type": "must be a list",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
    }.get(detail["type"])
    if told:
        return told
    fact = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    fact = fact.replace("greater than or equal to", ">=").replace("greater than", ">")
    fact = fact.replace("less than or equal to", "<=").replace("less than", "<")
    return fact[0].lower() + fact[1:]


def did_you_mean(model: Any, location: tuple[int | str, ...]) -> str:
    """For a key that is not there: the nearest one of the same section, else the sections that have it."""
    here: Any = model
    for part in location[:-1]:
        here = _below(here, part)
    root = section_of(model)
    section = _model_in(here) or root
    if section is None or root is None:
        return ""
    wrong = str(location[-1])
    near = difflib.get_close_matches(wrong, section.model_fields, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    owners = sorted({path for path, name in _all_keys(root, (root,)) if name == wrong})
    if owners:
        return f"{wrong} is a key of {', '.join(owners[:3])}"
    return f"the keys here are {', '.join(section.model_fields)}"


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, or holds a table or list of."""
    found = _model_in(annotation)
    if found is None:
        for one in _alternatives(annotation):
            inner = get_args(one)
            if get_origin(one) in (dict, tuple, list) and inner:
                found = found or _model_in(inner[1] if get_origin(one) is dict else inner[0])
    return found


def is_table(annotation: Any) -> bool:
    """Whether a field maps names that people choose."""
    return get_origin(annotation) is dict


def _fault(subject: str, detail: ErrorDetails, model: Any, hint: str, hints: Mapping[str, str]) -> RecipeError:
    location = tuple(part for part in detail["loc"] if part != "[key]")
    path = ".".join(str(part) for part in location)
    where = f"{subject}: {path}" if path else subject
    if detail["type"] == "extra_forbidden":
        return RecipeError(where, fact_of(detail), hint=did_you_mean(model, location))
    if "[key]" in detail["loc"]:
        fact = f"as a name, {fact_of(detail)}"
        hint = "YAML reads no, yes, on and off as true or false: quote them"
        return RecipeError(where, fact, got=_shown(detail["input"]), hint=hint)
    shown = None if detail["type"] == "missing" else _shown(detail["input"])
    key = next((str(part) for part in reversed(location) if isinstance(part, str)), "")
    return RecipeError(where, fact_of(detail), got=shown, hint=hints.get(key, hint))


def _shown(value: Any) -> str | int | float | bool | None:
    """A value as it is shown; of anything larger nothing."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN_CHARS else value[:SHOWN_CHARS] + "..."
    return value if isinstance(value, (int, float, bool)) else None


def _alternatives(annotation: Any) -> Iterator[Any]:
    """What an annotation may stand for, less what only bounds it."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _alternatives(one)
    else:
        yield annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for one in _alternatives(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _below(annotation: Any, part: int | str) -> Any:
    """What stands below a key, a name of a table or a place of a list; None where nothing is known to."""
    for one in _alternatives(annotation):
        inner = get_args(one)
        if isinstance(one, type) and issubclass(one, BaseModel) and str(part) in one.model_fields:
            return one.model_fields[str(part)].annotation
        if get_origin(one) is dict:
            return inner[1]
        if get_origin(one) in (tuple, list):
            return inner[0]
    return None


def _all_keys(model: type[BaseModel], above: tuple[type[BaseModel], ...], path: str = "") -> Iterator[tuple[str, str]]:
    """Section and key, all through a model; a section within itself is looked at once."""
    for name, field in model.model_fields.items():
        yield path or "the top", name
        inner = section_of(field.annotation)
        if inner is not None and inner not in above:
            yield from _all_keys(inner, (*above, inner), f"{path}.{name}" if path else name)
