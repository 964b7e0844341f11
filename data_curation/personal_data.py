"""Personal data: found by pattern, check digit and context; replaced by placeholders. Values are counted, never kept.

What stays: identifiers of the trade (``recipes/identifiers.yaml`` and the vertical's own), and the values that a task
of the recipe asks for or shows in its prompt. A masked gold value would teach a model to invent it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.answers import NUMBER
from data_curation.checksums import CHECKSUMS
from data_curation.personal_contacts import known_names, names, phones
from data_curation.personal_patterns import (
    Span,
    accounts,
    births,
    cards,
    emails,
    homes,
    ibans,
    ip_addresses,
    social_security_numbers,
)
from data_curation.personal_signs import Signs, signs_of
from data_curation.sign_loop import Look
from recipes.text_rules import Identifier

FINDERS: dict[str, tuple[Callable[[Signs], Any], Callable[[str, Signs], Iterable[Span]]]] = {
    "email": (lambda signs: signs.mail, lambda text, _: emails(text)),
    "iban": (lambda signs: signs.heads, lambda text, _: ibans(text)),
    "credit_card": (lambda signs: signs.spans, lambda text, signs: cards(text, signs.spans)),
    "ssn": (lambda signs: signs.spans, lambda text, signs: social_security_numbers(text, signs.spans)),
    "bank_account": (lambda signs: signs.numbers and signs.accounts, lambda text, _: accounts(text)),
    "ip_address": (lambda signs: signs.dotted or signs.colons, lambda text, _: ip_addresses(text)),
    "phone": (lambda signs: signs.spans, lambda text, signs: phones(text, signs.spans)),
    "date_of_birth": (lambda signs: signs.births, lambda text, _: births(text)),
    "home_address": (lambda signs: signs.homes, lambda text, _: homes(text)),
}
"""Kind to the sign without which there is none, and its finder; of two that overlap the kind named first holds."""
KINDS = (*FINDERS, "name")
NUMERIC_KINDS = frozenset({"iban", "credit_card", "ssn", "bank_account", "ip_address", "phone"})
"""What an identifier of the trade can be taken for."""
LEAST_PROTECTED_CHARS = 2


@dataclass(frozen=True)
class Finding:
    """A place in the text; ``kind`` is one of ``KINDS``."""

    kind: str
    start: int
    end: int


@dataclass
class Cleaned:
    """A text without personal data, and what was found: counts by kind."""

    text: str
    found: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    """What looked like personal data and stays, by the identifier's name; ``gold`` for a value that a task needs."""
    numbers_before: int = 0
    numbers_after: int = 0


@dataclass(frozen=True)
class AllowList:
    """The identifiers of the trade, compiled."""

    entries: tuple[tuple[str, Identifier, re.Pattern[str], re.Pattern[str] | None], ...]

    def owner(self, text: str, finding: Finding) -> str:
        """The identifier that a finding is, empty where it is none. Words are none."""
        if finding.kind not in NUMERIC_KINDS:
            return ""
        found = text[finding.start : finding.end]
        for name, identifier, pattern, near in self.entries:
            if _is_whole(text, finding, pattern) and _checks(found, identifier) and _stands_near(
                text, finding, near, identifier.near_chars
            ):  # fmt: skip
                return name
        return ""


def allow_list(identifiers: Mapping[str, Identifier]) -> AllowList:
    """The catalogue, ready to be asked."""
    return AllowList(
        tuple(
            (
                name,
                one,
                re.compile(f"(?:{one.pattern})", re.IGNORECASE),
                re.compile("|".join(rf"(?<!\w){re.escape(word)}" for word in one.near), re.IGNORECASE)
                if one.near
                else None,
            )
            for name, one in identifiers.items()
        )
    )


def find(text: str, people: Iterable[str] = (), signs: Signs | None = None) -> list[Finding]:
    """Personal data in reading order, none overlapping another. ``people``: names that the document's fields give."""
    signs = signs or signs_of(text)
    found: list[Finding] = []
    for kind, (may_hold, finder) in FINDERS.items():
        if may_hold(signs):
            found += [Finding(kind, *span) for span in finder(text, signs)]
    contacts: list[Span] = [(one.start, one.end) for one in found if one.kind in ("email", "phone")]
    found += [Finding("name", *span) for span in (*names(text, contacts, signs), *known_names(text, people))]
    return _apart(found)


def cleaned(
    text: str, allowed: AllowList, protected: Iterable[str] = (), people: Iterable[str] = (), look: Look | None = None
) -> Cleaned:
    """The text with placeholders like ``[EMAIL]``. ``protected``: values that must stay as they are printed.

    ``look``: what a look at the text has shown already.
    """
    found = find(text, people, look.signs if look else None)
    numbers = look.numbers if look else len(NUMBER.findall(text))
    result = Cleaned(text, numbers_before=numbers, numbers_after=numbers)
    if not found:
        return result
    values = {one for one in (_folded(value) for value in protected) if len(one) >= LEAST_PROTECTED_CHARS}
    parts, last = [], 0
    for one in found:
        owner = "gold" if _is_protected(text, one, values) else allowed.owner(text, one)
        if owner:
            result.kept[owner] += 1
            continue
        result.found[one.kind] += 1
        parts += [text[last : one.start], f"[{one.kind.upper()}]"]
        last = one.end
    result.text = "".join([*parts, text[last:]])
    result.numbers_after = len(NUMBER.findall(result.text))
    return result


def _apart(findings: list[Finding]) -> list[Finding]:
    rank = {kind: number for number, kind in enumerate(KINDS)}
    kept: list[Finding] = []
    for one in sorted(findings, key=lambda one: (rank[one.kind], one.start, -one.end)):
        place = bisect_left(kept, one.start, key=lambda other: other.start)
        before_is_over = place == 0 or kept[place - 1].end <= one.start
        if before_is_over and (place == len(kept) or one.end <= kept[place].start):
            kept.insert(place, one)
    return kept


def _is_protected(text: str, finding: Finding, values: set[str]) -> bool:
    """The finding stands in such a value, or such a value makes up most of the finding."""
    found = _folded(text[finding.start : finding.end])
    return any(found in value or (value in found and 2 * len(value) >= len(found)) for value in values)


def _folded(value: str) -> str:
    return " ".join(value.casefold().split())


def _is_whole(text: str, finding: Finding, pattern: re.Pattern[str]) -> bool:
    """The identifier is the finding, or begins up to three characters before it (``0-12345``) or ends so much after."""
    for start in range(max(0, finding.start - 3), finding.start + 1):
        match = pattern.match(text, start)
        if match and match.end() >= finding.end:
            return True
    return False


def _checks(found: str, identifier: Identifier) -> bool:
    return not identifier.checksum or CHECKSUMS[identifier.checksum](re.sub(r"[\s-]", "", found).upper())


def _stands_near(text: str, finding: Finding, near: re.Pattern[str] | None, chars: int) -> bool:
    return near is None or bool(near.search(text[max(0, finding.start - chars) : finding.end + chars]))
