"""JSON lines to rows. Python's reader accepts more than JSON holds, and more than a file can hold: not this one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from data_curation.decoding import read_lines
from data_curation.lineage import Row, placed
from data_curation.quarantine import Quarantine

DEPTH_LIMIT = 64
"""Nested brackets. Rows of real sources stay under ten; past some hundreds Python's own stack ends."""
BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]')
SURROGATE = re.compile("[\ud800-\udfff]")


def json_rows(stream: BufferedReader, shown: str, quarantine: Quarantine) -> Iterator[Row]:
    """One row a line; lines that are no JSON object go to quarantine."""
    for line in read_lines(stream):
        if line.error:
            quarantine(shown, line.number, line.error, line.start, line.end)
        elif line.text and not line.text.isspace():
            row = parsed(line.text)
            if isinstance(row, str):
                quarantine(shown, line.number, row, line.start, line.end)
            else:
                yield placed(row, shown, line.start, line.end)


def parsed(text: str) -> dict[str, Any] | str:
    """The object that ``text`` holds, or why there is none.

    ``NaN`` and ``1e999`` become null, as no JSON can hold them; lone surrogates become U+FFFD, as no UTF-8 can.
    """
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _depth(text) > DEPTH_LIMIT:
        return f"broken JSON: nested more than {DEPTH_LIMIT} deep"
    try:
        row: Any = DECODER.decode(text)
    except (ValueError, RecursionError) as error:  # an int of 5,000 digits is a ValueError, too
        return f"broken JSON: {error}"
    if not isinstance(row, dict):
        return f"is a JSON {type(row).__name__}, no object"
    if "\\ud" in text or "\\uD" in text:
        row = _without_surrogates(row)
    fields: dict[str, Any] = row
    return fields


def _depth(text: str) -> int:
    depth = deepest = 0
    for found in BRACKET.finditer(text):
        if found[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in "]}":
            depth -= 1
    return deepest


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(one) for one in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(one) for key, one in value.items()}
    return value


DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=lambda _: None)
