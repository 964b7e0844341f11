"""CSV to rows, with the bytes of each: a record may span lines."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from itertools import zip_longest

from data_curation.decoding import LINE_LIMIT_BYTES, read_lines
from data_curation.lineage import Row, placed
from data_curation.quarantine import Quarantine

csv.field_size_limit(LINE_LIMIT_BYTES)
COLUMN_LIMIT = 10_000
MORE_CELLS = "more cells than the header has columns"


class _Lines:
    """Lines for the csv reader, which asks for as many as a record has; knows the bytes of those it gave since."""

    def __init__(self, stream: BufferedReader, shown: str, quarantine: Quarantine) -> None:
        self.lines = read_lines(stream)
        self.shown, self.quarantine = shown, quarantine
        self.number = 0
        self.first_line = self.start = 0
        self.end: int | None = 0
        self.length = 0

    def begin(self) -> None:
        """A new record starts with the next line."""
        self.length = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for line in self.lines:
            if line.error and self.length:
                self.end = line.end
                raise csv.Error(f"line {line.number} of the record {line.error}")
            if line.error:
                self.quarantine(self.shown, line.number, line.error, line.start, line.end)
                continue
            if not self.length:
                self.start, self.first_line = line.start, line.number
            self.end = line.end
            self.length += len(line.text) + 1
            if self.length > LINE_LIMIT_BYTES:
                raise csv.Error(f"record over {LINE_LIMIT_BYTES >> 20} MiB: a quotation mark that is never closed?")
            return line.text + "\n"
        raise StopIteration


def csv_rows(stream: BufferedReader, shown: str, quarantine: Quarantine) -> Iterator[Row]:
    """One row a record, under the header's names. Records that do not fit the header go to quarantine."""
    lines = _Lines(stream, shown, quarantine)
    header: list[str] | None = None
    for cells in _records(lines, shown, quarantine):
        if header is None:
            if len(cells) > COLUMN_LIMIT:
                quarantine(shown, 0, f"more than {COLUMN_LIMIT:,} columns", 0, None)
                return
            header = _named_apart(cells)
        elif len(cells) > len(header):
            quarantine(shown, lines.first_line, MORE_CELLS, lines.start, lines.end)
        else:
            fields = dict(zip_longest(header, cells))
            yield placed(fields, shown, lines.start, lines.end)


def _records(lines: _Lines, shown: str, quarantine: Quarantine) -> Iterator[list[str]]:
    reader = csv.reader(lines, strict=True)
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            quarantine(shown, lines.first_line, f"broken CSV: {error}", lines.start, lines.end)
            reader = csv.reader(lines, strict=True)
            continue
        if cells:
            yield cells


def _named_apart(header: list[str]) -> list[str]:
    """Column names, the second ``a`` as ``a_2``: no cell is lost to another."""
    seen: Counter[str] = Counter()
    names = []
    for name in header:
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names
