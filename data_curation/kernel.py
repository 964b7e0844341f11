"""The kernel of curation: one pass over a batch of texts in Arrow, and everything that later steps need of each text.

Texts stay bytes: no Python string is made. A batch gives a content hash, MinHash band keys, shingles, n-grams of
evaluation texts, a hash of the text's numbers and, where wanted, the counts of ``text_statistics``. What a document
gets depends on its own bytes and on ``Wanted`` alone, so any cut into batches and any number of workers gives the same;
every runner calls ``scan``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_curation.letters import letters
from data_curation.minhash import common_table, hash_parameters
from data_curation.ngram_table import NgramTable, no_ngrams
from data_curation.scan_loop import ROOM, Room, ngram_hashes, scan_documents, word_sums
from data_curation.sorting import STARTS
from data_curation.text_measures import measure_documents
from data_curation.text_statistics import ROW

if TYPE_CHECKING:
    from recipes.schema import Curation

Bytes = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]
KERNEL_VERSION = 1
"""Raised when any hash changes: what is kept on disk from another version is no use."""
HIT = np.dtype([("document", "<i8"), ("word", "<i8"), ("size", "<i8"), ("slot", "<i8")])
HITS_AT_FIRST = 4_096
MOST_KEPT_BYTES = 1 << 24
"""Room that a thread keeps for its next batch; what a larger text takes is given back."""


@dataclass(frozen=True)
class Wanted:
    """What the kernel shall find. ``common`` is a table of boilerplate shingles (``minhash.common_table``)."""

    shingle_words: int = 5
    bands: int = 14
    rows: int = 8
    """No bands: no band keys. No shingle words: no shingles either."""
    common: U32 = field(default_factory=lambda: common_table(np.zeros(0, np.uint32)))
    ngrams: NgramTable = field(default_factory=no_ngrams)
    figures: bool = True
    statistics: bool = False


@dataclass(frozen=True)
class Scan:
    """What was found, one row a document in the order given."""

    content: U64
    """(documents, 2): 128 bits of the folded text; equal ones are exact duplicates. Not made to stand an attacker."""
    words: Ints
    bands: U64
    """(documents, bands); meaningless where ``words`` is 0."""
    shingles: U32
    """Of all documents one after the other, in reading order, with repeats."""
    shingle_ends: Ints
    """Where each document's shingles end in ``shingles``."""
    figures: U64
    """Equal for texts with the same set of numbers; 0 for none or where not wanted."""
    hits: NDArray[Any]
    """Records of ``HIT``: document, first word, size and slot in the table's keys, ordered by the first three."""
    statistics: NDArray[Any]
    """Rows of ``text_statistics.ROW``; empty where not wanted."""

    def shingles_of(self, document: int) -> U32:
        """A document's shingles, in reading order."""
        return self.shingles[self.shingle_ends[document - 1] if document else 0 : self.shingle_ends[document]]


def wanted(curation: Curation, **more: Any) -> Wanted:
    """The recipe's shingles and bands."""
    return Wanted(curation.shingle_words, curation.bands, curation.rows, **more)


def scan(texts: pa.Array | pa.ChunkedArray, what: Wanted) -> Scan:
    """The pass over one batch, in the calling thread. A null counts as an empty text."""
    data, offsets = buffers_of(texts)
    documents = len(offsets) - 1
    factors, addends = hash_parameters(what.bands * what.rows)
    size = int(offsets[-1] - offsets[0])
    content, words = np.zeros((documents, 2), np.uint64), np.zeros(documents, np.int64)
    bands, figures = np.zeros((documents, what.bands), np.uint64), np.zeros(documents, np.uint64)
    shingles = _WORKPLACE.room("shingles", np.uint32, size // 2 + documents + 1 if what.shingle_words else 0)
    ends = np.zeros(documents, np.int64)
    room: Any = _room(int(np.diff(offsets).max(initial=0)), what)
    most = HITS_AT_FIRST if what.ngrams.sizes.size else 1
    while True:
        hits = np.zeros((most, 4), np.int64)
        found = scan_documents(
            data, offsets, *letters(), what.shingle_words, factors, addends, what.rows, what.common, what.ngrams.keys,
            what.ngrams.bits, what.ngrams.sizes, what.figures, content, words, bands, shingles, ends,
            figures, hits, *room,
        )  # fmt: skip
        if found <= most:
            break
        most = found
    kept = shingles[: ends[-1] if documents and what.shingle_words else 0].copy()
    records = hits[:found].view(HIT).reshape(-1)
    if found:
        records = records[np.lexsort((records["size"], records["word"], records["document"]))]
    statistics = counts_of(texts) if what.statistics else np.zeros(0, ROW)
    return Scan(content, words, bands, kept, ends, figures, records, statistics)


class _Workplace(threading.local):
    """A thread's arrays to work in: fresh ones for each batch would cost the system a page fault every 4 KiB."""

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[Any]] = {}

    def room(self, name: str, kind: type[Any], length: int) -> NDArray[Any]:
        """An array of at least ``length``, with anything in it, until the next call with this name."""
        found = self._kept.get(name)
        if found is None or len(found) < length:
            found = np.empty(length, kind)
            if found.nbytes <= MOST_KEPT_BYTES:
                self._kept[name] = found
        return found


_WORKPLACE = _Workplace()


def _room(longest: int, what: Wanted) -> Room:
    """For texts of at most ``longest`` bytes."""
    words, room = longest // 2 + 16, _WORKPLACE.room
    return Room(
        sums=room("sums", np.uint64, 2 * words if what.figures else words),
        own=room("own", np.uint32, words if what.common.size else 0),
        pieces=room("pieces", np.uint8, 3 * ROOM).reshape(3, ROOM),
        bounds=room("bounds", np.int32, ROOM),
        low=np.empty(what.bands * what.rows, np.uint32),
        starts=room("starts", np.int64, STARTS),
    )


def counts_of(texts: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """The counts of ``text_statistics`` alone: a row of ``ROW`` for each text."""
    data, offsets = buffers_of(texts)
    rows = np.zeros(len(offsets) - 1, ROW)
    measure_documents(data, offsets, letters().kind, rows.view(np.int32).reshape(len(rows), rows.itemsize // 4))
    return rows


def scan_all(batches: Iterable[pa.Array], what: Wanted, workers: int = 1) -> Iterator[Scan]:
    """``scan`` of each batch, in order, on a pool of threads; at most two batches a worker are held at a time."""
    if workers <= 1:
        yield from (scan(batch, what) for batch in batches)
        return
    under_way: deque[Future[Scan]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="scan") as pool:
        for batch in batches:
            under_way.append(pool.submit(scan, batch, what))
            if len(under_way) >= 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def texts_of(strings: Sequence[str]) -> pa.Array:
    """Strings as the kernel reads them; half a surrogate pair, which UTF-8 cannot say, becomes ``?``."""
    try:
        return pa.array(strings, pa.large_string())
    except UnicodeEncodeError:
        return pa.array([one.encode(errors="replace").decode() for one in strings], pa.large_string())


def buffers_of(texts: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Ints]:
    """The bytes of all texts and where each begins and ends (one offset more than there are texts)."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0)
    if texts.type != pa.large_string():
        texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    _, offset_buffer, data_buffer = texts.buffers()
    if not len(texts) or data_buffer is None:
        return np.frombuffer(b" ", np.uint8), np.frombuffer(bytes(8 * len(texts) + 8), np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64, len(texts) + 1, texts.offset * 8)
    data = np.frombuffer(data_buffer, np.uint8)
    # Arrow's buffers can be written now and then: a loop would be compiled for both kinds.
    data.flags.writeable = offsets.flags.writeable = False
    return data, offsets


def ngrams_of(text: str, size: int) -> U64:
    """Hashes of the n-grams of ``size`` words of a text, in reading order, as ``Wanted.ngrams`` holds them."""
    return np.asarray(ngram_hashes(_sums(text), size))


def _sums(text: str) -> U64:
    data = np.frombuffer(text.encode(errors="replace") or b" ", np.uint8)
    return np.asarray(word_sums(data, 0, data.size, *letters()))
