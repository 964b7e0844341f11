"""PDF to text, page by page, in a process of its own: a PDF that crashes or spins PDFium costs that file only.

``python -m data_curation.pdf_text`` reads one JSON path a line and answers with JSON lines: ``{"page": text}`` for each
page, then ``{"pages": n}`` or ``{"error": reason}``. It ends with its input; its own limits end it where PDFium loops.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from data_curation.lineage import Row, placed
from data_curation.opening import Unreadable, open_regular
from data_curation.quarantine import Quarantine
from data_curation.whole_files import DOCUMENT_LIMIT_BYTES

FILE_LIMIT_BYTES = 256 << 20
PAGE_LIMIT = 10_000
"""A page takes 2.5 ms; a file may say that it has two billion."""
CPU_LIMIT_SECONDS = 60
"""Of one file: twice what ``PAGE_LIMIT`` ordinary pages take. CPU time, so that a busy machine changes no verdict."""
MEMORY_LIMIT_BYTES = 3 << 30
HYPHEN = re.compile("[\x02\ufffe]\r?\n?")
"""How PDFium writes a hyphen at the end of a line: the word goes on."""
NO_REASON = " (PDFium: Success)"
CHECKOUT = Path(__file__).parent.parent


class PdfReader:
    """The reading process, started with the first PDF and again after one that killed it. Close it, or use ``with``."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> PdfReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def pages(self, file: Path) -> list[str]:
        """The text of each page. Raises Unreadable with what stopped it."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(str(file.absolute())) + "\n")
            process.stdin.flush()
            texts: list[str] = []
            while line := process.stdout.readline():
                said = json.loads(line)
                if "page" not in said:
                    break
                texts.append(said["page"])
            else:
                raise self._died(file)
        except BrokenPipeError:
            raise self._died(file) from None
        if "error" in said:
            self.close()  # PDFium would tell the next file's fault by this one's
            raise Unreadable(str(file), said["error"])
        return texts

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def _running(self) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "data_curation.pdf_text"], cwd=CHECKOUT, text=True, encoding="utf-8",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        return self.process

    def _died(self, file: Path) -> Unreadable:
        assert self.process is not None
        code = self.process.wait()
        self.close()
        if code == -signal.SIGXCPU:
            return Unreadable(str(file), f"takes more than {CPU_LIMIT_SECONDS} s of CPU (a loop)")
        name = signal.Signals(-code).name if code < 0 else f"code {code}"
        return Unreadable(str(file), f"PDFium died of it ({name})")


def pdf_rows(file: Path, shown: str, quarantine: Quarantine, reader: PdfReader | None) -> Iterator[Row]:
    """One row: the pages' texts, an empty line between; how many pages there are, and how many without text (scans)."""
    open_regular(file).close()
    size = file.stat().st_size
    if not size:
        quarantine(shown, 0, "is empty", 0, 0)
        return
    own = reader or PdfReader()
    try:
        texts = own.pages(file)
    except Unreadable as refused:
        quarantine(shown, 0, refused.reason, 0, size)
        return
    finally:
        if reader is None:
            own.close()
    empty = sum(1 for text in texts if not text)
    if empty == len(texts):
        quarantine(shown, 0, f"{empty} pages without text: scans need OCR first", 0, size)
        return
    fields = {
        "id": shown, "text": "\n\n".join(filter(None, texts)), "pages": len(texts), "pages_without_text": empty,
    }  # fmt: skip
    yield placed(fields, shown, 0, size, whole=True)


def _answers(path: Path) -> Iterator[dict[str, Any]]:
    import pypdfium2

    with open_regular(path) as stream:
        raw = stream.read(FILE_LIMIT_BYTES + 1)
    if len(raw) > FILE_LIMIT_BYTES:
        raise Unreadable(str(path), f"over {FILE_LIMIT_BYTES >> 20} MiB")
    document = pypdfium2.PdfDocument(raw)
    try:
        pages, chars = len(document), 0
        if pages > PAGE_LIMIT:
            raise Unreadable(str(path), f"more than {PAGE_LIMIT:,} pages", got=pages)
        for place in range(pages):
            page = document[place]
            found = page.get_textpage()
            text = HYPHEN.sub("", found.get_text_bounded()).replace("\r\n", "\n").strip()
            found.close()
            page.close()
            chars += len(text)
            if chars > DOCUMENT_LIMIT_BYTES:
                raise Unreadable(str(path), f"more than {DOCUMENT_LIMIT_BYTES >> 20} Mi characters")
            yield {"page": text.encode("utf-8", "replace").decode("utf-8")}
        yield {"pages": pages}
    finally:
        document.close()


def _guarded(path: Path) -> Iterator[dict[str, Any]]:
    import pypdfium2

    try:
        yield from _answers(path)
    except Unreadable as refused:
        yield {"error": refused.reason}
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        yield {
            "error": "encrypted: it asks for a password" if locked else f"broken PDF: {error}".replace(NO_REASON, "")
        }
    except MemoryError:
        yield {"error": f"needs more than {MEMORY_LIMIT_BYTES >> 30} GiB of memory"}


def main() -> None:
    """Answer every path on stdin."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + CPU_LIMIT_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
        for answer in _guarded(Path(json.loads(line))):
            sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
