"""Bytes to text, line by line, so that one bad line, or one of 200 MB, costs that line only.

Every line knows its bytes in the stream, those without a text as well: lines and what they follow tile the file.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from data_curation.encodings import WESTERN, decode, detect
from data_curation.opening import Unreadable

LINE_LIMIT_BYTES = 16 * 1024 * 1024
"""A line is one document, and one of 16 MiB would be a book of 8,000 pages. It bounds the memory of a reader."""
PROBE_BYTES = 64 * 1024
NUL = "holds NUL bytes"


class Line(NamedTuple):
    """A line with its number from 1; ``error`` says why there is no text."""

    number: int
    text: str = ""
    error: str = ""
    start: int = 0
    """Its first byte in the (decompressed) file."""
    end: int | None = None
    """None: to the end of the file, wherever that is."""


def buffered(raw: bytes) -> io.BufferedReader:
    """Bytes in memory as the stream that ``read_lines`` takes."""
    return io.BufferedReader(io.BytesIO(raw), max(len(raw), PROBE_BYTES))


def read_lines(stream: io.BufferedReader) -> Iterator[Line]:
    """The lines of a text file in whatever encoding, without their ends.

    A file that is no text gives one Line with the error and number 0; a stream that breaks ends with a Line that
    says so.
    """
    number, position = 0, 0
    try:
        probe = stream.peek(PROBE_BYTES)[:PROBE_BYTES]
        encoding = detect(probe)
        if encoding is None:
            yield Line(0, error="binary, not text")
            return
        position = len(stream.read(_mark_bytes(probe, encoding)))
        for line in _lines(stream, encoding, position):
            yield line
            number, position = line.number, line.end or position
    except Unreadable as broken:
        yield Line(number + 1, error=broken.reason, start=position)


def _mark_bytes(probe: bytes, encoding: str) -> int:
    """The length of the byte order mark."""
    if encoding.startswith("utf-32"):
        return 4 if probe.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) else 0
    if encoding.startswith("utf-16"):
        return 2 if probe.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else 0
    return 3 if probe.startswith(codecs.BOM_UTF8) else 0


def _lines(stream: BinaryIO, encoding: str, start: int) -> Iterator[Line]:
    width = {"utf-16": 2, "utf-32": 4}.get(encoding[:6], 1)
    newline = "\n".encode(encoding)
    number = 0
    while raw := _line_bytes(stream, newline, width):
        number += 1
        end = start + len(raw)
        if len(raw) >= LINE_LIMIT_BYTES and not raw.endswith(newline):
            del raw
            end += _skip_line(stream, newline, width)
            line = Line(number, "", f"line over {LINE_LIMIT_BYTES >> 20} MiB", start, end)
        else:
            line = Line(number, *_text_or_error(raw, encoding, width), start, end)
        yield line
        start = end


def _line_bytes(stream: BinaryIO, newline: bytes, width: int, most: int = LINE_LIMIT_BYTES) -> bytes:
    """The next line with its end, or ``most`` bytes of it. In UTF-16 a byte 0x0A may be half of another letter."""
    raw = stream.readline(most)
    if width == 1:
        return raw
    pieces, length = [raw], len(raw)
    while raw:
        rest = stream.read(-length % width)
        length += len(rest)
        pieces.append(rest)
        tail = b"".join(pieces[-width:])[-width:]
        if tail == newline or length >= most:
            break
        raw = stream.readline(most - length)
        length += len(raw)
        pieces.append(raw)
    return b"".join(pieces)


def _skip_line(stream: BinaryIO, newline: bytes, width: int) -> int:
    """Pass over the rest of a line that is too long; the bytes passed."""
    passed = 0
    while rest := _line_bytes(stream, newline, width, PROBE_BYTES):
        passed += len(rest)
        if rest.endswith(newline):
            break
    return passed


def _text_or_error(raw: bytes, encoding: str, width: int) -> tuple[str, str]:
    if width > 1:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            return "", f"not {encoding}, as the rest of the file is"
        return (text.rstrip("\r\n"), "") if "\x00" not in text else ("", NUL)
    if b"\x00" in raw:
        return "", NUL
    text_or_none = decode(raw, encoding)
    if text_or_none is None:
        names = {"utf-8": WESTERN}.get(encoding, encoding)
        return "", f"neither UTF-8 nor {names}"
    return text_or_none.rstrip("\r\n"), ""
