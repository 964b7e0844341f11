"""Which encoding bytes are in. UTF-8 where it can be; else what the marks, the zeros and the letters speak for."""

from __future__ import annotations

import codecs
import re

JUNK_SHARE = 0.01
"""Share of control characters above which bytes are no text."""
WESTERN = "cp1252"
LEGACY_LEAST_BYTES = 40
"""Bytes beyond ASCII that a guess needs; on fewer, a few curly quotes, guesses are mostly wrong."""
FOREIGN_SHARE = 0.25
"""Share of bytes beyond ASCII that no Latin alphabet reaches (Vietnamese and Czech stay under 0.2)."""
FOREIGN = [
    "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr",
]  # fmt: skip
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CONTROL = bytes(set(range(32)) - {9, 10, 12, 13, 27}) + b"\x7f"
ASCII = bytes(range(128))
UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
WIDE_LEAST_NULS = 0.005
"""Of the bytes: a blank and a line end here and there, as in Chinese UTF-16."""
MIXED = "stillroom.mixed"


def detect(probe: bytes) -> str | None:
    """The encoding that a file's first bytes speak for; None for binary junk.

    ``utf-8`` also stands for Western single-byte text and for a mixture: each line falls back to cp1252 on its own.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if probe.startswith(mark):
            return encoding
    wide = _wide(probe)
    if wide:
        return wide
    return None if is_junk(probe) else _legacy(probe)


def decode(raw: bytes, encoding: str = "utf-8") -> str | None:
    """One line's text: UTF-8, else the file's legacy ``encoding``, else cp1252 for the bytes that are no UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if is_junk(raw):
        return None
    try:
        if encoding != "utf-8":
            return raw.decode(encoding)
        return raw.decode("utf-8", MIXED) if UTF8_SEQUENCE.search(raw) else raw.decode(WESTERN)
    except UnicodeDecodeError:
        return None


def is_junk(raw: bytes) -> bool:
    """Too many control characters, NUL among them, for a text."""
    return len(raw) - len(raw.translate(None, CONTROL)) > JUNK_SHARE * len(raw)


def _wide(probe: bytes) -> str | None:
    """UTF-16 without a byte order mark: its zeros lie on one side, and it decodes to few control characters."""
    even, odd = probe[0::2].count(0), probe[1::2].count(0)
    if even + odd < WIDE_LEAST_NULS * len(probe) or min(even, odd) > 0.25 * max(even, odd):
        return None
    if even + odd < 2:
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(probe)
    except UnicodeDecodeError:
        return None
    strange = sum(1 for letter in text if not letter.isprintable() and letter not in "\n\r\t\f")
    return encoding if strange <= JUNK_SHARE * len(text) else None


def _legacy(probe: bytes) -> str:
    """``utf-8``, or the legacy encoding of another alphabet where enough letters of it are there."""
    foreign = probe.translate(None, ASCII)
    plain = len(probe) - len(foreign)
    if len(foreign) < LEGACY_LEAST_BYTES or len(foreign) < FOREIGN_SHARE * (plain + len(foreign)):
        return "utf-8"
    sequences = sum(len(found) for found in UTF8_SEQUENCE.findall(probe))
    if sequences > 0.5 * len(foreign):
        return "utf-8"
    from charset_normalizer import from_bytes  # only for such a file

    best = from_bytes(probe, cp_isolation=FOREIGN).best()
    return best.encoding if best is not None else "utf-8"


def _mixed(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8 in a line of UTF-8: cp1252, or the error again."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode(WESTERN), error.end


codecs.register_error(MIXED, _mixed)
