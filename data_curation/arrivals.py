"""What a row claims about itself, checked as it arrives: its id and its date."""

from __future__ import annotations

import datetime
import hashlib
import re
import struct
from array import array
from functools import lru_cache

from data_curation.first_seen import NEW, FirstSeen

ID_CHARS = 200
"""Longer ids (a text in the wrong column) are cut, and kept apart by a hash."""
EARLIEST_YEAR, LATEST_YEAR = 1500, 2100
"""Dates beyond are placeholders (9999-12-31 for "no end") or slips."""
YEAR = re.compile(r"(?<!\d)(\d{4})(\d{4})?(?!\d)")
"""On its own, or before or behind month and day (``20151231``, ``12312015``)."""
ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")
SHOWN_DATE_CHARS = 40
KEY = struct.Struct("<qq")
Fault = tuple[str, str]
"""Reason and detail of a rejection."""


class Identities:
    """The ids of one source so far, and the file of each: hashes and numbers, some 40 bytes a document."""

    def __init__(self) -> None:
        self._seen = FirstSeen()
        self._files = array("l")
        """The file of each id, by its place in ``_names``."""
        self._names: list[str] = []
        self._again: dict[str, int] = {}
        """Of an id that came again, how often: each time the search for a free one goes on from there."""

    def take(self, claimed: str, file: str) -> tuple[str, Fault | None]:
        """An id that no other document has, and the fault of a second row with one id in one file.

        Over several files ids may well start again, so there the later row is renamed and stays.
        """
        if not self._names or self._names[-1] != file:
            self._names.append(file)
        identity = tidy(claimed)
        before = self._enter(identity)
        if before == NEW:
            return identity, None
        same = self._names[self._files[before]] == file
        count = self._again.get(identity, 1) + 1
        while self._enter(free := f"{identity}#{count}") != NEW:
            count += 1
        self._again[identity] = count
        return free, ("duplicate_id", f"{identity} stands in {file} before") if same else None

    def _enter(self, identity: str) -> int:
        """The place of an id that is there, NEW for one that is now."""
        digest = hashlib.blake2b(identity.encode(errors="replace"), digest_size=16).digest()
        found = self._seen.add_one(*KEY.unpack(digest))
        if found == NEW:
            self._files.append(len(self._names) - 1)
        return found


def tidy(identity: str) -> str:
    """An id on one line, printable, of at most ``ID_CHARS``."""
    if " " not in identity and identity.isprintable() and len(identity) <= ID_CHARS:
        return identity
    plain = " ".join(identity.split())
    if not plain.isprintable():
        plain = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in plain)
    if len(plain) <= ID_CHARS:
        return plain
    return f"{plain[: ID_CHARS - 20]}~{hashlib.sha256(plain.encode()).hexdigest()[:16]}"


def date_fault(date: str | None) -> Fault | None:
    """Why a date cannot be: a year out of reach, a 13th month. Words and forms without a year are not judged."""
    if not date:
        return None
    return _date_fault(date) if len(date) <= SHOWN_DATE_CHARS else _date_fault.__wrapped__(date)


@lru_cache(maxsize=16_384)
def _date_fault(date: str) -> Fault | None:
    year = YEAR.search(date)
    if year and not any(EARLIEST_YEAR <= int(digits) <= LATEST_YEAR for digits in year.groups("0")):
        return "impossible_date", f"{date[:SHOWN_DATE_CHARS]}: years from {EARLIEST_YEAR} to {LATEST_YEAR}"
    day = ISO_DAY.match(date.strip())
    if day:
        try:
            datetime.date.fromisoformat(day[0])
        except ValueError as error:
            return "impossible_date", f"{date[:SHOWN_DATE_CHARS]}: {error}"
    return None
