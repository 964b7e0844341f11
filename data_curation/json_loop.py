"""Documents as JSON lines, in one compiled pass from their columns in Arrow to the bytes of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_curation.compiled import BLOCK, copy, equal, inlined, loop, lowest_bit, mask
from data_curation.folding import Bytes
from data_curation.kernel import buffers_of

QUOTE, STROKE, PRINTED = np.uint8(ord('"')), np.uint8(ord("\\")), np.uint8(0xE0)
"""A byte with none of the bits of the last is a control character."""
LONGEST_ESCAPE = 6
"""``\\u001f``."""
ONE = np.uint64(1)


def _escapes() -> NDArray[np.uint8]:
    """Byte to what stands for it, as ``json.dumps`` writes it with ``ensure_ascii=False``; zeros fill up."""
    table = np.zeros((256, LONGEST_ESCAPE), np.uint8)
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b"}
    told = {ord(one): written for one, written in short.items()}
    for byte in (*range(0x20), *told):
        written = told.get(byte, f"\\u{byte:04x}").encode()
        table[byte, : len(written)] = list(written)
    return table


ESCAPES = _escapes()
HEAD, MIDDLE, NEXT, TAIL = (np.frombuffer(one, np.uint8) for one in (b'{"id": "', b'", "text": "', b'", ', b"\n"))


def json_lines(ids: pa.Array, texts: pa.Array, rest: pa.Array) -> memoryview:
    """A line a document; ``rest`` is what stands behind its text, up to the closing brace."""
    columns: list[Any] = [part for one in (ids, texts, rest) for part in buffers_of(one)]
    sizes = [int(offsets[-1] - offsets[0]) for offsets in columns[1::2]]
    fixed = len(ids) * (HEAD.size + MIDDLE.size + NEXT.size + TAIL.size)
    room = _escaped_size(columns[0], columns[1]) + _escaped_size(columns[2], columns[3]) + sizes[2] + fixed
    out = np.empty(room + BLOCK, np.uint8)
    ids_data, id_ends, text_data, text_ends, rest_data, rest_ends = columns
    written = _lines(ids_data, id_ends, text_data, text_ends, rest_data, rest_ends, ESCAPES, out)
    return out.data[:written]


@loop
def _escaped_size(data: Bytes, offsets: Any) -> int:
    """No less than what strings take with escapes."""
    special = 0
    for at in range(offsets[0], offsets[offsets.size - 1]):
        byte = data[at]
        special += (byte < 32) | (byte == QUOTE) | (byte == STROKE)
    return int(offsets[offsets.size - 1] - offsets[0] + special * (LONGEST_ESCAPE - 1))


@loop
def _lines(ids: Bytes, id_ends: Any, texts: Bytes, text_ends: Any, rest: Bytes, rest_ends: Any, escapes: Any,
           out: Bytes) -> int:  # fmt: skip
    """Write the lines to ``out``, which has room for a vector more; returns how many bytes there are."""
    at = 0
    for number in range(id_ends.size - 1):
        at = _plain(HEAD, 0, HEAD.size, out, at)
        at = _escaped(ids, id_ends[number], id_ends[number + 1], escapes, out, at)
        at = _plain(MIDDLE, 0, MIDDLE.size, out, at)
        at = _escaped(texts, text_ends[number], text_ends[number + 1], escapes, out, at)
        at = _plain(NEXT, 0, NEXT.size, out, at)
        at = _plain(rest, rest_ends[number], rest_ends[number + 1], out, at)
        at = _plain(TAIL, 0, TAIL.size, out, at)
    return at


@loop
def _plain(data: Bytes, begin: int, end: int, out: Bytes, at: int) -> int:
    for place in range(end - begin):
        out[at + place] = data[begin + place]
    return at + end - begin


@loop
def _escaped(data: Bytes, begin: int, end: int, escapes: Any, out: Bytes, at: int) -> int:
    start = begin
    while start + BLOCK <= min(end, data.size):
        special = ~mask(data, start, PRINTED) | equal(data, start, QUOTE) | equal(data, start, STROKE)
        copy(out, at, data, start)
        if not special:
            at += BLOCK
            start += BLOCK
            continue
        place = lowest_bit(special)
        at = _escape(data[start + place], escapes, out, at + place)
        start += place + 1
    while start < end:
        byte = data[start]
        if escapes[byte, 0]:
            at = _escape(byte, escapes, out, at)
        else:
            out[at] = byte
            at += 1
        start += 1
    return at


@inlined
def _escape(byte: Any, escapes: Any, out: Bytes, at: int) -> int:
    for step in range(LONGEST_ESCAPE):
        if escapes[byte, step]:
            out[at] = escapes[byte, step]
            at += 1
    return at
