"""Files to rows. What cannot be read goes to quarantine with its file, line and error; nothing is skipped silently.

Every reader streams: its memory is bounded by a line, a batch or a document, each with a stated limit, not by the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_curation.corpus_files import find_files, require_corpus, shown_name
from data_curation.csv_rows import csv_rows
from data_curation.json_rows import json_rows
from data_curation.lineage import Row
from data_curation.opening import COMPRESSED, Unreadable, format_of, open_bytes, open_regular
from data_curation.parquet_rows import parquet_rows
from data_curation.pdf_text import PdfReader, pdf_rows
from data_curation.quarantine import NOTE, Quarantine
from data_curation.sec_submission import begins_submission, submission_rows
from data_curation.whole_files import whole_file

__all__ = ["NOTES", "PdfReader", "Quarantine", "Row", "find_files", "read_rows", "require_corpus", "shown_name"]

NOTES = ("source.md", "readme.md", "readme.txt", "license", "license.txt", "licence.txt", "corpus.yaml")
TEXTS = (".txt", ".md", ".html", ".htm")
SEEKING = (".parquet", ".pdf")
"""Formats that are read from their end: they cannot come compressed."""


def read_rows(file: Path, shown: str, quarantine: Quarantine, pdf: PdfReader | None = None) -> Iterator[Row]:
    """The rows of one file by its suffix; a plain file is one row ``{"id", "text"}``. ``shown`` names it to people.

    ``pdf`` keeps one reading process for many files. Whatever is in the file, nothing but rows and quarantine comes of
    it; only a failing disk raises.
    """
    if file.name.lower() in NOTES:
        quarantine(shown, 0, NOTE)
        return
    if file.name.startswith("."):
        quarantine(shown, 0, "hidden, not read")
        return
    kind = format_of(file)
    try:
        if kind not in (".jsonl", ".csv", *TEXTS, *SEEKING) or (kind in SEEKING and file.suffix.lower() in COMPRESSED):
            open_regular(file).close()
            quarantine(shown, 0, f"no reader for {file.suffix.lower() or 'files without a suffix'}")
        elif kind == ".parquet":
            with open_regular(file) as stream:
                yield from parquet_rows(stream, shown, quarantine)
        elif kind == ".pdf":
            yield from pdf_rows(file, shown, quarantine, pdf)
        else:
            yield from _streamed(file, kind, shown, quarantine)
    except Unreadable as refused:
        quarantine(shown, 0, refused.reason)


def _streamed(file: Path, kind: str, shown: str, quarantine: Quarantine) -> Iterator[Row]:
    with open_bytes(file) as stream:
        if not stream.peek(1):
            quarantine(shown, 0, "is empty", 0, 0)
        elif kind == ".jsonl":
            yield from json_rows(stream, shown, quarantine)
        elif kind == ".csv":
            yield from csv_rows(stream, shown, quarantine)
        elif kind == ".txt" and begins_submission(stream):
            yield from submission_rows(stream, shown, quarantine)
        else:
            yield from whole_file(stream, shown, quarantine, as_html=kind.startswith(".htm"))
