"""Field paths: how a recipe names a value of a row.

``a.b[0]`` is an element, ``a[].b`` the ``b`` of every element, ``a|b`` the first that is not empty, ``a+b`` both texts
one after the other.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

STEP = re.compile(r"([^.\[\]]+)|\[(\d*)\]")


def lookup(row: dict[str, Any], path: str) -> Any:
    """The value at ``path``, None where there is none."""
    if _is_plain(path):
        value = row.get(path)
        return None if is_empty(value) else value
    for alternative in path.split("|"):
        value = _joined(row, alternative) if "+" in alternative else _walk(row, alternative.strip())
        if not is_empty(value):
            return value
    return None


def is_empty(value: Any) -> bool:
    """True for nothing: None, a blank text, an empty list or object. Zero and False are values."""
    return value is None or (isinstance(value, str) and not value.strip()) or (value in ([], {}))


def text_of(value: Any) -> str:
    """A value as text: lists of words are joined by blanks, objects by blank lines between their texts."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return "\n\n".join(filter(None, (text_of(one) for one in value.values())))
    if isinstance(value, (list, tuple)):
        return " ".join(text_of(one) for one in value)
    return str(value)


def _joined(row: dict[str, Any], path: str) -> str | None:
    texts = [text_of(_walk(row, part.strip())).strip() for part in path.split("+")]
    return "\n\n".join(text for text in texts if text) or None


def _walk(value: Any, path: str) -> Any:
    steps = _steps(path)
    for position, (name, index) in enumerate(steps):
        if name is not None:
            value = value.get(name) if isinstance(value, dict) else None
        elif not isinstance(value, list):
            return None
        elif index:
            value = value[int(index)] if int(index) < len(value) else None
        else:
            rest = _render(steps[position + 1 :])
            found = [_walk(element, rest) if rest else element for element in value]
            return [inner for one in found if one is not None for inner in (one if isinstance(one, list) else [one])]
        if value is None:
            return None
    return value


@lru_cache(maxsize=1_024)
def _is_plain(path: str) -> bool:
    """Whether a path is the name of a field and no more."""
    return path == path.strip() != "" and not any(sign in path for sign in "|+.[]")


@lru_cache(maxsize=1_024)
def _steps(path: str) -> list[tuple[str | None, str | None]]:
    return [(match[1], match[2]) for match in STEP.finditer(path)]


def _render(steps: list[tuple[str | None, str | None]]) -> str:
    return "".join(f".{name}" if name is not None else f"[{index}]" for name, index in steps).lstrip(".")
