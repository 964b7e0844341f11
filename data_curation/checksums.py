"""Check digits: what tells a number with a meaning from any other. Arguments are as printed, blanks out."""

from __future__ import annotations

import string

VALUES = {character: value for value, character in enumerate(string.digits + string.ascii_uppercase)}
CUSIP_VALUES = VALUES | {"*": 36, "@": 37, "#": 38}


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: cards. The last digit is the check digit."""
    if not (digits.isascii() and digits.isdigit()):
        return False
    total = 0
    for place, character in enumerate(reversed(digits)):
        doubled = int(character) * (2 if place % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def mod97(code: str) -> bool:
    """ISO 7064 MOD 97-10, letters as 10 to 35: the remainder is 1. An LEI as printed; an IBAN, its head moved back."""
    if not code or any(character not in VALUES for character in code):
        return False
    return int("".join(str(VALUES[character]) for character in code)) % 97 == 1


def iban(code: str) -> bool:
    """ISO 13616: country, check digits, account. The country's length is not looked at here."""
    return mod97(code[4:] + code[:4])


def isin(code: str) -> bool:
    """ISO 6166: Luhn over the code with its letters written as 10 to 35."""
    return all(one in VALUES for one in code) and luhn("".join(str(VALUES[one]) for one in code))


def cusip(code: str) -> bool:
    """ANSI X9.6: nine characters; every second value doubled, digit sums added up, the last makes a full ten."""
    if len(code) != 9 or any(one not in CUSIP_VALUES for one in code) or not code[8].isdigit():
        return False
    doubled = [CUSIP_VALUES[one] * (2 if place % 2 else 1) for place, one in enumerate(code[:8])]
    return (10 - sum(value // 10 + value % 10 for value in doubled) % 10) % 10 == int(code[8])


CHECKSUMS = {"luhn": luhn, "mod97": mod97, "iban": iban, "isin": isin, "cusip": cusip}
