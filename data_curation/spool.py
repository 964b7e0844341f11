"""The documents of one source on their way through curation: in a file, with a few figures of each in memory.

Curation looks at every document several times (duplicates, split, evaluation texts, output), and a corpus is larger
than memory. So the documents are written once and read again, a batch at a time and only the columns that a step asks
for; what stays in memory is about 100 bytes a document. Reads are plain: mapped pages would count as memory.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.documents import Document, Origin
from data_curation.candidates import Book, Candidate
from data_curation.first_seen import FirstSeen, Ints
from data_curation.json_loop import json_lines
from data_curation.text_steps import Reason

Mask = NDArray[np.bool_]
BODY = pa.schema(
    [
        ("id", pa.string()), ("text", pa.large_string()), ("licence", pa.string()), ("entity", pa.string()),
        ("date", pa.string()), ("synthetic", pa.bool_()), ("file", pa.string()), ("start", pa.int64()),
        ("end", pa.int64()), ("part", pa.string()), ("record", pa.large_string()), ("row", pa.large_string()),
    ]
)  # fmt: skip
"""On disk. ``record``: the rest of the document's JSON line, all behind ``text``; ``row``: what tasks read, as JSON."""
FACTS = np.dtype(
    [
        ("entity", "<u8"), ("named", "<u8"), ("origin", "<u8"), ("chars", "<i4"), ("tokens", "<i4"),
        ("synthetic", "?"), ("late", "?"),
    ]
)  # fmt: skip
"""In memory. ``entity`` and ``origin`` are positions of the split (``splitting.place``), ``named`` a hash of the entity
that the source names, 0 for none; ``late``: too late to be trained on."""
AS_JSON = json.JSONEncoder(ensure_ascii=False).encode
DOCUMENT = ("id", "text", "licence", "entity", "date", "synthetic", "file", "start", "end", "part")
LABELS = ("id", "date", "licence")


class Spool:
    """One source's documents, numbered from 0 in reading order, those that have fallen since among them.

    First ``append`` and ``close``, then read as often as wanted.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.source = source
        self.seen = FirstSeen()
        """While it is written, the documents' content: sha256 of the text without its case, its first 128 bits."""
        self.stays: Mask = np.zeros(0, np.bool_)
        """Which documents have not fallen."""
        self.heldout: Mask = np.zeros(0, np.bool_)
        """Which documents are on the held-out side of the split."""
        self.facts: NDArray[Any] = np.zeros(0, FACTS)
        self._path = path
        self._out = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._out, BODY)
        self._starts = [0]
        self._facts: list[NDArray[Any]] = []
        self._labels: list[pa.RecordBatch] = []

    def __len__(self) -> int:
        return self._starts[-1]

    def append(self, body: pa.RecordBatch, facts: NDArray[Any]) -> None:
        """Add documents: a batch of BODY, and FACTS of the same length."""
        if not len(body):
            return
        self._writer.write_batch(body)
        self._starts.append(self._starts[-1] + len(body))
        self._facts.append(facts)
        everything = pa.array(np.arange(len(body)))
        columns = [body[name].take(everything) for name in LABELS]  # copies: the batch itself must not stay in memory
        columns[2] = columns[2].dictionary_encode()
        self._labels.append(pa.RecordBatch.from_arrays(columns, LABELS))

    def close(self) -> None:
        """End the writing: all documents stay, none is held out."""
        self._writer.close()
        self._out.close()
        self.seen = FirstSeen()
        self.facts = np.concatenate([self.facts, *self._facts])
        self._facts.clear()
        self.stays, self.heldout = np.ones(len(self), np.bool_), np.zeros(len(self), np.bool_)

    @property
    def numbers(self) -> Ints:
        """Of the documents that stay."""
        return np.flatnonzero(self.stays)

    def identity(self, number: int) -> str:
        """A document's id; of those written so far, too."""
        batch = bisect_right(self._starts, number) - 1
        name: str = self._labels[batch]["id"][int(number) - self._starts[batch]].as_py()
        return name

    def labels(self, numbers: Ints) -> pa.Table:
        """``id``, ``date`` and ``licence`` of documents, from memory."""
        if not len(numbers):
            return pa.table({name: pa.array([], pa.string()) for name in LABELS})
        return pa.Table.from_batches(self._unified()).take(pa.array(numbers))

    def batches(self, *columns: str, among: Mask | None = None) -> Iterator[tuple[Ints, pa.RecordBatch]]:
        """Numbers and columns of the documents ``among`` (else: that stay), in order, a batch at a time."""
        places = [BODY.get_field_index(name) for name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=sorted(places))
        with pa.OSFile(str(self._path)) as file:
            stored = pa.ipc.open_file(file, options=options)
            for place in range(len(self._starts) - 1):
                first, last = self._starts[place], self._starts[place + 1]
                wanted = (self.stays if among is None else among)[first:last]
                if wanted.any():
                    batch = stored.get_batch(place)
                    yield first + np.flatnonzero(wanted), batch if wanted.all() else batch.filter(pa.array(wanted))

    def texts(self, among: Mask | None = None) -> Iterator[pa.Array]:
        """The texts of ``batches``."""
        return (batch["text"] for _, batch in self.batches("text", among=among))

    def documents(self, among: Mask | None = None) -> Iterator[tuple[int, Document]]:
        """Numbers and documents, their metadata left out."""
        for numbers, batch in self.batches(*DOCUMENT, among=among):
            for number, row in zip(numbers.tolist(), batch.to_pylist(), strict=True):
                yield number, document_of(self.source, row)

    def candidates(self, among: Mask | None = None) -> Iterator[Candidate]:
        """Documents with the rows that tasks read."""
        for numbers, batch in self.batches(*DOCUMENT, "row", among=among):
            for number, row in zip(numbers.tolist(), batch.to_pylist(), strict=True):
                yield Candidate(
                    document_of(self.source, row), json.loads(row["row"]), bool(self.facts["named"][number]),
                    bool(self.heldout[number]),
                )  # fmt: skip

    def reject(self, fallen: Mask, why: Callable[[int, Document], Reason], book: Book) -> None:
        """Let those of ``fallen`` that stay fall; ``why`` is asked for each, in order."""
        fallen = fallen & self.stays
        if fallen.any():
            for number, document in self.documents(fallen):
                book.reject(Candidate(document, {}), *why(number, document))
            self.stays &= ~fallen

    def lines(self, among: Mask | None = None) -> Iterator[memoryview]:
        """The documents as JSON lines, as ``contracts.documents.write_jsonl`` would write them, many at a time."""
        for _, batch in self.batches("id", "text", "record", among=among):
            yield json_lines(batch["id"], batch["text"], batch["record"])

    def _unified(self) -> list[pa.RecordBatch]:
        table = pa.Table.from_batches(self._labels).unify_dictionaries()
        self._labels = table.to_batches()
        return self._labels


def document_of(source: str, row: dict[str, Any]) -> Document:
    """The document of a row of BODY, its metadata left out. Nothing is validated: it was when the row was made."""
    origin = None
    if row["file"] is not None:
        origin = Origin.model_construct(file=row["file"], start=row["start"], end=row["end"], part=row["part"])
    return Document.model_construct(
        id=row["id"], text=row["text"], source=source, licence=row["licence"], entity=row["entity"], date=row["date"],
        synthetic=row["synthetic"], origin=origin, metadata={},
    )  # fmt: skip


Found = dict[str, Spool]
"""Source to its documents."""
