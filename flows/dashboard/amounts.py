"""Figures as the pages print them: money from micro-USD, hours, shares, moments, names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

UNKNOWN = "no price"
MINUS = "\u2212"
UNSEEN = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
"""Unicode categories."""


def money(micro_usd: float | None, digits: int = 2) -> str:
    """``$1,234.56``; an amount without a price is named, never zero. ``digits`` after the point, two or more."""
    if micro_usd is None:
        return UNKNOWN
    sign = MINUS if round(micro_usd / 1e6, digits) < 0 else ""
    return f"{sign}${abs(micro_usd) / 1e6:,.{digits}f}"


def digits_for(amounts: Iterable[float | None]) -> int:
    """How many digits after the point a column needs, so that its smallest amount still shows two figures."""
    sizes = [abs(one) for one in amounts if one]
    if not sizes or max(sizes) >= 100_000_000:  # 100 USD: nobody looks for parts of a cent beside it
        return 2
    smallest = min(sizes)
    if smallest < 1:  # a unit's cost may be less than a micro-USD
        return next((digits for digits in (7, 8) if smallest >= 10.0 ** (7 - digits)), 9)
    return next((digits for digits in (2, 3, 4, 5) if smallest >= 10 ** (7 - digits)), 6)


def amount(micro_usd: float | None) -> str:
    """One amount by itself, with as many digits as it needs."""
    return money(micro_usd, digits_for([micro_usd]))


def hours(value: float) -> str:
    """``1,234.567`` device-hours."""
    return f"{value:,.3f}"


def percent(share: float | None, signed: bool = False) -> str:
    """``7.2 %``; a share that is not known is a dash."""
    if share is None:
        return "–"
    shown = 100 * share
    told = f"{abs(shown):,.{0 if abs(shown) >= 99.95 else 1}f} %"
    return (MINUS if shown < -0.05 else "+" if signed and shown > 0.05 else "") + told


def when(moment: datetime) -> str:
    """``2026-07-01 12:05`` in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def points(value: float) -> str:
    """Score points with their sign: ``+1.2``."""
    return f"{MINUS if value < -0.05 else '+' if value > 0.05 else ''}{abs(value):.1f}"


def visible(text: str) -> str:
    """A text without signs that nobody sees: those that turn the writing direction, join, or control, become dots."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("·" if unicodedata.category(sign) in UNSEEN and sign != "\n" else sign for sign in text)


def plain(name: Any, length: int = 26) -> str:
    """A name for a figure or a headline: one line, and short."""
    told = visible(str(name)).replace("\n", " ")
    return told if len(told) <= length else told[: length - 1] + "…"


def nice_step(most: float, steps: int = 4) -> float:
    """A step of 1, 2 or 5 times a power of ten that reaches ``most`` in at most so many steps and one."""
    raw = most / steps if most > 0 else 1.0
    power = 10.0 ** (len(f"{int(raw)}") - 1) if raw >= 1 else 10.0 ** -_zeros(raw)
    return next((factor * power for factor in (1, 2, 5) if factor * power >= raw), 10 * power)


def _zeros(raw: float) -> int:
    zeros = 0
    while raw < 1 and zeros < 12:
        raw, zeros = raw * 10, zeros + 1
    return zeros
