"""PDFs written by hand, whole and broken ones, for the tests of reading."""

from __future__ import annotations

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
LOCK = b"<< /Filter /Standard /V 1 /R 2 /O <" + b"41" * 32 + b"> /U <" + b"42" * 32 + b"> /P -44 >>"


def pdf(*objects: bytes, trailer: bytes = b"", count: int | None = None) -> bytes:
    """A file of these objects, numbered from 1; the first is the catalog."""
    body, places = bytearray(b"%PDF-1.4\n"), []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer\n<< /Size %d /Root 1 0 R %s >>\n" % (count or len(objects) + 1, trailer)
    return bytes(body.replace(b"@TABLE@", b"%d" % table) + b"startxref\n%d\n%%%%EOF\n" % table)


def stream(content: bytes) -> bytes:
    """A stream object."""
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


def pages(*texts: str, trailer: bytes = b"", extra: tuple[bytes, ...] = ()) -> bytes:
    """A PDF with these pages, each text in lines of ten words. ``extra`` objects are numbered on from there."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * place) for place in range(len(texts)))
    objects = [CATALOG, b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(texts)), FONT]
    for place, text in enumerate(texts):
        words = text.split()
        lines = [" ".join(words[start : start + 10]) for start in range(0, len(words), 10)]
        shown = b" ".join(b"(%s) Tj 0 -14 Td" % line.encode("ascii") for line in lines)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 800 800] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * place)
        )
        objects.append(stream(b"BT /F1 12 Tf 40 760 Td %s ET" % shown))
    return pdf(*objects, *extra, trailer=trailer)


def locked() -> bytes:
    """Encrypted with a password that nobody knows."""
    return pages("secret", trailer=b"/Encrypt 6 0 R /ID [<00> <00>]", extra=(LOCK,))


def page_loop() -> bytes:
    """A page tree whose only branch is itself, and which says it has two billion pages."""
    return pdf(CATALOG, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2000000000 /Parent 2 0 R >>")


def table_loop(text: str) -> bytes:
    """Its cross-reference table names itself as the table before."""
    return pages(text, trailer=b"/Prev @TABLE@")


def form_loop() -> bytes:
    """A page that draws a form that draws itself, twice."""
    form = b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 5 0 R >> >> /Length 11 >>"
    return pdf(
        CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >> >>",
        stream(b"/X Do /X Do"), form + b"\nstream\n/X Do /X Do\nendstream",
    )  # fmt: skip
