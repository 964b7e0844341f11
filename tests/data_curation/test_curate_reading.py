"""Bad input: what cannot be read ends in quarantine with its line and error, the rest is read."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from data_curation.decoding import LINE_LIMIT_BYTES, buffered, read_lines
from data_curation.encodings import detect
from data_curation.html_text import html_to_text
from data_curation.reading import Row, read_rows
from tests.data_curation.corpus_sample import corpus, lease, lines, section


def rows_and_quarantine(file: Path) -> tuple[list[Row], list[tuple[int, str]]]:
    quarantine: list[tuple[int, str]] = []
    rows = list(read_rows(file, file.name, lambda _file, line, error, *_span: quarantine.append((line, error))))
    return rows, quarantine


def test_broken_json_lines_are_quarantined_by_number(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    deep = "[" * 100_000
    file.write_text(f'{{"id": 1}}\n{{"id": 2\n\n[1, 2]\n{deep}\n{{"id": 3}}\n')
    rows, quarantine = rows_and_quarantine(file)
    assert [row["id"] for row in rows] == [1, 3]
    assert [line for line, _ in quarantine] == [2, 4, 5]
    assert quarantine[0][1].startswith("broken JSON") and "list" in quarantine[1][1]


def test_a_line_of_100_mb_is_passed_without_reading_it_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with file.open("wb") as out:
        out.write(b'{"id": 1}\n{"text": "')
        for _ in range(100):
            out.write(b"x" * 1_000_000)
        out.write(b'"}\n{"id": 3}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows, quarantine = rows_and_quarantine(file)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert [row["id"] for row in rows] == [1, 3]
    assert quarantine == [(2, "line over 16 MiB")]
    assert grown_mib < 4 * LINE_LIMIT_BYTES / 2**20


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings_are_told_apart(tmp_path: Path, encoding: str) -> None:
    text = "Müller – “Größe” 12 €, a contract about the house by the river and its garden\nsecond line"
    file = tmp_path / "a.txt"
    file.write_bytes(text.encode(encoding))
    rows, quarantine = rows_and_quarantine(file)
    assert [row["text"] for row in rows] == [text] and not quarantine


def test_one_line_in_another_encoding_does_not_spoil_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes('{"t": "Größe"}\n'.encode() + '{"t": "Größe"}\n'.encode("cp1252") + b'{"t": "\x81\x8d"}\n')
    rows, quarantine = rows_and_quarantine(file)
    assert [row["t"] for row in rows] == ["Größe", "Größe"]
    assert quarantine == [(3, "neither UTF-8 nor cp1252")]


def test_binary_junk_is_one_quarantined_file(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(bytes(range(256)) * 64)
    assert rows_and_quarantine(file) == ([], [(0, "binary, not text")])
    assert detect(b"\x7fELF\x02\x01\x01\x00\x00\x00") is None
    assert list(read_lines(buffered(b""))) == []


def test_csv_with_broken_rows(tmp_path: Path) -> None:
    file = _written(tmp_path / "a.csv", b'id,text\n1,"two\nlines"\n2,b,c,d\n3,"x"y\n4,last\n')
    rows, quarantine = rows_and_quarantine(file)
    assert rows[0] == {"id": "1", "text": "two\nlines"} and rows[-1] == {"id": "4", "text": "last"}
    assert [error.split(":")[0] for _, error in quarantine] == [
        "more cells than the header has columns",
        "broken CSV",
    ]


def test_files_without_a_reader_and_notes_are_named(tmp_path: Path) -> None:
    assert rows_and_quarantine(_written(tmp_path / "a.docx", b"PK"))[1] == [(0, "no reader for .docx")]
    assert rows_and_quarantine(_written(tmp_path / "README.md", b"hello"))[1] == [
        (0, "a note about the corpus, no document")
    ]
    assert rows_and_quarantine(_written(tmp_path / "blank.txt", b" \n\n"))[1] == [(0, "is empty")]


def test_html_keeps_the_text_and_the_table() -> None:
    page = (
        "<html><head><title>no</title><style>p{}</style></head><body><h1>Rent &amp; terms</h1>"
        "<script>alert('x')</script><p>One <b>two</b><br>three</p><table><tr><td>A</td><td>1</td></tr></table><p>open"
    )
    assert html_to_text(page) == "Rent & terms\nOne two\nthree\nA | 1\nopen"
    assert html_to_text("<p>a<p>b</p></script></div>c") == "a\nb\nc"


def test_a_folder_of_mixed_files_in_the_stage(tmp_path: Path) -> None:
    place = corpus(tmp_path / "corpus")
    folder = place / "stories.jsonl"
    folder.unlink()
    folder.mkdir()
    body = "A story about a mill, a river and eleven children who learned to count the days of the year."
    (folder / "one.txt").write_text(body)
    (folder / "two.html").write_text(
        f"<p>{body.replace('mill', 'forge')} And the smith kept a book of every horse.</p>"
    )
    (folder / "three.bin").write_bytes(b"\x00\x01")
    (folder / "four.md").write_text(
        "# Title\n\nThe third text is about bread, its crust, and why it sings when it cools."
    )
    out = tmp_path / "out"
    out.mkdir()
    from data_curation.curate import curate

    curate(section(place), {}, out)
    kept = {one["id"] for name in ("pretraining", "pretraining_heldout") for one in lines(out, f"{name}.jsonl")}
    assert {one.rsplit("/", 1)[-1] for one in kept} == {"one.txt", "two.html", "four.md"}
    assert [
        {k: v for k, v in one.items() if k in ("file", "line", "error")} for one in lines(out, "quarantine.jsonl")
    ] == [{"file": "stories.jsonl/three.bin", "line": 0, "error": "no reader for .bin"}]


def test_odd_rows_are_rejected_with_a_reason(tmp_path: Path) -> None:
    place = corpus(
        tmp_path / "corpus", [*(lease(n) for n in range(20)), {"id": "x"}, {"id": "y", "text": "%$ §§ !! ?? ##"}]
    )
    with (place / "leases.jsonl").open("a", encoding="utf-8") as out_file:
        out_file.write(json.dumps({"id": "z", "text": "same\n" * 40, "party": {"deep": [1]}}) + "\n")
    out = tmp_path / "out"
    out.mkdir()
    from data_curation.curate import curate

    curate(section(place), {}, out)
    reasons = {one["id"].rsplit("/", 1)[-1]: one["reason"] for one in lines(out, "rejected.jsonl")}
    assert reasons["x"] == "no_text" and reasons["y"] == "too_many_symbols" and reasons["z"] == "repeated_lines"


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file
