"""Bytes to text, line by line, so that one bad line, or one of 100 MB, costs that line only."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LINE_LIMIT_BYTES = 16 * 1024 * 1024
PROBE_BYTES = 64 * 1024
JUNK_SHARE = 0.01
"""Share of control characters above which bytes are no text."""
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONTROL = bytes(set(range(32)) - {9, 10, 12, 13, 27}) + b"\x7f"


@dataclass(frozen=True)
class Line:
    """A line with its number from 1; ``error`` says why there is no text."""

    number: int
    text: str = ""
    error: str = ""
    start: int | None = None
    """Its first byte in the file; None where the encoding does not tell."""
    end: int | None = None


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a text file in whatever encoding; a file that is no text gives one Line with the error, number 0."""
    with path.open("rb") as stream:
        probe = stream.read(PROBE_BYTES)
        stream.seek(0)
        encoding = detect(probe)
        if encoding is None:
            yield Line(0, error="binary, not text")
        elif encoding in ("utf-8", "utf-8-sig"):
            yield from _byte_lines(stream, skip=len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
        else:
            yield from _wide_lines(stream, encoding)


def detect(probe: bytes) -> str | None:
    """The encoding that a file's first bytes speak for; None for binary junk.

    ``utf-8`` also stands for single-byte text: each line falls back to cp1252 on its own.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if probe.startswith(mark):
            return encoding
    if not probe:
        return "utf-8"
    even, odd = probe[0::2].count(0), probe[1::2].count(0)
    half = len(probe) / 2
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    return None if _is_junk(probe) else "utf-8"


def decode(raw: bytes) -> str | None:
    """One line's text: UTF-8, else cp1252; None for junk."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if _is_junk(raw):
        return None
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return None


def _is_junk(raw: bytes) -> bool:
    return b"\x00" in raw or len(raw) - len(raw.translate(None, CONTROL)) > JUNK_SHARE * len(raw)


def _byte_lines(stream: BinaryIO, skip: int) -> Iterator[Line]:
    stream.seek(skip)
    number, start = 0, skip
    while raw := stream.readline(LINE_LIMIT_BYTES):
        number += 1
        begins, start = start, start + len(raw)
        if len(raw) == LINE_LIMIT_BYTES and not raw.endswith(b"\n"):
            while rest := stream.readline(LINE_LIMIT_BYTES):
                start += len(rest)
                if rest.endswith(b"\n"):
                    break
            yield Line(number, error=f"line over {LINE_LIMIT_BYTES >> 20} MiB")
            continue
        text = decode(raw)
        if text is None:
            yield Line(number, error="neither UTF-8 nor cp1252")
        else:
            yield Line(number, text.rstrip("\r\n"), start=begins, end=begins + len(raw))


def _wide_lines(stream: BinaryIO, encoding: str) -> Iterator[Line]:
    reader = io.TextIOWrapper(stream, encoding=encoding, newline=None)
    number = 0
    while True:
        try:
            text = reader.readline(LINE_LIMIT_BYTES)
        except UnicodeError:
            yield Line(number + 1, error=f"not {encoding}, though it begins as such")
            return
        if not text:
            return
        number += 1
        if len(text) == LINE_LIMIT_BYTES and not text.endswith("\n"):
            while (rest := reader.readline(LINE_LIMIT_BYTES)) and not rest.endswith("\n"):
                pass
            yield Line(number, error=f"line over {LINE_LIMIT_BYTES >> 20} MiB")
            continue
        yield Line(number, text.rstrip("\r\n"))
