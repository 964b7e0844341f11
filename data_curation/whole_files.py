"""Files that are one document each: text, Markdown, HTML."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

from data_curation.decoding import buffered, read_lines
from data_curation.lineage import Row, placed
from data_curation.main_text import main_text
from data_curation.opening import Unreadable
from data_curation.quarantine import Quarantine

DOCUMENT_LIMIT_BYTES = 64 * 1024 * 1024
"""A file, or one document of a filing, past this is none: annual reports with their markup stay under 40 MiB."""
HOLE_SHARE = 0.1
"""Of its lines: a document that lacks more is none."""


def whole_file(stream: BufferedReader, shown: str, quarantine: Quarantine, as_html: bool) -> Iterator[Row]:
    """One row ``{"id", "text"}``. Lines that cannot be decoded go to quarantine; where they are few the others stay."""
    try:
        raw = stream.read(DOCUMENT_LIMIT_BYTES + 1)
    except Unreadable as broken:
        quarantine(shown, 0, broken.reason, 0, None)
        return
    if len(raw) > DOCUMENT_LIMIT_BYTES:
        quarantine(shown, 0, f"over {DOCUMENT_LIMIT_BYTES >> 20} MiB, too large for one document", 0, None)
        return
    text = text_or_none(raw, shown, quarantine, as_html)
    if text is not None:
        yield placed({"id": shown, "text": text}, shown, 0, len(raw), whole=True)


def text_or_none(raw: bytes, shown: str, quarantine: Quarantine, as_html: bool, offset: int = 0) -> str | None:
    """The text of one document's bytes, which begin at ``offset``; None, and the reason in quarantine."""
    kept: list[str] = []
    broken = 0
    for line in read_lines(buffered(raw)):
        if line.error:
            broken += 1
            end = len(raw) if line.end is None else line.end
            quarantine(shown, line.number, line.error, offset + line.start, offset + end)
        else:
            kept.append(line.text)
    text = "\n".join(kept)
    if broken > HOLE_SHARE * (broken + len(kept)):
        if kept:
            quarantine(shown, 0, f"{broken} of {broken + len(kept)} lines are no text", offset, offset + len(raw))
        return None
    if text and not text.isspace() and as_html:
        try:
            text = main_text(text)
        except Unreadable as refused:
            quarantine(shown, 0, refused.reason, offset, offset + len(raw))
            return None
    if not text or text.isspace():
        quarantine(shown, 0, "is empty" if not raw.strip() else "no readable text", offset, offset + len(raw))
        return None
    return text
