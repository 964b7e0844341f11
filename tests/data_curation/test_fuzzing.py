"""Readers fed with noise and with damaged files: rows and quarantine, never an exception, and every byte in one place.

``FUZZ_EXAMPLES=5000 pytest tests/data_curation/test_fuzzing.py`` looks further than the default does.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_curation.arrivals import Identities, date_fault
from data_curation.encodings import detect
from data_curation.html_text import html_to_text
from data_curation.json_rows import parsed
from data_curation.mojibake import mended
from data_curation.normalising import RULE, normalised
from data_curation.reading import PdfReader, Row, read_rows
from tests.data_curation.small_pdfs import pages

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
Fault = tuple[str, int, str, int | None, int | None]
fuzz = settings(
    max_examples=EXAMPLES, deadline=None, derandomize="FUZZ_EXAMPLES" not in os.environ, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
PIECES = [
    b'{"id": "a", "text": "b"}\n', b"\n", b"\r\n", b'"', b"{", b"[", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\xe2\x80\x9c", b"\xe9", b"\x81", b"\\ud800", b"NaN", b"1e999", b",", b'a,b\n"c\n', b"<DOCUMENT>\n",
    b"</DOCUMENT>\n", b"<TEXT>\n", b"</TEXT>\n", b"<TYPE>10-K\n", b"<SEC-DOCUMENT>x\n", b"begin 644 a\n", b"<!--",
    b"</", b"<p", b"&#x", b"&#9;", b"<![CDATA[", b"<script>", "größe".encode("utf-16-le"), b"9" * 30,
]  # fmt: skip
NOISE = st.lists(st.one_of(st.binary(max_size=12), st.sampled_from(PIECES)), max_size=40).map(b"".join)


def _parquet() -> bytes:
    out = io.BytesIO()
    table = pa.table({"id": [1, 2, 3], "text": ["one", "two", None], "tags": [["a"], [], None]})
    pq.write_table(table, out, row_group_size=2)
    return out.getvalue()


ROWS = b"".join(b'{"id": "%d", "text": "a house by the river, no %d"}\n' % (n, n * n) for n in range(12))
FILING = b"<SEC-DOCUMENT>a\nACCESSION NUMBER: 1\n" + b"".join(
    b"<DOCUMENT>\n<TYPE>10-K\n<SEQUENCE>%d\n<FILENAME>a.htm\n<TEXT>\n<p>one two\n</TEXT>\n</DOCUMENT>\n" % n
    for n in (1, 2)
)
WHOLE = {
    "a.jsonl": ROWS,
    "a.jsonl.gz": gzip.compress(ROWS),
    "a.jsonl.zst": pa.Codec("zstd").compress(ROWS, asbytes=True),
    "a.csv": b'id,text\n1,"a\nb"\n2,c\n3,"d ""e"""\n',
    "a.txt": FILING,
    "a.html": b"<html><head><title>x</title></head><body><p>one<br>two<table><tr><td>1</td></tr></table></html>",
    "a.parquet": _parquet(),
    "a.pdf": pages("one two three", "four five"),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A whole file with some bytes changed, taken out or put in, or its end cut off."""
    raw = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(raw)))
        piece = draw(st.one_of(st.binary(max_size=4), st.sampled_from(PIECES)))
        match draw(st.sampled_from(["change", "insert", "remove", "cut", "repeat"])):
            case "change":
                raw[place : place + len(piece)] = piece
            case "insert":
                raw[place:place] = piece
            case "remove":
                del raw[place : place + draw(st.integers(0, 30))]
            case "cut":
                del raw[max(place, 1) :]
            case "repeat":
                raw[place:place] = raw[max(0, place - 40) : place]
    return bytes(raw)


@pytest.fixture(scope="module")
def pdf() -> Iterator[PdfReader]:
    with PdfReader() as reader:
        yield reader


def read(folder: Path, name: str, raw: bytes, pdf: PdfReader | None = None) -> tuple[list[Row], list[Fault]]:
    """Rows and quarantine, both of which can be written down."""
    file = folder / name
    file.write_bytes(raw)
    faults: list[Fault] = []

    def quarantine(file: str, line: int, error: str, start: int | None = None, end: int | None = None, /) -> None:
        faults.append((file, line, error, start, end))

    rows = list(read_rows(file, name, quarantine, pdf))
    for one in rows:
        assert one.origin is not None and one.origin.file == name
        json.dumps(one, allow_nan=False).encode()
        json.dumps(one, ensure_ascii=False).encode()
    json.dumps(faults, ensure_ascii=False).encode()
    for _, _, _, start, end in faults:
        assert start is None or end is None or 0 <= start <= end
    assert rows or faults or not raw.strip() or name.endswith((".jsonl", ".csv", ".gz", ".zst", ".parquet"))
    return rows, faults


def check_places(rows: list[Row], faults: list[Fault], size: int) -> list[tuple[int, int]]:
    """Places in order; none overlaps another, none lies outside the file."""
    spans = [(one.origin.start, one.origin.end) for one in rows if one.origin]
    spans += [(start, size if end is None else end) for _, _, _, start, end in faults if start is not None]
    position = 0
    for start, end in sorted(spans):
        assert position <= start <= end <= size
        position = end
    return sorted(spans)


@fuzz
@given(NOISE)
@example(b'{"id": ' + b"9" * 5_000 + b"}")
@example(b'{"text": "\\ud800"}')
@example(b'{"a": ' * 70_000)
def test_every_byte_of_noise_as_jsonl_is_a_row_a_fault_or_a_blank(tmp_path: Path, raw: bytes) -> None:
    rows, faults = read(tmp_path, "a.jsonl", raw)
    places = check_places(rows, faults, len(raw))
    if detect(raw) == "utf-8":
        rest = bytearray(raw)
        for start, end in reversed(places):
            del rest[start:end]
        assert not rest.removeprefix(b"\xef\xbb\xbf").decode().strip()


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.md", "a.html", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
@fuzz
@given(raw=NOISE)
def test_noise_under_any_name(tmp_path: Path, name: str, raw: bytes) -> None:
    rows, faults = read(tmp_path, name, raw)
    if name == "a.csv":
        check_places(rows, faults, len(raw))


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "a.pdf"])
@fuzz
@given(data=st.data())
def test_damaged_files(tmp_path: Path, name: str, data: st.DataObject) -> None:
    raw = data.draw(damaged(WHOLE[name]))
    rows, faults = read(tmp_path, name, raw)
    if name in ("a.jsonl", "a.csv"):
        check_places(rows, faults, len(raw))


@settings(fuzz, max_examples=max(15, EXAMPLES // 4))
@given(data=st.data())
def test_damaged_pdfs(tmp_path: Path, pdf: PdfReader, data: st.DataObject) -> None:
    read(tmp_path, "a.pdf", data.draw(damaged(WHOLE["a.pdf"])), pdf)


@pytest.mark.parametrize("name", WHOLE)
def test_the_files_are_whole_before_they_are_damaged(tmp_path: Path, name: str) -> None:
    rows, faults = read(tmp_path, name, WHOLE[name])
    assert len(rows) == {"a.csv": 3, "a.parquet": 3, "a.txt": 2, "a.html": 1, "a.pdf": 1}.get(name, 12) and not faults


def by_patterns(text: str) -> str:
    """What ``normalised`` promises, as patterns that are slow and plain."""
    text = unicodedata.normalize("NFC", mended(text)).replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub("[\u200b-\u200f\ufeff\xad\x00-\x08\x0b\x0e-\x1f\x7f]", "", text)
    text = re.sub(r"[ \t\xa0\u2000-\u200a\u202f\u3000]+", " ", RULE.sub(" ", text))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()


@fuzz
@given(st.text(alphabet=" \t\xa0\u2003\u3000\n\r\u200b\u200d\xad\x01_-.=•aé", max_size=60))
@example("a _ _ _ _ _ b\n \n\t\n. . . . . . c")
def test_blanks_and_rules_are_folded_as_the_patterns_say(text: str) -> None:
    assert normalised(text) == by_patterns(text)


@fuzz
@given(st.text(max_size=200) | NOISE.map(lambda raw: raw.decode("latin-1")))
def test_texts(text: str) -> None:
    once = normalised(text.encode("utf-8", "replace").decode())
    assert normalised(once) == once or mended(once) != once, "a control character may have parted what is mojibake"
    html_to_text(text)
    row: Any = parsed(text)
    assert isinstance(row, (dict, str))
    identity, fault = Identities().take(text, "a")
    assert identity.isprintable() and len(identity) <= 200 and fault is None
    date_fault(text)
