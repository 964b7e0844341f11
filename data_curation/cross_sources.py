"""Near-duplicates that stand in different sources of one run, by the rules that hold within a source.

Compared is what stays of each source. Plain text meets that of its use in every other source; documents of different
uses, and those of two sources that tasks read, meet only across the split. Exact copies are joined first. Memory is
about 160 bytes a document, and the shingles of those that share a key; cost grows with the documents.

A source's keys leave out its own boilerplate, so a form that is boilerplate in one source and none in another would
part a document from its copy. Keys are therefore asked twice: as they are, and without the boilerplate of any source.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from data_curation.cross_loop import SAME_SIDE, Told, holding, join_across, mark_candidates
from data_curation.minhash import bands_of, common_table, hash_parameters
from data_curation.near_pairs import Facts, low_bits, sets_of, shared_keys
from data_curation.prints import FAILED_PAIRS, U32, U64, Ints, Prints, exact_copies
from recipes.schema import Curation

PLAIN = ("pretraining", "replay")
"""Uses whose documents meet over the sources, on whichever side of the split."""
AT_A_TIME = 4_096
Number = TypeVar("Number", bound=np.generic)
NONE = common_table(np.zeros(0, np.uint32))


@dataclass(frozen=True)
class Compared:
    """How a source's documents are compared."""

    common: U32
    """The table of its boilerplate."""
    by_facts: bool
    """Figures tell its documents apart."""
    use: str


@dataclass(frozen=True)
class Printed:
    """One source as it is compared with the others: a row a document."""

    how: Compared
    prints: Prints
    numbers: Ints
    """Of the documents, in the source."""
    stays: NDArray[np.bool_]
    """Which have not fallen."""
    named: U64
    """``splitting.name_hash`` of the entity that the source names, 0 for none."""
    heldout: NDArray[np.bool_]


def shingle_file(folder: Path, files: ExitStack) -> BinaryIO:
    """A file without a name for the shingles of one source; ``files`` closes it."""
    return cast(BinaryIO, files.enter_context(tempfile.TemporaryFile(prefix="shingles-", dir=folder)))


def find_across(sources: Sequence[Printed], curation: Curation) -> tuple[Ints, NDArray[np.float64]]:
    """Pairs (later, earlier) of documents that repeat each other, and their Jaccard: exact copies, then verified ones.

    Documents are numbered through all sources. No pair joins what others have joined already.
    """
    told, facts, stays = _told(sources), _facts(sources), _joint([one.stays for one in sources])
    copies = _exact_copies(sources, told.kind, stays)
    stays[copies[:, 0]] = False
    usable = stays & (_joint([one.prints.words for one in sources]) > 0)
    documents, low = len(usable), low_bits(len(usable))
    parent, failed, found = np.arange(documents), np.zeros(FAILED_PAIRS, np.uint64), 0
    edges, likeness = np.zeros((documents, 2), np.int64), np.ones(documents)
    for bands in _keys(sources, curation):
        shared, compared = [], np.zeros(documents, np.bool_)
        for band in range(curation.bands):
            keys = _joint([one[:, band] for one in bands])
            shared.append(shared_keys(keys, usable, low))
            mark_candidates(shared[band], low, keys, told, facts, compared)
        place = np.cumsum(compared) - 1
        sets = sets_of(*_shingles(sources, compared), NONE)
        for band, packed in enumerate(shared):
            keys = _joint([one[:, band] for one in bands])
            found = join_across(packed, low, keys, place, sets, told, facts, curation.near_duplicate_jaccard, parent,
                                failed, edges, likeness, found)  # fmt: skip
    together = np.concatenate([copies, edges[:found]])
    return together, np.concatenate([np.ones(len(copies)), likeness[:found]])


def _told(sources: Sequence[Printed]) -> Told:
    kinds = [PLAIN.index(one.how.use) if one.how.use in PLAIN else SAME_SIDE for one in sources]
    sizes = [len(one.stays) for one in sources]
    tables = [one.how.common for one in sources]
    return Told(
        source=np.repeat(np.arange(len(sources)), sizes), kind=np.repeat(np.array(kinds, np.int64), sizes),
        by_facts=np.array([one.how.by_facts for one in sources]), boilerplate=_joint([NONE, *tables]),
        ends=np.cumsum([0, *map(len, tables)]),
    )  # fmt: skip


def _facts(sources: Sequence[Printed]) -> Facts:
    figures = [one.prints.figures for one in sources]
    return Facts(_joint([one.named for one in sources]), _joint(figures), _joint([one.heldout for one in sources]))


def _exact_copies(sources: Sequence[Printed], kind: Ints, stays: NDArray[np.bool_]) -> Ints:
    """(copy, first) of plain text of one use; what tasks read is left to the comparison."""
    content, found = np.concatenate([one.prints.content for one in sources]), [np.zeros((0, 2), np.int64)]
    for number in range(len(PLAIN)):
        members = np.flatnonzero(stays & (kind == number))
        found.append(members[exact_copies(content[members])])
    return np.concatenate(found)


def _keys(sources: Sequence[Printed], curation: Curation) -> list[list[U64]]:
    """Band keys by source: as they are, and where that changes any, without the boilerplate of all sources."""
    own = [one.prints.bands for one in sources]
    union = np.unique(_joint([one.how.common for one in sources]))
    union = union[union > 0]
    further = [_rehashed(one, union, curation) for one in sources]
    return [own] if all(one is other for one, other in zip(own, further, strict=True)) else [own, further]


def _rehashed(one: Printed, union: U32, curation: Curation) -> U64:
    """The keys of a source without the boilerplate ``union``; the same array where no document holds any of it."""
    foreign, bands = common_table(np.setdiff1d(union, one.how.common)), one.prints.bands
    table, factors = common_table(union), hash_parameters(curation.bands * curation.rows)
    numbers = np.flatnonzero(one.stays) if len(foreign) else np.zeros(0, np.int64)
    for start in range(0, len(numbers), AT_A_TIME):
        some = numbers[start : start + AT_A_TIME]
        shingles, ends = one.prints.store.read(some)
        held = np.zeros(len(some), np.bool_)
        holding(shingles, ends, foreign, held)
        if held.any():
            bands = bands.copy() if bands is one.prints.bands else bands
            some = some[held]
            shingles, ends = one.prints.store.read(some)
            keys = np.zeros((len(some), curation.bands), np.uint64)
            bands_of(shingles, ends, table, *factors, curation.rows, keys, one.prints.words[some])
            bands[some] = keys
    return bands


def _shingles(sources: Sequence[Printed], compared: NDArray[np.bool_]) -> tuple[U32, Ints]:
    """The shingles of the documents that are compared, and where each one's end."""
    shingles, ends, start, total = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)], 0, 0
    for one in sources:
        found, stops = one.prints.store.read(np.flatnonzero(compared[start : start + len(one.stays)]))
        shingles.append(found)
        ends.append(stops + total)
        start, total = start + len(one.stays), total + len(found)
    return np.concatenate(shingles), np.concatenate(ends)


def _joint(columns: Sequence[NDArray[Number]]) -> NDArray[Number]:
    return np.concatenate(columns)
