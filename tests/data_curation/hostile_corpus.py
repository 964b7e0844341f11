"""A folder of files that a curation must outlive, each with the fate that it must have.

    python -m tests.data_curation.hostile_corpus FOLDER [--big]
    stillroom curate finance --corpus FOLDER ...

Small, it is made and read in seconds; ``--big`` makes the 200 MB line, the 10 GB bombs and the million tags.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data_curation import small_pdfs

MIB = 1 << 20
NOUNS = [
    "tenant", "owner", "building", "bridge", "garden", "river", "market", "teacher", "engine", "letter", "window",
    "lawyer", "harbour", "valley", "orchard", "farmer", "island", "doctor", "painter", "soldier", "village", "station",
    "clerk", "castle", "mountain", "forest", "hotel", "library", "kitchen", "winter",
]  # fmt: skip
VERBS = ["found", "built", "sold", "measured", "painted", "repaired", "carried", "bought", "kept", "moved", "counted"]


@dataclass(frozen=True)
class Size:
    """How hard the hostile files are."""

    line_bytes: int = 17 * MIB
    bomb_bytes: int = 80 * MIB
    tags: int = 20_000
    folders: int = 200
    looping_forms: bool = False
    """A PDF that takes PDFium 16 s and all the memory it may have."""


BIG = Size(200 * MIB, 10_000 * MIB, 1_000_000, 1_500, looping_forms=True)


@dataclass(frozen=True)
class Fate:
    """What must become of one file: the reasons in quarantine and of rejects, and how many documents stay."""

    accepted: int = 0
    quarantined: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


class _Texts:
    """English sentences, a new text at each call."""

    def __init__(self) -> None:
        self.number = 0
        self.chance = random.Random(7)

    def __call__(self) -> str:
        self.number += 1
        return " ".join(
            f"The {self._one(NOUNS)} of the {self._one(NOUNS)} {self._one(VERBS)} a {self._one(NOUNS)}"
            f" and {self._one(VERBS)} it with {self.chance.randint(2, 9_999)} {self._one(NOUNS)}s."
            for _ in range(12)
        )

    def _one(self, words: list[str]) -> str:
        return self.chance.choice(words)

    def row(self, **fields: object) -> bytes:
        return json.dumps({"id": f"h{self.number + 1}", "text": self(), "date": "2024-05-06"} | fields).encode()

    def rows(self, count: int) -> bytes:
        return b"".join(self.row() + b"\n" for _ in range(count))


def make(folder: Path, size: Size = Size(), beside: Path | None = None) -> dict[str, Fate]:
    """Fill ``folder``; returns each file's fate by its shown name. ``beside`` lies outside the corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = _Texts()
    fates: dict[str, Fate] = {}
    for made in (_compressed, _lines, _rows, _encodings, _tables, _pdfs, _pages, _filings):
        for name, content, fate in made(texts, size):
            (folder / name).write_bytes(content)
            fates[name] = fate
    fates |= _bombs(folder, size, texts) | _names(folder, texts) | _links(folder, beside or folder.parent, texts)
    place = folder / Path(*["d"] * size.folders)
    place.mkdir(parents=True)
    (place / "deep.txt").write_text(texts())
    fates[str((place / "deep.txt").relative_to(folder))] = Fate(1)
    return fates


Made = Iterator[tuple[str, bytes, Fate]]


def _compressed(texts: _Texts, size: Size) -> Made:
    yield "whole.jsonl.gz", gzip.compress(texts.rows(2)) + gzip.compress(texts.rows(2)), Fate(4)
    whole = gzip.compress(texts.rows(60), 1)
    yield "cut.jsonl.gz", whole[: len(whole) // 2], Fate(-1, ("ends in the middle of its compressed data",), ())
    packed = pa.Codec("zstd").compress(texts.rows(2), asbytes=True)
    yield "whole.jsonl.zst", packed, Fate(2)
    yield "cut.jsonl.zst", packed[:-9], Fate(-1, ("ends in the middle of its compressed data",))
    yield "liar.jsonl.gz", texts.rows(3), Fate(0, ("broken compressed data",))
    yield "liar.jsonl.zst", texts.rows(3), Fate(0, ("broken compressed data",))


def _lines(texts: _Texts, size: Size) -> Made:
    long = b'{"id": "long", "text": "' + b"x" * size.line_bytes + b'"}\n'
    yield "long_line.jsonl", texts.rows(1) + long + texts.rows(1), Fate(2, ("line over 16 MiB",))
    yield "long_text.txt", b"x" * (65 * MIB), Fate(0, ("over 64 MiB, too large for one document",))
    yield "nul.jsonl", texts.rows(30) + b'{"id": "\x00", "text": "a"}\n' + texts.rows(1), Fate(31, ("holds NUL bytes",))
    yield "nul.txt", b"\x00" * 5_000, Fate(0, ("binary, not text",))
    yield "noise.txt", bytes(range(256)) * 20, Fate(0, ("binary, not text",))
    for suffix in ("jsonl", "csv", "txt", "md", "html", "pdf", "parquet", "jsonl.gz"):
        yield f"empty.{suffix}", b"", Fate(0, ("is empty",))
    yield "blank.txt", b" \r\n\t\n", Fate(0, ("is empty",))


def _rows(texts: _Texts, size: Size) -> Made:
    deep, digits = b'{"a": ' * 100_000, b'{"id": "digits", "n": ' + b"9" * 5_000 + b"}"
    broken = b"\n".join([texts.row(), b'{"id": "brok', deep, digits, b"[1]", b'"text"', texts.row()])
    yield (
        "broken.jsonl",
        broken,
        Fate(2, ("broken JSON", "broken JSON: nested", "broken JSON: Exceeds", "JSON list", "JSON str")),
    )
    odd = b'{"id": "odd", "x": NaN, "y": 1e999, "z": "\\ud800", "text": "' + texts().encode() + b' \\udfff"}'
    yield "odd.jsonl", odd, Fate(1)
    same = b"\n".join([texts.row(id="same"), texts.row(id="same"), texts.row(id="other")])
    yield "same_ids.jsonl", same, Fate(2, (), ("duplicate_id",))
    yield "same_ids_again.jsonl", texts.row(id="same"), Fate(1)
    dates = [texts.row(date=date) for date in ("9999-12-31", "2024-02-31", "99991231", "2023-04-05", "spring")]
    yield "dates.jsonl", b"\n".join(dates), Fate(2, (), ("impossible_date", "impossible_date", "impossible_date"))
    yield "ids.jsonl", texts.row(id="../../etc/passwd\x1b[2J") + b"\n" + texts.row(id="i" * 100_000), Fate(2)
    yield (
        "odd_types.jsonl",
        texts.row(id={"a": [1]}, date=[2024]) + b'\n{"text": {"deep": [1, null]}}',
        Fate(1, (), ("*",)),
    )


def _encodings(texts: _Texts, size: Size) -> Made:
    for name in ("utf-16-le", "utf-16-be", "utf-16", "utf-32", "utf-8-sig"):
        yield f"{name}.jsonl", texts.rows(3).decode().encode(name), Fate(3)
        yield f"{name}.txt", texts().encode(name), Fate(1)
    lines = [texts.row(), texts.row(text=f"{texts()} Größe"), texts.row(text=f"{texts()} @")]
    lines[1] = json.loads(lines[1])["text"].encode()  # a bare text: no JSON
    mixed = json.dumps({"id": "m1", "text": f"{texts()} Größe"}, ensure_ascii=False)
    body = [
        lines[0],
        mixed.encode(),
        mixed.replace("m1", "m2").replace("Gr", texts()).encode("cp1252"),
        b'{"id": "\x81\x8d"}',
    ]
    yield "mixed.jsonl", b"\n".join(body), Fate(3, ("neither UTF-8 nor cp1252",))


def _tables(texts: _Texts, size: Size) -> Made:
    row = f'1,"{texts()}"\n2,"{texts()}"\n'
    yield "whole.csv", f"id,text\n{row}".encode(), Fate(2)
    yield "open.csv", f'id,text\n3,"{texts()}"\n4,"never closed, {texts()}\n'.encode(), Fate(1, ("broken CSV",))
    yield "wide.csv", f"id,text\n5,{texts()},more,cells\n".encode(), Fate(0, ("more cells than the header",))
    yield "wider.csv", b"a," * 20_000, Fate(0, ("more than 10,000 columns",))
    yield "junk.parquet", b"PAR1" + b"\x07" * 100 + b"PAR1", Fate(0, ("broken Parquet",))
    yield "unknown.docx", b"PK\x03\x04", Fate(0, ("no reader for .docx",))
    yield "nameless", b"text", Fate(0, ("no reader for files without a suffix",))


def _pdfs(texts: _Texts, size: Size) -> Made:
    yield "whole.pdf", small_pdfs.pages(texts(), texts()), Fate(1)
    yield "locked.pdf", small_pdfs.locked(), Fate(0, ("encrypted",))
    yield "page_loop.pdf", small_pdfs.page_loop(), Fate(0, ("",))
    yield "table_loop.pdf", small_pdfs.table_loop(texts()), Fate(1)
    yield "scan.pdf", small_pdfs.pages("", ""), Fate(0, ("2 pages without text",))
    yield "junk.pdf", b"%PDF-1.7 and then nothing", Fate(0, ("broken PDF",))
    if size.looping_forms:
        yield "form_loop.pdf", small_pdfs.form_loop(), Fate(0, ("PDFium died of it",))


def _pages(texts: _Texts, size: Size) -> Made:
    body, tags = texts(), size.tags
    yield "tags.html", b"<p><b></b>" * (tags // 3) + body.encode(), Fate(1)
    yield "nested.html", b"<div>" * tags + texts().encode() + b"</style>" * tags, Fate(1)
    yield "hidden.html", b"<svg>" * tags + b"</style>" * tags + texts().encode(), Fate(0, ("no readable text",))
    yield "open.html", texts().encode() + b"<!--" * tags, Fate(1)
    yield "attributes.html", texts().encode() + b"<a x=" * tags, Fate(1)
    yield "numbers.html", f"{texts()} &#{'9' * 5_000}; &#x{'f' * 5_000};".encode(), Fate(1)
    yield "too_many.html", b"<b>" * 5_000_001, Fate(0, ("more than 5,000,000 tags",))


def _filings(texts: _Texts, size: Size) -> Made:
    head = b"<SEC-DOCUMENT>x.txt : 20240506\nACCESSION NUMBER:\t\t0000000000-24-000001\nFILED AS OF DATE:\t\t20240506\n"
    part = "<DOCUMENT>\n<TYPE>{}\n<SEQUENCE>{}\n<FILENAME>{}\n<TEXT>\n{}\n</TEXT>\n</DOCUMENT>\n"
    parts = [
        part.format("10-K", 1, "../../../etc/passwd.htm", f"<html><p>{texts()}</p></html>"),
        part.format("EX-10.1", 2, "lease.txt", f"<PAGE>\n{texts()}"),
        part.format("GRAPHIC", 3, "logo.jpg", "begin 644 logo.jpg\nM_]C_X\nend"),
        part.format("EX-99", 4, "deck.pdf", "<PDF>\nbegin 644 deck.pdf\nM_]C_X\nend\n</PDF>"),
    ]
    fate = Fate(2, ("(GRAPHIC, logo.jpg): uuencoded", "(EX-99, deck.pdf): uuencoded"))
    yield "filing.txt", head + "".join(parts).encode(), fate
    open_end = head.replace(b"01\n", b"02\n") + "".join(parts).encode()[: len(parts[0]) - 20]
    yield "filing_cut.txt", open_end, Fate(0, ("ends inside document 1",))
    yield "filing_none.txt", head, Fate(0, ("a submission without documents",))


def _bombs(folder: Path, size: Size, texts: _Texts) -> dict[str, Fate]:
    """Compressed files of next to nothing that unpack to ``bomb_bytes``."""
    block = b"x" * MIB
    with gzip.open(folder / "bomb.jsonl.gz", "wb", 6) as out:
        out.write(texts.rows(1))
        for _ in range(size.bomb_bytes // MIB):
            out.write(block)
    with pa.CompressedOutputStream(str(folder / "bomb.jsonl.zst"), "zstd") as packed:
        packed.write(texts.rows(1))
        for _ in range(size.bomb_bytes // MIB):
            packed.write(block)
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("../../escape.jsonl", block * 8)
    count = size.bomb_bytes // MIB
    column = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([block.decode()]))
    pq.write_table(pa.table({"id": list(range(count)), "text": column}), folder / "bomb.parquet")
    bomb = "unpacks to more than 250 times its size"
    return {
        "bomb.jsonl.gz": Fate(1, (bomb,)),
        "bomb.jsonl.zst": Fate(1, (bomb,)),
        "bomb.zip": Fate(0, ("no reader for .zip",)),
        "bomb.parquet": Fate(-1, (bomb,), ("*",)),
    }


def _names(folder: Path, texts: _Texts) -> dict[str, Fate]:
    """Names that climb, that are no UTF-8, that move a terminal's cursor, that are markup."""
    shown = {
        b"..%2f..%2fetc%2fpasswd.txt": "..%2f..%2fetc%2fpasswd.txt",
        b"..\\..\\boot.txt": "..\\..\\boot.txt",
        b"\xff\xfe.txt": "\\xff\\xfe.txt",
        b"new\nline\x1b[2J.txt": "new\\x0aline\\x1b[2J.txt",
        b"<script>alert(1)<script>.txt": "<script>alert(1)<script>.txt",
        b"n" * 251 + b".txt": "n" * 251 + ".txt",
    }
    for name in shown:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(texts())
    (folder / ".git").mkdir()
    (folder / ".git" / "index.txt").write_text(texts())
    hidden = Fate(0, ("hidden, not read",))
    return {name: hidden if name.startswith(".") else Fate(1) for name in [*shown.values(), ".git"]}


def _links(folder: Path, beside: Path, texts: _Texts) -> dict[str, Fate]:
    """Links out of the corpus, into it, in a circle; a pipe that nobody writes to."""
    outside = beside / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret.txt").write_text(texts())
    (folder / "link_file.txt").symlink_to(outside / "secret.txt")
    (folder / "link_folder").symlink_to(outside)
    (folder / "link_circle.txt").symlink_to("link_circle.txt")
    (folder / "link_up").symlink_to("..")
    os.mkfifo(folder / "pipe.jsonl")
    link = Fate(0, ("is a link",))
    return dict.fromkeys(("link_file.txt", "link_folder", "link_circle.txt", "link_up"), link) | {
        "pipe.jsonl": Fate(0, ("is no regular file",))
    }


def main() -> None:
    """Make the corpus, and write its fates to stdout as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--big", action="store_true")
    told = arguments.parse_args()
    fates = make(told.folder, BIG if told.big else Size())
    sys.stdout.write(json.dumps({name: vars(fate) for name, fate in fates.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
