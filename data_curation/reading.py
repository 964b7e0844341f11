"""Files to rows. What cannot be read goes to quarantine with its file, line and error; nothing is skipped silently."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from contracts.errors import InputError
from data_curation.decoding import LINE_LIMIT_BYTES, read_lines
from data_curation.html_text import html_to_text
from data_curation.lineage import Row, placed

Quarantine = Callable[[str, int, str], None]
"""Takes file, line (0: the whole file) and error."""
FILE_LIMIT_CHARS = 256 * 1024 * 1024
"""A plain file is one document; past this it is none."""
NOTES = ("source.md", "readme.md", "readme.txt", "license", "license.txt", "licence.txt", "corpus.yaml")
csv.field_size_limit(LINE_LIMIT_BYTES)


def find_files(corpus: Path, path: str) -> list[Path]:
    """The files of one source: ``corpus/path``, or the corpus itself where it is a single file of that name."""
    if corpus.is_file():
        return [corpus] if Path(path).name == corpus.name or not Path(path).suffix else []
    place = corpus / path
    if place.is_file():
        return [place]
    return sorted(file for file in place.rglob("*") if file.is_file() and not file.name.startswith("."))


def require_corpus(corpus: Path) -> None:
    """Raises InputError where there is no corpus to read."""
    if not corpus.exists():
        raise InputError(str(corpus), "no such corpus", hint="give a folder or a file: --corpus PATH")
    if corpus.is_dir() and not any(file.is_file() for file in corpus.rglob("*")):
        raise InputError(str(corpus), "holds no files", hint="put jsonl, csv, txt, md or html files there")
    if corpus.is_file() and corpus.stat().st_size == 0:
        raise InputError(str(corpus), "is empty", hint="give a file with documents")


def read_rows(file: Path, shown: str, quarantine: Quarantine) -> Iterator[Row]:
    """The rows of one file by its suffix; a plain file is one row ``{"id", "text"}``. ``shown`` names it to people."""
    suffix = file.suffix.lower()
    if file.name.lower() in NOTES:
        quarantine(shown, 0, "a note about the corpus, no document")
    elif suffix == ".jsonl":
        yield from _json_rows(file, shown, quarantine)
    elif suffix == ".csv":
        yield from _csv_rows(file, shown, quarantine)
    elif suffix in (".txt", ".md", ".html", ".htm"):
        yield from _whole_file(file, shown, quarantine, as_html=suffix.startswith(".htm"))
    else:
        quarantine(shown, 0, f"no reader for {suffix or 'files without a suffix'}")


def _json_rows(file: Path, shown: str, quarantine: Quarantine) -> Iterator[Row]:
    for line in read_lines(file):
        if line.error:
            quarantine(shown, line.number, line.error)
        elif line.text.strip():
            try:
                row = json.loads(line.text)
            except (json.JSONDecodeError, RecursionError) as error:
                quarantine(shown, line.number, f"broken JSON: {error}")
                continue
            if isinstance(row, dict):
                yield placed(row, shown, line.start, line.end)
            else:
                quarantine(shown, line.number, f"is a JSON {type(row).__name__}, no object")


def _csv_rows(file: Path, shown: str, quarantine: Quarantine) -> Iterator[Row]:
    ends: int | None = 0

    def lines() -> Iterator[str]:
        nonlocal ends
        for line in read_lines(file):
            if line.error:
                quarantine(shown, line.number, line.error)
            else:
                ends = line.end
                yield line.text.replace("\x00", "") + "\n"

    reader = csv.DictReader(lines(), strict=True)
    while True:
        try:
            _ = reader.fieldnames  # the header is read first, so that a row begins where it does
            begins = ends
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            quarantine(shown, reader.line_num, f"broken CSV: {error}")
            continue
        if None in row:
            quarantine(shown, reader.line_num, "more cells than the header has columns")
        else:
            yield placed(row, shown, begins, ends)


def _whole_file(file: Path, shown: str, quarantine: Quarantine, as_html: bool) -> Iterator[Row]:
    if file.stat().st_size > FILE_LIMIT_CHARS:
        quarantine(shown, 0, f"over {FILE_LIMIT_CHARS >> 20} MiB, too large for one document")
        return
    kept: list[str] = []
    for line in read_lines(file):
        if line.error:
            quarantine(shown, line.number, line.error)
        else:
            kept.append(line.text)
    text = "\n".join(kept)
    if text.strip():
        whole = {"id": shown, "text": html_to_text(text) if as_html else text}
        yield placed(whole, shown, 0, file.stat().st_size)
    elif not kept:
        quarantine(shown, 0, "no readable text")
    else:
        quarantine(shown, 0, "is empty")
