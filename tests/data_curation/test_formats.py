"""Every format gives its rows, and every row the bytes it came from."""

from __future__ import annotations

import datetime
import decimal
import gzip
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_curation.arrivals import Identities, date_fault
from data_curation.encodings import decode, detect
from data_curation.mojibake import mended
from data_curation.opening import Unreadable
from data_curation.pdf_text import PdfReader
from data_curation.reading import Row, read_rows
from tests.data_curation import small_pdfs

Found = tuple[list[Row], list[str]]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, bytes], Found]:
    def read(name: str, raw: bytes) -> Found:
        (tmp_path / name).write_bytes(raw)
        errors: list[str] = []
        return list(read_rows(tmp_path / name, name, lambda _file, _line, error, *_: errors.append(error))), errors

    return read


def _at(row: Row, raw: bytes) -> bytes:
    assert row.origin is not None and row.origin.start is not None
    return raw[row.origin.start : row.origin.end]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_a_row_of_jsonl_is_found_again_by_its_bytes(read, encoding: str, packed: str) -> None:
    raw = '{"id": 1, "t": "Größe"}\r\n\r\n{"id": 2, "t": "schön"}\n{"id": 3}'.encode(encoding)
    pack = {".gz": gzip.compress, ".zst": lambda raw: pa.Codec("zstd").compress(raw, asbytes=True)}
    rows, errors = read(f"a.jsonl{packed}", pack[packed](raw) if packed else raw)
    assert [row["id"] for row in rows] == [1, 2, 3] and not errors
    wide = "utf-16-le" if encoding == "utf-16" else "utf-32-le" if encoding == "utf-32" else encoding
    assert '"schön"' in _at(rows[1], raw).decode(wide)


def test_a_record_of_csv_spans_its_lines(read) -> None:
    raw = b'id,text,text\n1,"two\nlines",x\n2,"one",y\n'
    rows, errors = read("a.csv", raw)
    assert [_at(row, raw) for row in rows] == [b'1,"two\nlines",x\n', b'2,"one",y\n'] and not errors
    assert rows[0] == {"id": "1", "text": "two\nlines", "text_2": "x"}


def test_a_record_of_csv_with_a_broken_line_is_no_record(read) -> None:
    rows, errors = read("a.csv", b'id,text\n1,"two\n\x81\x8d\nlines"\n2,fine\n')
    assert rows[-1] == {"id": "2", "text": "fine"}
    assert "neither UTF-8 nor cp1252" in errors[0]
    assert not any("two" in str(row) for row in rows)


def test_parquet_rows_are_plain_values(read, tmp_path: Path) -> None:
    day = datetime.date(9999, 12, 31)
    table = pa.table({
        "id": [1, 2, 3], "text": ["one", None, "three"], "day": [day] * 3, "sum": [decimal.Decimal("1.20")] * 3,
        "at": pa.array([2**62] * 3, pa.timestamp("ns")), "tags": [["a"], [], None], "picture": [b"x"] * 3,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    raw = (tmp_path / "t.parquet").read_bytes()
    rows, errors = read("a.parquet", raw)
    assert rows[0]["day"] == "9999-12-31" and rows[0]["sum"] == "1.20" and rows[0]["tags"] == ["a"]
    assert rows[0]["at"].startswith("2116-") and errors == ["column 'picture' holds bytes, not text: left out"]
    assert [row.origin.part for row in rows if row.origin] == ["row 0", "row 1", "row 2"]
    assert rows[1].origin.start == rows[0].origin.start < rows[2].origin.start < len(raw)


def test_a_filing_gives_its_texts_and_names_what_is_none(read) -> None:
    document = "<DOCUMENT>\n<TYPE>{}\n<SEQUENCE>{}\n<FILENAME>{}\n<DESCRIPTION>D\n<TEXT>\n{}\n</TEXT>\n</DOCUMENT>\n"
    raw = (
        "-----BEGIN PRIVACY-ENHANCED MESSAGE-----\nProc-Type: 2001,MIC-CLEAR\n\n<SEC-DOCUMENT>0001.txt : 20150227\n"
        "<SEC-HEADER>\nACCESSION NUMBER:\t\t0000001-15-000001\nCONFORMED SUBMISSION TYPE:\t10-K\n"
        "CONFORMED PERIOD OF REPORT:\t20141231\nFILED AS OF DATE:\t\t20150227\nFILER:\n\tCOMPANY DATA:\n"
        "\t\tCOMPANY CONFORMED NAME:\t\t\tACME  PROPERTIES\n\t\tCENTRAL INDEX KEY:\t\t\t0000012345\n</SEC-HEADER>\n"
        + document.format("10-K", 1, "a.htm", "<XBRL>\n<html><body><p>Annual &amp; report</p></body></html>\n</XBRL>")
        + document.format(
            "EX-10.1", 2, "b.txt", "<PAGE>\nLease of the mill\n<TABLE>\n<CAPTION>\n<S>   <C>\nRent   5\n</TABLE>"
        )
        + document.format("EX-101.INS", 3, "c.xml", "<xbrl/>")
        + document.format("GRAPHIC", 4, "d.jpg", "begin 644 d.jpg\nM_]C_X\nend")
        + "</SEC-DOCUMENT>\n-----END PRIVACY-ENHANCED MESSAGE-----\n"
    ).encode()
    rows, errors = read("a.txt", raw)
    assert [row["text"] for row in rows] == ["Annual & report", "\nLease of the mill\n\n\n\nRent   5\n"]
    assert {key: rows[0][key] for key in ("id", "form", "filed", "period", "company", "cik", "main")} == {
        "id": "0000001-15-000001/1", "form": "10-K", "filed": "2015-02-27", "period": "2014-12-31",
        "company": "ACME PROPERTIES", "cik": "0000012345", "main": True,
    }  # fmt: skip
    assert rows[1]["type"] == "EX-10.1" and rows[1]["main"] is False
    assert _at(rows[1], raw).startswith(b"<DOCUMENT>\n<TYPE>EX-10.1") and _at(rows[1], raw).endswith(b"</DOCUMENT>\n")
    assert errors == [
        "document 3 (EX-101.INS, c.xml): data or a picture, no text",
        "document 4 (GRAPHIC, d.jpg): uuencoded, not text",
    ]


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(small_pdfs.pages("First page of the lease", "", "Third page"))
    (tmp_path / "b.pdf").write_bytes(small_pdfs.locked())
    with PdfReader() as reader:
        assert reader.pages(tmp_path / "a.pdf") == ["First page of the lease", "", "Third page"]
        with pytest.raises(Unreadable, match="asks for a password"):
            reader.pages(tmp_path / "b.pdf")
        rows = list(read_rows(tmp_path / "a.pdf", "a.pdf", lambda *_: None, reader))
    assert rows == [
        {"id": "a.pdf", "text": "First page of the lease\n\nThird page", "pages": 3, "pages_without_text": 1}
    ]


def test_a_pdf_that_kills_the_reader_costs_itself_only(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(small_pdfs.pages("The text"))
    with PdfReader() as reader:
        reader.pages(tmp_path / "a.pdf")
        assert reader.process is not None
        reader.process.kill()
        reader.process.wait()
        assert reader.pages(tmp_path / "a.pdf") == ["The text"]


ALPHABETS = {
    "cp1251": "Договор аренды заключён между сторонами в городе Москве, и арендатор обязуется платить ежемесячно.",
    "koi8_r": "Договор аренды заключён между сторонами в городе Москве, и арендатор обязуется платить ежемесячно.",
    "shift_jis": "この契約は、東京都において当事者間で締結され、借主は毎月の賃料を支払うものとする。",
    "euc_jp": "この契約は、東京都において当事者間で締結され、借主は毎月の賃料を支払うものとする。",
    "gb18030": "本租赁合同由双方在北京市签订,承租人应当按月支付租金。合同期限自签署之日起为五年。",
    "big5": "本租賃合同由雙方在臺北市簽訂,承租人應當按月支付租金。合同期限自簽署之日起為五年。",
    "euc_kr": "이 계약은 서울특별시에서 당사자 간에 체결되었으며 임차인은 매월 임대료를 지불하여야 한다.",
    "cp1253": "Η σύμβαση μίσθωσης συνήφθη μεταξύ των μερών στην Αθήνα και ο μισθωτής οφείλει να καταβάλλει.",
    "cp1252": "Der Vertrag über die Räume in München läuft fünf Jahre – „größer“ als üblich, zwölf Euro je Meter.",
}


@pytest.mark.parametrize("encoding", ALPHABETS)
def test_other_alphabets_are_told_by_their_letters(encoding: str) -> None:
    text = ALPHABETS[encoding]
    raw = text.encode(encoding)
    assert decode(raw, detect(raw) or "") == text
    for wide in ("utf-16-le", "utf-16-be"):
        assert detect((text + "\n").encode(wide) * 3) == wide


def test_a_line_of_two_encodings_keeps_both() -> None:
    assert decode("Größe ".encode() + "schön “so”".encode("cp1252")) == "Größe schön “so”"


def test_mojibake_is_mended_and_true_letters_stay() -> None:
    assert mended("It was â€œgoodâ€\x9d and cost Â£5 in the cafÃ©") == "It was “good” and cost £5 in the café"
    for text in ("São Paulo, 5 £ – “so”", "ÂNGELA E JOÃO", "naïve façade", "Â§ 5"[1:]):
        assert mended(text) == text


def test_ids_are_one_line_each_and_different() -> None:
    ids = Identities()
    assert ids.take("a", "f") == ("a", None)
    assert ids.take("a", "g") == ("a#2", None)
    name, fault = ids.take("a", "f")
    assert name == "a#3" and fault == ("duplicate_id", "a stands in f before")
    assert ids.take("a#2", "h")[0] not in ("a", "a#2", "a#3")
    assert len(ids.take("x" * 5_000, "f")[0]) <= 200


@pytest.mark.parametrize(
    "date", ["2015-12-31", "20151231", "12312015", "Dec 31, 1996", "FY 2020", "spring", None, "12/31/99"]
)
def test_dates_that_can_be(date: str | None) -> None:
    assert date_fault(date) is None


@pytest.mark.parametrize("date", ["9999-12-31", "99991231", "0001-01-01", "2024-02-30", "31.12.3024"])
def test_dates_that_cannot_be(date: str) -> None:
    fault = date_fault(date)
    assert fault is not None and fault[0] == "impossible_date"


def test_the_limits_in_the_documentation_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reading.md").read_text()
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)
    assert len(rows) == 14
    for module, name, value in rows:
        assert getattr(importlib.import_module(f"data_curation.{module}"), name) == float(value), name
