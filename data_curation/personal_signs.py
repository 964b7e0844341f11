"""Cheap signs that a text may hold personal data: a finder runs only where its sign is seen.

Most texts show none, and the finders together cost twenty times this look. ``sign_loop`` looks at many texts at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

RUN = re.compile(r"\d[\d ().\-/]{4,}\d")
LEAST_DIGITS = 6
"""Of the shortest number that is looked for, an account's."""
PLAIN_RUN = re.compile(
    r"\d{1,2}([/.-])\d{1,2}\1\d{4}|\d{4}([/.-])\d\d\2\d\d|(?:19|20)\d\d(?:[ /-]{1,3}(?:19|20)\d\d)+(?:\.|\))?"
)
"""A day, or years side by side: no more digits than that and there is no number to look for."""
IPV4_DOTS, IPV6_COLONS = 3, 7
BIRTH_WORDS = ("birth", "dob", "d.o.b", "born")
HOME_WORDS = ("resid", "lives at", "address")
HOST_WORDS = ("host", "my name is", "names are")
SELF_WORDS = ("i'm ", "i’m ", "i am ", "we're ", "we’re ", "we are ")
ROLE_WORDS = (
    "contact", "attn", "attention", "c/o", "prepared by", "submitted by", "owner", "listing", "leasing", "property",
    "realtor", "landlord", "tenant", "applicant", "care of",
)  # fmt: skip
"""Each stands in what ``personal_contacts.ROLE`` matches."""
ACCOUNT_WORDS = ("account", "acct", "a/c")
SIGN_OFFS = ("\ncheers", "\nbest", "\nthanks", "\nsincerely", "\nyours", "\nwarm", "\nkind")


@dataclass(frozen=True)
class Signs:
    """What a text shows at a glance."""

    numbers: bool
    """A number long enough for a phone, a card, an account."""
    dotted: bool
    mail: bool
    colons: bool
    """As an address of version 6 has them."""
    births: bool
    homes: bool
    hosts: bool
    selves: bool
    sign_offs: bool
    roles: bool
    accounts: bool


def signs_of(text: str) -> Signs:
    """Look once."""
    folded = "\n" + text.casefold()
    numbers, dotted = long_runs(text)
    return Signs(
        numbers=numbers,
        dotted=dotted,
        mail="@" in text or "(at)" in folded or "[at]" in folded,
        colons="::" in text or text.count(":") >= IPV6_COLONS,
        births=any(word in folded for word in BIRTH_WORDS),
        homes=any(word in folded for word in HOME_WORDS),
        hosts=any(word in folded for word in HOST_WORDS),
        selves=any(word in folded for word in SELF_WORDS),
        sign_offs=any(word in folded for word in SIGN_OFFS),
        roles=any(word in folded for word in ROLE_WORDS),
        accounts=any(word in folded for word in ACCOUNT_WORDS),
    )


def long_runs(text: str) -> tuple[bool, bool]:
    """Whether a run of digits is long enough for a number, and whether one has the points of an address."""
    numbers = dotted = False
    for run in RUN.finditer(text):
        shown = run.group()
        dotted = dotted or shown.count(".") >= IPV4_DOTS
        if not numbers and sum(map(str.isdigit, shown)) >= LEAST_DIGITS:
            numbers = PLAIN_RUN.fullmatch(shown) is None
        if numbers and dotted:
            break
    return numbers, dotted
