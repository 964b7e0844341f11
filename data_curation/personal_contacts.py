"""Phones, and people's names where they stand as a contact: the two kinds that only their surroundings give away."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from data_curation.personal_patterns import NumberSpan, Span, in_numbers
from data_curation.personal_signs import Signs

NORTH_AMERICAN = re.compile(
    r"(?<![\w.,$€£/+(-])(?:\+?1[ .-]?)?(?:\(\s?[2-9]\d\d\s?\)[ .-]{0,2}|[2-9]\d\d([.-]))"
    r"[2-9]\d\d(?(1)\1|[ .-])\d{4}(?![\w-]|[.,]\d)"
)
"""(202) 555-0143, 202-555-0143, 202.555.0143, with or without a leading 1: known by their form."""
NORTH_AMERICAN_DIGITS = 10
INTERNATIONAL = re.compile(r"(?<![\w+.,$€£-])\+[1-9]\d{0,2}(?:[ .\-()/]{0,3}\d){6,13}(?![\w]|[.,]\d)")
LOCAL = re.compile(r"(?<![\w.,$€£/-])\(?\d(?:[ .\-()/]{0,2}\d){6,14}(?![\w%]|[.,]\d)")
"""Any grouping, only behind a word for a phone."""
DAY = re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{4}|\d{4}[/.-]\d\d[/.-]\d\d")
PHONE_WORDS = re.compile(
    r"(?:(?:\btel(?:e|ephone|efax)?\b|\b(?:land ?line|phone|fax|facsimile|call|text|whatsapp|voicemail|dial|"
    r"hotline|telefon)\b|"
    r"\b(?:my|our|his|her|their|contact)(?: \w+)? number\b|☎|📞)(?:[^\d\n]{0,25}|[:.]\s{1,3})|"
    r"(?:\b(?:cell|mobile)|(?:^|[\s|(,;])(?:t|p|m|c|f|ph)\s?[:.])"
    r"(?: ?(?:phone|number|no\.?|is))*[\s:,.#]{0,4})$",
    re.IGNORECASE,
)
NO_PHONE_WORDS = re.compile(
    r"\b(?:item|order|part|invoice|sku|serial|model|case|docket|ticket|catalog(?:ue)?)"
    r"(?:,? (?:no|number)\.?)?[:\s#]{0,3}$",
    re.IGNORECASE,
)
PHONE_WORD_CHARS = 45
DIGIT = re.compile(r"\d")
PHONE_MARKS = (
    "tel", "line", "phone", "fax", "facsimile", "call", "text", "whatsapp", "voicemail", "dial", "number", "cell",
    "mobile", "☎", "📞", "t:", "p:", "m:", "c:", "f:", "h:", "t.", "p.", "m.", "c.", "f.", "h.", " :", " .",
    "\n:", "\n.", "\t:", "\t.",
)  # fmt: skip
"""Before a number without one of them there is none of ``PHONE_WORDS``, which takes ten times as long to look for."""
EXTENSION = re.compile(r",? ?(?:ext\.?|extension|x) ?\d{1,5}\b", re.IGNORECASE)

WORD = (
    r"(?:(?:Mc|Mac|De|Di|Du|La|Le|Van|Von|Fitz|[DO]['’])?"
    r"[A-ZÀ-Þ][a-zà-ÿ]{1,20}(?:-[A-ZÀ-Þ][a-zà-ÿ]{1,20})?(?!\w)|[A-Z]\.)"
)
TITLE = r"(?:(?:Mr|Mrs|Ms|Dr|Prof|Miss|Mx)\.? )"
INITIAL = re.compile(r"[A-Z]?\.?")
FULL_NAME = rf"{TITLE}?{WORD}(?: (?:{WORD}|(?:van|von|de|der|la|del|di|bin|al)\b)){{1,4}}|{TITLE}{WORD}"
CAPITALS = r"[A-Z]{2,20}(?: (?:[A-Z]{2,20}|[A-Z]\.)){1,2}\b"
FIRST_NAMES = rf"{WORD}(?: {WORD}){{0,2}}(?:(?: and | & |, ){WORD}(?: {WORD}){{0,2}})?"
BEHIND_ROLE = re.compile(r":[ \n]{0,5}(?=[A-Z])|[–-] (?=[A-Z])")
ROLE = re.compile(
    r"\b(?:contact(?: person| name)?|attn\.?|attention|c/o|prepared by|submitted by|point of contact|owner|"
    r"(?:listing|leasing|property) (?:agent|manager)|realtor|landlord|tenant|applicant|care of) ?$",
    re.IGNORECASE,
)
ROLE_CHARS = 20
NAMED = re.compile(rf"(?>{FULL_NAME}|{CAPITALS})")
HOST = re.compile(
    r"(?:\bHosted by|(?i:\byour (?:super)?hosts?(?: is| are|,|:)|\bhosts?(?: name)?:|\bmy name is|\bour names are|"
    r"\bmeet your hosts?,?))"
    rf"\s{{1,3}}(?P<name>{FIRST_NAMES})"
)
WE_ARE = re.compile(
    rf"(?:\bI(?:['’]m| am) (?P<one>{WORD})(?=,? (?:your|and I)\b)|\bWe(?:['’]re| are) (?P<two>{WORD} (?:and|&) {WORD}))"
)
SIGNED = re.compile(
    rf"(?im:^(?:cheers|best|thanks|sincerely|yours|(?:warm|kind|best) regards)[,!]?\n)(?P<name>{FIRST_NAMES})(?=\n|$)"
)
REACH = re.compile(
    r"(?i:\b(?:contact|call|e-?mail|text|reach|write to|reach out to|speak (?:to|with)|ask for))\s"
    rf"(?P<name>{FULL_NAME})"
)
REACH_CHARS = 60
"""How far behind such a name its phone or address may stand."""
OF_NO_PERSON = """
inc llc llp ltd corp corporation company co lp plc trust bank group fund partners holdings capital associates
services service department dept office board commission council committee agency authority bureau division unit
team desk center centre relations resources general counsel legal corporate secretary treasurer president officer
director manager administrator administration agent customer support human sales leasing management property
properties chief vice executive financial investor investors public media information compliance operations accounts
accounting payable receivable treasury finance risk audit tax law loan credit closing claims city county state town
village street avenue road suite floor building park plaza square house home apartment apartments hotel zoning
planning clerk mayor north south east west united states america american national federal the a an this our your my
we you us it if for in on at to of or please any all no new about as by with from emergency airbnb vrbo marriott
google facebook january february march april may june july august september october november december monday tuesday
wednesday thursday friday saturday sunday agreement section article notice borrower lender seller buyer purchaser
licensee licensor landlord tenant lessor lessee owner contractor architect employer employee parties party copy fax
telephone phone email mail attention washington york francisco angeles chicago boston london options option me him
her them professional superhost local great each either neither tel contact
facsimile telefax mailing address order fulfillment part registration syndicate station terminals area head
"""
"""Words of firms, offices, places and forms: where one stands, there is no name."""
FIRMS = frozenset(
    {"inc", "llc", "llp", "ltd", "corp", "corporation", "company", "co", "lp", "plc", "trust", "bank", "fund"}
)
NO_NAMES = frozenset(OF_NO_PERSON.split())


def phones(text: str, spans: Sequence[NumberSpan]) -> Iterator[Span]:
    """Phone and fax numbers, with their extension."""
    for found in in_numbers(NORTH_AMERICAN, text, spans, NORTH_AMERICAN_DIGITS):
        if NO_PHONE_WORDS.search(text[max(0, found.start() - PHONE_WORD_CHARS) : found.start()]):
            continue
        yield found.start(), _with_extension(text, found.end())
    for found in in_numbers(INTERNATIONAL, text, spans) if "+" in text else ():
        if 8 <= _digits(found.group()) <= 15:
            yield found.start(), _with_extension(text, found.end())
    for found in in_numbers(LOCAL, text, [span for span in spans if _is_marked(text, span[0])]):
        before = text[max(0, found.start() - PHONE_WORD_CHARS) : found.start()]
        if 7 <= _digits(found.group()) <= 15 and not DAY.fullmatch(found.group()) and PHONE_WORDS.search(before):
            yield found.start(), _with_extension(text, found.end())


def _is_marked(text: str, start: int) -> bool:
    """Whether a word for a phone may stand before what begins at ``start``; no digit can lie between them."""
    before = DIGIT.split(text[max(0, start - PHONE_WORD_CHARS) : start])[-1].casefold()
    return len(before) > 1 and any(mark in before for mark in PHONE_MARKS)


def names(text: str, contacts: Iterable[Span], signs: Signs) -> Iterator[Span]:
    """Names behind "contact:", "hosted by" and the like, or between "call" and one of ``contacts`` (phones, emails)."""
    ends = sorted(start for start, _ in contacts)
    for pattern in (*([HOST] if signs.hosts else []), *([SIGNED] if signs.sign_offs else [])):
        yield from (found.span("name") for found in pattern.finditer(text) if is_name(found["name"]))
    if signs.selves:
        spans = (found.span(found.lastgroup or 0) for found in WE_ARE.finditer(text))
        yield from (span for span in spans if is_name(text[slice(*span)]))
    for found in BEHIND_ROLE.finditer(text) if signs.roles else ():
        if ROLE.search(text[max(0, found.start() - ROLE_CHARS) : found.start()]):
            named = NAMED.match(text, found.end())
            person = named and _person(text, *named.span())
            if person:
                yield person
    if ends:
        for found in REACH.finditer(text):
            behind = bisect_left(ends, found.end("name"))
            person = _person(text, *found.span("name"))
            if person and behind < len(ends) and ends[behind] <= found.end("name") + REACH_CHARS:
                yield person


def known_names(text: str, people: Iterable[str]) -> Iterator[Span]:
    """Every place where a person stands whom a field of the document names: the whole name, or its first part."""
    for person in people:
        whole = " ".join(person.split())
        if not is_name(whole):
            continue
        first = re.split(r"[ ,&+/]", whole)[0]
        wanted = [part for part in dict.fromkeys((whole, first)) if len(part) >= 3]
        if wanted:
            alternatives = "|".join(re.escape(part) for part in wanted)
            yield from (found.span() for found in re.finditer(rf"(?<!\w)(?:{alternatives})(?!\w)", text))


def is_name(words: str) -> bool:
    """False where a word of it belongs to a firm, an office, a place or the form."""
    return not any(
        word.casefold().strip(".,") in NO_NAMES for word in re.split(r"[\s&,-]+", words) if not INITIAL.fullmatch(word)
    )


def _person(text: str, start: int, end: int) -> Span | None:
    """The span up to the first word of no person ("Ana Lund Vice President") or label ("Ana Lund Address:").

    None for fewer than two words.
    """
    words = 0
    last = start
    for found in re.finditer(r"[^\s,&]+", text[start:end]):
        is_label = found.end() == end - start and text[end : end + 3].lstrip(" .").startswith(":")
        if found.group().casefold().strip(".") in FIRMS:
            return None
        if is_label or not is_name(found.group()):
            break
        words, last = words + 1, start + found.end()
    return (start, last) if words >= 2 else None


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _with_extension(text: str, end: int) -> int:
    found = EXTENSION.match(text, end)
    return found.end() if found else end
