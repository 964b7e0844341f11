"""What personal data looks like: one finder a kind, by pattern, check digit and the words around it.

Every pattern's repeats are bounded, so that a hostile text costs time in proportion to its length. Numbers need more
than a form: a card its issuer's digits and its check digit, an account or a local phone the word before it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence

from data_curation.checksums import iban as iban_holds
from data_curation.checksums import luhn

Span = tuple[int, int]
NumberSpan = tuple[int, int, int]
"""Start, end and digits."""
BEFORE_CHARS = 40
"""How far back a word may stand that gives a number its meaning."""

NUMBER_SPAN = re.compile(r"[\d(+][\d\s().\-/+]{6,}")
"""Cards, social security numbers and phones lie within such a span: only what is in them, and the two characters
behind that a pattern looks ahead to, is searched."""
LEAST_SPAN_CHARS = 7
LEAST_SPAN_DIGITS, CARD_DIGITS, SSN_DIGITS = 7, 13, 9
LOOKED_AHEAD = 2

EMAIL = re.compile(
    r"(?<![\w.+%'-])[\w.+%'-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,5}[A-Za-z]{2,24}(?![\w@-])"
)
SPOKEN_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64} ?[\[(](?:at|AT)[\])] ?"
    r"(?:[\w-]{1,63} ?[\[(](?:dot|DOT)[\])] ?|[\w-]{1,63}\.){1,4}[A-Za-z]{2,24}\b"
)
CARD = re.compile(
    r"(?<![\w.,/-])"
    r"(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5})"
    r"(?![\w/-]|[.,]\d)"
)
ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11,16}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|35(?:2[89]|[3-8]\d)\d{12,15}|62\d{14,17}"
)
"""ISO/IEC 7812 prefixes and lengths: Visa, Mastercard (16), American Express, Diners, Discover, JCB, UnionPay."""
IBAN_HEAD = re.compile(r"[A-Z](?<!\w[A-Z])[A-Z]\d{2}(?= ?[A-Z0-9]{4})")
"""At the beginning of a word, said behind its first letter: a pattern that begins with a letter is found faster."""
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26,
    "UA": 29, "VG": 24, "XK": 20,
}  # fmt: skip
"""Characters by country, of the IBAN registry."""
SSN = re.compile(r"(?<![\w.,$-])(?!000|666|9)\d{3}([- ])(?!00)\d\d\1(?!0000)\d{4}(?![\w-]|[.,]\d)")
BARE_SSN = re.compile(r"(?<![\w.,$-])(?!000|666|9)\d{3}(?!00)\d\d(?!0000)\d{4}(?![\w-]|[.,]\d)")
SSN_WORDS = re.compile(r"social security|\bssn?\b|\bss ?(?:#|no)|\bsoc\.? sec", re.IGNORECASE)
SSN_OTHERWISE = re.compile(
    r"parcel|folio|\bapn\b|\blots?\b|\bblock\b|\bcase\b|\bpermit|\bfile\b|cusip|\bdocket|\bserial|\bmodel\b|\bpart no|"
    r"\bphone|\bfax\b|\btel\b|\binvoice|\border\b|[$€£]\s?$|\bcatalog|\bsku\b|\bpolicy\b|\bzip\b",
    re.IGNORECASE,
)
ACCOUNT = re.compile(
    r"\b(?:bank |checking |savings )?(?:account|acct\.?|a/c)\s?(?:number|num\.?|no\.?|#)\s{0,2}(?:is\s)?[:#]?\s{0,3}"
    r"(\d(?:[ -]?\d){5,17})(?![\w]|[.,]\d)",
    re.IGNORECASE,
)
IPV4 = re.compile(r"(?<![\w.§-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
IPV4_WORDS = re.compile(
    r"\bip\b|\bip(?:v[46])?[ -]address|\bserver|\bhost\b|\blog(?:ged)?[ -]?in|\bping|://\S{0,3}$", re.IGNORECASE
)
IPV4_OTHERWISE = re.compile(
    r"(?:\b(?:(?:section|clause|article|paragraph|part|item|rule|note|chapter|table|figure)s?|sec\.|para\.?|version|"
    r"release|appendix|schedule|regulation|v\.?|and|or|to)|[§,;])\s*$",
    re.IGNORECASE,
)
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
DATE = (
    r"(?:\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}-\d\d-\d\d|(?:\d{1,2} )?(?:January|February|March|April|May|June|July|"
    r"August|September|October|November|December)(?: \d{1,2},?)? \d{4})"
)
BIRTH = re.compile(
    rf"\b(?:date of birth|birth ?date|d\.?o\.?b\.?|born(?: on)?)\s?(?:is\s)?[:\s–-]{{0,3}}({DATE})", re.IGNORECASE
)
STREET = (
    r"\d{1,6} (?:[A-Z0-9][\w.'’-]{0,20} ){1,5}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Drive|Dr|Lane|Ln|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Terrace|Ter|Circle|Cir|"
    r"Parkway|Pkwy|Highway|Hwy|Square|Sq|Crescent|Close|Row)\b\.?"
    r"(?:,? (?:[NS][EW]|Apt|Apartment|Unit|Flat|Suite|#)\.? ?[\w-]{0,6})?"
    r"(?:, [A-Z][\w.'’ -]{1,30}){0,2}(?:,? [A-Z]{2} \d{5}(?:-\d{4})?)?"
)
HOME = re.compile(
    r"(?i:\bresiding at|\bresides at|\blives at|\bresidence is|\b(?:home|residential|private) address(?: is)?|"
    r"\ban individual,? (?:with|having) (?:an|his|her) address at)"
    rf"[:,\s]{{1,3}}({STREET})"
)


def number_spans(text: str) -> Iterator[NumberSpan]:
    """Where a card, a social security number or a phone may stand, and what a pattern sees behind it."""
    for found in NUMBER_SPAN.finditer(text):
        digits = sum(map(str.isdigit, found.group()))
        if digits >= LEAST_SPAN_DIGITS:
            yield found.start(), found.end() + LOOKED_AHEAD, digits


def in_numbers(
    pattern: re.Pattern[str], text: str, spans: Iterable[NumberSpan], digits: int = LEAST_SPAN_DIGITS
) -> Iterator[re.Match[str]]:
    """``pattern.finditer(text)`` for a pattern of digits, so many at least, and what stands between them.

    ``spans`` are those of the text: asked there alone, it is ten times as fast.
    """
    for start, end, count in spans:
        if count >= digits:
            yield from pattern.finditer(text, start, end)


def emails(text: str) -> Iterator[Span]:
    """Addresses, written plainly or with (at) and (dot)."""
    if "@" in text:
        yield from (found.span() for found in EMAIL.finditer(text) if ".." not in found.group())
    if "(at)" in text or "[at]" in text or "(AT)" in text or "[AT]" in text:
        yield from (found.span() for found in SPOKEN_EMAIL.finditer(text))


def cards(text: str, spans: Iterable[NumberSpan]) -> Iterator[Span]:
    """Payment cards: issuer's digits, length, Luhn."""
    for found in in_numbers(CARD, text, spans, CARD_DIGITS):
        digits = re.sub("[ -]", "", found.group())
        if ISSUERS.fullmatch(digits) and luhn(digits):
            yield found.span()


def ibans(text: str) -> Iterator[Span]:
    """Account numbers of the country's length whose check digits hold."""
    for head in IBAN_HEAD.finditer(text):
        length = IBAN_LENGTHS.get(head.group()[:2], 0)
        end, code = head.start(), ""
        while length and len(code) < length and end < len(text):
            character = text[end]
            if not (character.isascii() and (character.isdigit() or character.isupper() or character == " ")):
                break
            code += character.strip()
            end += 1
        whole = end == len(text) or not text[end].isalnum()
        if length and len(code) == length and whole and iban_holds(code):
            yield head.start(), end


def social_security_numbers(text: str, spans: Sequence[NumberSpan]) -> Iterator[Span]:
    """US social security numbers: dashed ones unless words before them name another number; others by words only."""
    for found in in_numbers(SSN, text, spans, SSN_DIGITS):
        before = _before(text, found.start())
        named = SSN_WORDS.search(before)
        if named or (found.group(1) == "-" and not SSN_OTHERWISE.search(before)):
            yield found.span()
    numbers = in_numbers(BARE_SSN, text, spans, SSN_DIGITS)
    bare = [one.span() for one in numbers if SSN_WORDS.search(_before(text, one.start()))]
    if bare and SSN_WORDS.search(text):
        yield from bare


def accounts(text: str) -> Iterator[Span]:
    """Bank accounts, by the words before them."""
    yield from (found.span(1) for found in ACCOUNT.finditer(text))


def ip_addresses(text: str) -> Iterator[Span]:
    """Internet addresses. Paragraph numbers look like them: so a word before, or two octets past any chapter."""
    for found in IPV4.finditer(text):
        octets = [int(part) for part in found.group().split(".")]
        before = _before(text, found.start())
        large = sum(octet >= 32 for octet in octets) >= 2
        named = IPV4_WORDS.search(before)
        if max(octets) <= 255 and octets[0] and (named or large) and not IPV4_OTHERWISE.search(before):
            yield found.span()
    if "::" in text or text.count(":") >= 7:
        yield from (found.span() for found in IPV6.finditer(text) if _is_ipv6(found.group()))


def births(text: str) -> Iterator[Span]:
    """Dates of birth, by the words before them."""
    yield from (found.span(1) for found in BIRTH.finditer(text))


def homes(text: str) -> Iterator[Span]:
    """Home addresses, by the words before them; a firm's address is none."""
    yield from ((one.start(1), one.start(1) + len(one[1].rstrip())) for one in HOME.finditer(text))


def _is_ipv6(candidate: str) -> bool:
    try:
        address = ipaddress.IPv6Address(candidate)
    except ValueError:
        return False
    return len(candidate) >= 7 and not address.is_unspecified


def _before(text: str, start: int) -> str:
    return text[max(0, start - BEFORE_CHARS) : start]
