"""Cheap signs that a text may hold personal data: a finder runs only where its sign is seen.

Most texts show none, and the finders together cost twenty times this look. ``sign_loop`` looks at many texts at once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from data_curation.personal_patterns import IBAN_HEAD, NumberSpan, number_spans

RUN = re.compile(r"\d[\d ().\-/]{4,}\d")
LEAST_RUN_CHARS = 6
LEAST_DIGITS = 6
"""Of the shortest number that is looked for, an account's."""
PLAIN_RUN = re.compile(
    r"\d{1,2}([/.-])\d{1,2}\1\d{4}|\d{4}([/.-])\d\d\2\d\d|(?:19|20)\d\d(?:[ /-]{1,3}(?:19|20)\d\d)+(?:\.|\))?"
)
"""A day, or years side by side: no more digits than that and there is no number to look for."""
IPV4_DOTS, IPV6_COLONS = 3, 7
COLONS = re.compile(f"::|(?:[0-9A-Fa-f]{{1,4}}:){{{IPV6_COLONS}}}")
"""As an address of version 6 has them."""
BIRTH_WORDS = ("birth", "dob", "d.o.b", "born")
HOME_WORDS = (
    "residing at", "resides at", "lives at", "residence is", "home address", "residential address", "private address",
    "address at",
)  # fmt: skip
"""Each stands in what ``personal_patterns.HOME`` matches."""
HOST_WORDS = ("host", "my name is", "names are")
SELF_WORDS = ("i'm ", "i’m ", "i am ", "we're ", "we’re ", "we are ")
SELVES = re.compile(f"(?:{'|'.join(f'(?i:{word})' for word in SELF_WORDS)})[A-ZÀ-Þ]")
"""Before a capital, with which a name begins."""
ROLE_WORDS = (
    "contact", "contact person", "contact name", "attn", "attn.", "attention", "c/o", "prepared by", "submitted by",
    "owner", "listing agent", "listing manager", "leasing agent", "leasing manager", "property agent",
    "property manager", "realtor", "landlord", "tenant", "applicant", "care of",
)  # fmt: skip
"""With one of them ends what ``personal_contacts.ROLE`` matches."""
ROLES = re.compile(rf"(?i:{'|'.join(map(re.escape, ROLE_WORDS))}) ?(?::[ \n]{{0,5}}|[–-] )[A-Z]")
"""Before a colon or dash and a capital, as ``personal_contacts.BEHIND_ROLE`` has them."""
ACCOUNT_WORDS = ("account", "acct", "acct.", "a/c")
ACCOUNTS = re.compile(rf"(?:{'|'.join(map(re.escape, ACCOUNT_WORDS))})\s?[n#]", re.IGNORECASE)
"""Before "number", "no." or #."""
SIGN_OFFS = ("\ncheers", "\nbest", "\nthanks", "\nsincerely", "\nyours", "\nwarm", "\nkind")


class Signs(NamedTuple):
    """What a text shows at a glance."""

    numbers: bool
    """A number long enough for a phone, a card, an account."""
    dotted: bool
    heads: bool
    """What an IBAN begins with; not looked at without ``numbers``."""
    spans: tuple[NumberSpan, ...]
    """Where numbers are long enough for a phone; not looked at without ``numbers``."""
    mail: bool
    colons: bool
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
        heads=numbers and IBAN_HEAD.search(text) is not None,
        spans=tuple(number_spans(text)) if numbers else (),
        mail="@" in text or "(at)" in folded or "[at]" in folded,
        colons=COLONS.search(text) is not None,
        births=any(word in folded for word in BIRTH_WORDS),
        homes=any(word in folded for word in HOME_WORDS),
        hosts=any(word in folded for word in HOST_WORDS),
        selves=SELVES.search(text) is not None,
        sign_offs=any(word in folded for word in SIGN_OFFS),
        roles=ROLES.search(text) is not None,
        accounts=ACCOUNTS.search(text) is not None,
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
