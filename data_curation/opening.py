"""Files to bytes: links and devices refused, compressed files unpacked as a stream and within limits."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from contracts.errors import InputError

CHUNK_BYTES = 1 << 20
STEP_BYTES = 1 << 16
"""Asked of an unpacker at once: what it had unpacked of a step that fails is lost."""
RATIO_LIMIT = 250
"""Text shrinks 3 to 20 times, and rows on one form 100 times; deflate can reach 1,032, zstd far more."""
RATIO_FLOOR_BYTES = 64 << 20
"""Below this an unpacked file harms nobody, whatever its ratio."""
UNPACKED_LIMIT_BYTES = 64 << 30
"""Of one compressed file: hours of reading. A larger one is parted first."""
COMPRESSED = (".gz", ".zst")
BROKEN = (OSError, EOFError, zlib.error, pa.ArrowException)
"""What unpackers raise; ``gzip.BadGzipFile`` is an OSError."""


class Unreadable(InputError):
    """A file, or the rest of one, that cannot be read: it goes to quarantine with this reason."""

    @property
    def reason(self) -> str:
        """Without the file's name, which quarantine holds already."""
        return self.fact if self.got is None else f"{self.fact}, got {self.got}"


def format_of(path: Path) -> str:
    """The suffix that tells the format, in small letters and without ``.gz`` or ``.zst``; empty where there is none."""
    name = path.name.lower()
    for packed in COMPRESSED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def open_regular(path: Path) -> io.FileIO:
    """A regular file for reading. Raises Unreadable for a link, a pipe (which would wait for ever), a device."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP or path.is_symlink():
            raise Unreadable(str(path), "is a link: links are not followed") from None
        raise Unreadable(str(path), "cannot be opened", got=error.strerror) from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise Unreadable(str(path), "is no regular file")
    return io.FileIO(number, "rb")


def open_bytes(path: Path) -> io.BufferedReader:
    """The bytes of a file, after decompression where its name ends so. Reading may raise Unreadable."""
    plain = open_regular(path)
    kind = path.suffix.lower()
    if kind not in COMPRESSED:
        return io.BufferedReader(plain, CHUNK_BYTES)
    return io.BufferedReader(Unpacked(plain, kind, str(path)), CHUNK_BYTES)


class Unpacked(io.RawIOBase):
    """A stream of unpacked bytes. What came before a fault is given out before the fault is raised."""

    def __init__(self, packed: io.FileIO, kind: str, name: str) -> None:
        self.packed, self.name, self.total = packed, name, 0
        self.fault: Unreadable | None = None
        self.read_some = self._start(kind)

    def _start(self, kind: str) -> Any:
        try:
            if kind == ".gz":
                return gzip.GzipFile(fileobj=self.packed, mode="rb").read1
            return pa.CompressedInputStream(self.packed, "zstd").read
        except BROKEN as error:
            self.fault = self._broken(error)
            return None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` as far as there is something; 0 at the end. Raises Unreadable."""
        filled = 0
        while filled < len(buffer) and self.fault is None:
            chunk = self._next(len(buffer) - filled)
            if not chunk:
                break
            buffer[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        if not filled and self.fault is not None:
            raise self.fault
        return filled

    def _next(self, most: int) -> bytes:
        try:
            chunk = bytes(self.read_some(min(most, STEP_BYTES)))
        except BROKEN as error:
            self.fault = self._broken(error)
            return b""
        self.total += len(chunk)
        self.fault = self._bomb()
        return chunk

    def _bomb(self) -> Unreadable | None:
        packed = max(1, self.packed.tell())
        if self.total > UNPACKED_LIMIT_BYTES:
            return Unreadable(self.name, f"unpacks to more than {UNPACKED_LIMIT_BYTES >> 30} GiB")
        if self.total > max(RATIO_FLOOR_BYTES, RATIO_LIMIT * packed):
            return Unreadable(self.name, f"unpacks to more than {RATIO_LIMIT} times its size (a bomb)")
        return None

    def _broken(self, error: Exception) -> Unreadable:
        if isinstance(error, EOFError) or "runcated" in str(error):
            return Unreadable(self.name, "ends in the middle of its compressed data")
        return Unreadable(self.name, "broken compressed data", got=error)

    def close(self) -> None:
        if not self.closed:
            self.packed.close()
        super().close()
