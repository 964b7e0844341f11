"""SEC full submissions: one text file with a header and all documents of a filing, in SGML.

The form is EDGAR's (Public Dissemination Service specification): ``<DOCUMENT>`` parts, each with ``<TYPE>``,
``<SEQUENCE>``, ``<FILENAME>``, ``<DESCRIPTION>`` and ``<TEXT>``. Texts become rows; pictures, archives, data and what
is uuencoded go to quarantine, each with its reason and bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any

from data_curation.lineage import Row, placed
from data_curation.opening import Unreadable
from data_curation.quarantine import Quarantine
from data_curation.whole_files import DOCUMENT_LIMIT_BYTES, text_or_none

BEGINS = re.compile(rb"^\s*(?:-----BEGIN PRIVACY-ENHANCED MESSAGE-----|<(?:SEC|IMS)-DOCUMENT>|<SUBMISSION>)")
LINE_BYTES = 1 << 20
"""Longer lines are read in pieces: HTML often has none at all."""
HEADER_LINES = 2_000
HEADER = {
    "ACCESSION NUMBER": "accession", "CONFORMED SUBMISSION TYPE": "form", "CONFORMED PERIOD OF REPORT": "period",
    "FILED AS OF DATE": "filed", "COMPANY CONFORMED NAME": "company", "CENTRAL INDEX KEY": "cik",
    "STANDARD INDUSTRIAL CLASSIFICATION": "sic", "STATE OF INCORPORATION": "state",
}  # fmt: skip
TAGS = {b"<TYPE>": "type", b"<SEQUENCE>": "sequence", b"<FILENAME>": "filename", b"<DESCRIPTION>": "description"}
NO_TEXT = {"GRAPHIC", "ZIP", "EXCEL", "PDF", "XML", "JSON"}
DATA_NAMES = (".xml", ".xsd", ".json", ".js", ".css", ".zip", ".jpg", ".gif", ".png", ".pdf", ".xlsx", ".xls")
UUENCODED = re.compile(rb"\s*(?:<[A-Z]+>\s*)*begin [0-7]{3} ")
LAYOUT = re.compile(
    r"^[ \t]*</?(?:PAGE|TABLE|CAPTION|S|C|FN|F\d+)>(?:[ \t]*<[SC]>)*[ \t]*$", re.IGNORECASE | re.MULTILINE
)
IS_HTML = re.compile(r"<(?:html|body|div|font)\b", re.IGNORECASE)
"""Old text exhibits have ``<TABLE>``, too, and columns made of blanks in it."""


@dataclass
class _Part:
    """One <DOCUMENT> while it is read."""

    start: int
    about: dict[str, str] = field(default_factory=dict)
    body: list[bytes] = field(default_factory=list)
    body_start: int = 0
    body_bytes: int = 0
    fault: str = ""

    def add(self, line: bytes) -> None:
        self.body_bytes += len(line)
        if self.fault:
            return
        if self.body_bytes > DOCUMENT_LIMIT_BYTES:
            self.fault = f"over {DOCUMENT_LIMIT_BYTES >> 20} MiB, too large for one document"
            self.body.clear()
            return
        self.body.append(line)
        if self.body_bytes < 1_000 and UUENCODED.match(b"".join(self.body)):
            self.fault = "uuencoded, not text"
            self.body.clear()


def begins_submission(stream: BufferedReader) -> bool:
    """Whether a text file is a full submission."""
    return BEGINS.match(stream.peek(256)[:256]) is not None


def submission_rows(stream: BufferedReader, shown: str, quarantine: Quarantine) -> Iterator[Row]:
    """One row a document with text: its text, the header's facts, and ``main``: the filing itself, no exhibit."""
    header: dict[str, str] = {}
    position = found = 0
    part: _Part | None = None
    in_text = False
    try:
        for number, line in enumerate(iter(lambda: stream.readline(LINE_BYTES), b"")):
            start, position = position, position + len(line)
            mark = line[:16].rstrip().upper() if line.startswith(b"<") else b""
            if part is None:
                if mark == b"<DOCUMENT>":
                    part, in_text = _Part(start), False
                elif not found and number < HEADER_LINES:
                    _read_header(line, header)
            elif mark == b"</DOCUMENT>":
                found += 1
                yield from _row(part, found, header, shown, position, quarantine)
                part = None
            elif in_text and mark == b"</TEXT>":
                in_text = False
            elif in_text:
                part.add(line)
            elif mark == b"<TEXT>":
                in_text, part.body_start = True, position
            else:
                _read_tag(line, part.about)
    except Unreadable as broken:
        quarantine(shown, 0, broken.reason, part.start if part else position, None)
        return
    if part is not None:
        quarantine(shown, 0, f"ends inside document {found + 1}", part.start, position)
    elif not found:
        quarantine(shown, 0, "a submission without documents", 0, position)


def _read_header(line: bytes, header: dict[str, str]) -> None:
    key, colon, value = line[:500].decode("latin-1").partition(":")
    name = HEADER.get(key.strip())
    if colon and name and name not in header:
        header[name] = " ".join(value.split())[:200]


def _read_tag(line: bytes, about: dict[str, str]) -> None:
    tag, _, value = line[:500].partition(b">")
    name = TAGS.get(tag.upper() + b">")
    if name:
        about.setdefault(name, " ".join(value.decode("latin-1").split())[:200])


def _row(
    part: _Part, number: int, header: dict[str, str], shown: str, end: int, quarantine: Quarantine
) -> Iterator[Row]:
    about = part.about
    kind, name = about.get("type", "").upper(), about.get("filename", "").lower()
    named = f"document {number} ({kind or 'no type'}{f', {name}' if name else ''})"
    fault = part.fault
    if not fault and (kind in NO_TEXT or kind.startswith("EX-101") or name.endswith(DATA_NAMES)):
        fault = "data or a picture, no text"
    if fault:
        quarantine(shown, 0, f"{named}: {fault}", part.start, end)
        return

    def inside(_: str, __: int, error: str, start: int | None = None, stop: int | None = None, /) -> None:
        quarantine(shown, 0, f"{named}: {error}", start, stop)

    raw = b"".join(part.body)
    as_html = name.endswith((".htm", ".html")) or IS_HTML.search(raw[:4_000].decode("latin-1")) is not None
    text = text_or_none(raw, shown, inside, as_html, part.body_start)
    if text is None:
        return
    if not as_html:
        text = LAYOUT.sub("", text)
    accession = header.get("accession", "") or shown
    fields: dict[str, Any] = header | about | {
        "id": f"{accession}/{number}", "text": text, "main": kind == header.get("form", "").upper() or number == 1,
    }  # fmt: skip
    for day in ("filed", "period"):
        if re.fullmatch(r"\d{8}", fields.get(day, "")):
            fields[day] = f"{fields[day][:4]}-{fields[day][4:6]}-{fields[day][6:]}"
    yield placed(fields, shown, part.start, end, named, whole=True)
