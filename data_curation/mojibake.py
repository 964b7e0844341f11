"""Mojibake, UTF-8 that was once read as cp1252 (``cafÃ©``): mended only where it is suspected.

The gate is one search for a lead byte followed by a continuation byte, both as cp1252 shows them; ftfy, which costs
near a millisecond a document, decides behind it. Text in ASCII is not even searched.
"""

from __future__ import annotations

import re

CONTINUATION = "\x80-\xbf" + bytes(
    byte for byte in range(0x80, 0xA0) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
).decode("cp1252")
SUSPECT = re.compile(f"[\xc2-\xf4][{re.escape(CONTINUATION)}]".replace(r"\-", "-"))


def mended(text: str) -> str:
    """``text``, with its encoding put right where it was read in the wrong one."""
    if text.isascii() or SUSPECT.search(text) is None:
        return text
    import ftfy  # 0.1 s, and most corpora never need it

    return ftfy.fix_encoding(text)
