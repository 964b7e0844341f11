"""A candidate document on its way through curation, and the book that keeps every one that falls."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from contracts.documents import Document
from data_curation.text_steps import TextTally

SHOWN_CHARS = 2_000


@dataclass(frozen=True)
class Candidate:
    """A document with the row it came from, which the tasks read; ``heldout`` is its side of the split."""

    document: Document
    row: dict[str, Any]
    named_entity: bool = False
    """The source names an entity; else the document stands for itself."""
    heldout: bool = False


@dataclass
class Book:
    """Rejects and quarantine as they are written, with their counts."""

    rejected_out: TextIO
    quarantine_out: TextIO
    read: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """(source, synthetic) to documents."""
    rejected: dict[tuple[str, bool], Counter[str]] = field(default_factory=dict)
    quarantined: dict[str, str] = field(default_factory=dict)
    example_rejects: Counter[str] = field(default_factory=Counter)
    texts: defaultdict[str, TextTally] = field(default_factory=lambda: defaultdict(TextTally))
    """Source to what its texts held."""
    removed: dict[str, str] = field(default_factory=dict)
    """Content (``drop_prints.content_key``) of each document that was asked to be removed, to its id."""

    def reject(self, candidate: Candidate, stage: str, reason: str, detail: str = "") -> None:
        """Count a document out, and keep it readable."""
        document = candidate.document
        self.rejected.setdefault((document.source, document.synthetic), Counter())[reason] += 1
        self._write(document, stage, reason, detail)

    def reject_example(self, task: str, candidate: Candidate, reason: str, detail: str = "") -> None:
        """An example that could not be made; its document stays."""
        self.example_rejects[f"{task}: {reason}"] += 1
        self._write(candidate.document, f"examples/{task}", reason, detail)

    def quarantine(self, file: str, line: int, error: str, start: int | None = None, end: int | None = None) -> None:
        """A file (line 0) or line that cannot be read, and its bytes ``[start, end)`` where they are known."""
        record = {"file": file, "line": line, "error": error, "start": start, "end": end}
        self.quarantine_out.write(json.dumps(record, ensure_ascii=False) + "\n")
        before = self.quarantined.get(file)
        shown = error if line == 0 else f"line {line}: {error}"
        if before is None:
            self.quarantined[file] = shown
        elif before.count(";") < 3:
            self.quarantined[file] = f"{before}; {shown}"
        elif not before.endswith("; ..."):
            self.quarantined[file] = f"{before}; ..."

    def _write(self, document: Document, stage: str, reason: str, detail: str) -> None:
        record = {
            "id": document.id, "source": document.source, "stage": stage, "reason": reason, "detail": detail,
            "licence": document.licence, "entity": document.entity, "date": document.date,
            "synthetic": document.synthetic, "origin": document.origin and document.origin.model_dump(),
            "chars": len(document.text), "tokens": len(document.text.split()),
            "text": document.text[:SHOWN_CHARS],
        }  # fmt: skip
        self.rejected_out.write(json.dumps(record, ensure_ascii=False) + "\n")


def open_book(out_dir: Path) -> Book:
    """A book whose pages lie in ``out_dir``; close both streams with ``close_book``."""
    return Book(
        (out_dir / "rejected.jsonl").open("w", encoding="utf-8"),
        (out_dir / "quarantine.jsonl").open("w", encoding="utf-8"),
    )


def close_book(book: Book) -> None:
    """Flush and close both pages."""
    book.rejected_out.close()
    book.quarantine_out.close()
