"""Templates and their filters: substitution over a white list, nothing is evaluated."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

REFERENCE = re.compile(r"\{([a-z][a-z0-9_]*)(?:\.([a-z][a-z0-9_]*))?((?:\|[a-z_]+(?::[a-z0-9_.]+)?)*)\}")


class Reference(NamedTuple):
    """``{name.column|filter:argument|...}``."""

    name: str
    column: str
    filters: tuple[tuple[str, str], ...]


@lru_cache(maxsize=65536)
def parsed(template: str) -> tuple[str | Reference, ...]:
    """The template's literal texts and references, in order."""
    parts: list[str | Reference] = []
    end = 0
    for match in REFERENCE.finditer(template):
        if match.start() > end:
            parts.append(template[end : match.start()])
        filters = tuple(one.partition(":") for one in match[3].split("|")[1:])
        parts.append(Reference(match[1], match[2] or "", tuple((name, argument) for name, _, argument in filters)))
        end = match.end()
    if end < len(template):
        parts.append(template[end:])
    return tuple(parts)


def stray_braces(template: str) -> bool:
    """True where a brace is left that is part of no reference."""
    return any(isinstance(part, str) and ("{" in part or "}" in part) for part in parsed(template))


def _long(value: Any) -> str:
    return f"{calendar.month_name[value.month]} {value.day}, {value.year}"


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _comma(value: Any) -> str:
    """``1234.5`` as ``1,234.5``; a figure below zero in brackets."""
    shown = f"{abs(value):,}" if isinstance(value, int) else f"{abs(value):,.2f}"
    return f"({shown})" if value < 0 else shown


def _times(value: Any, factor: str) -> Any:
    """Exact in decimal: 0.41 times 1000000 is 410000, never 409999.99."""
    product = round(float(value) * float(factor), 6)
    return int(product) if product.is_integer() else product


FILTERS: dict[str, Callable[..., Any]] = {
    "upper": lambda value: str(value).upper(),
    "lower": lambda value: str(value).lower(),
    "title": lambda value: str(value).title(),
    "capital": lambda value: str(value)[:1].upper() + str(value)[1:],
    "comma": _comma,
    "plain": _plain,
    "fixed": lambda value, places: f"{float(value):.{int(places)}f}",
    "times": _times,
    "product": _times,
    "plus": lambda value, other: value + int(other),
    "less": lambda value, other: value - int(other),
    "int": lambda value: int(float(value)),
    "long": _long,
    "iso": lambda value: value.isoformat(),
    "compact": lambda value: value.strftime("%Y%m%d"),
    "slash": lambda value: f"{value.month}/{value.day}/{value.year}",
    "month": lambda value: calendar.month_name[value.month],
    "month_day": lambda value: f"{calendar.month_name[value.month]} {value.day}",
    "day": lambda value: value.day,
    "year": lambda value: value.year,
    "year_before": lambda value, years="1": value.year - int(years),
    "months_before": lambda value, months: _shifted(value, -int(months)),
    "days_after": lambda value, days: value + datetime.timedelta(days=int(days)),
    "words": lambda value: str(value).split(),
    "initials": lambda value: "".join(word[0] for word in str(value).split() if word[0].isalpha()).upper(),
    "head": lambda value, count: str(value)[: int(count)],
    "letters": lambda value: re.sub(r"[^A-Za-z0-9]", "", str(value)),
    "strip": lambda value: str(value).strip(" ,.;"),
}


def _shifted(value: datetime.date, months: int) -> datetime.date:
    """The same day of another month; a month's end stays a month's end."""
    index = value.year * 12 + value.month - 1 + months
    year, month = divmod(index, 12)
    last = calendar.monthrange(year, month + 1)[1]
    at_end = value.day == calendar.monthrange(value.year, value.month)[1]
    return datetime.date(year, month + 1, last if at_end else min(value.day, last))
