"""The index of all that one source has accepted: a new drop is compared with it without reading the old text again.

It holds band keys, content hashes, shingles, figures and ids of accepted documents, about 4 bytes a word; no text. A
drop becomes a segment, small segments are merged into one of twice the size, so what a drop costs grows with the drop
and the logarithm of the rest. The source's boilerplate is told again whenever the documents have doubled.

What the index decides depends on the accepted documents, their drops and order alone: deleted and built again from them
(``rebuild``) it decides the same. Across drops the document that was accepted first stays.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from contracts.artifacts import sync
from contracts.errors import InputError
from data_curation.band_segments import U32, U64, Ints, Rows, Segment, write_segment
from data_curation.candidates import Candidate
from data_curation.duplicates import entity_hashes
from data_curation.kernel import KERNEL_VERSION, texts_of, wanted
from data_curation.minhash import common_table
from data_curation.near_pairs import MOST_COMPARED, likeness_of, sets_of
from data_curation.prints import (
    BATCH_DOCUMENTS,
    BOILERPLATE_DOCUMENTS,
    BOILERPLATE_SAMPLE,
    BOILERPLATE_SHARE,
    Prints,
    prints_of,
)  # fmt: skip
from recipes.schema import Curation

REBUILD = "delete it; it is built again from the accepted documents"


@dataclass(frozen=True)
class Seen:
    """The accepted document that a new one repeats; Jaccard 1 and ``exact`` for the same text."""

    document: str
    drop: str
    jaccard: float
    exact: bool


@dataclass(frozen=True)
class Drop:
    """Documents of a drop as the index reads them, in reading order."""

    ids: list[str]
    prints: Prints
    entity: U64
    heldout: Any


class BandIndex:
    """One source's index in a folder. One process writes at a time: the caller holds a lock."""

    def __init__(self, folder: Path, curation: Curation) -> None:
        """Opens the folder, or begins an empty index. Raises InputError for a damaged one and for other parameters."""
        self.folder, self.curation = folder, curation
        self._shape = (curation.bands, curation.rows)
        made = {"kernel": KERNEL_VERSION, "shingle_words": curation.shingle_words, "bands_rows": list(self._shape)}
        self._told: dict[str, Any] = {"made": made, "drops": [], "segments": [], "common_at": 0, "next": 0}
        try:
            self._open()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(str(folder), "is no whole index", got=repr(error), hint=REBUILD) from None
        if self._told["made"] != made:
            raise InputError(str(folder), f"is an index of other parameters than {made}", got=self._told["made"],
                             hint=REBUILD)  # fmt: skip

    def _open(self) -> None:
        if (self.folder / "index.json").is_file():
            self._told = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
        self.segments = [Segment(self.folder / name) for name in self._told["segments"]]
        none, at = np.zeros(0, np.uint32), self._told["common_at"]
        self.common: U32 = common_table(np.load(self.folder / f"common-{at}.npy", allow_pickle=False) if at else none)

    @property
    def drops(self) -> list[str]:
        """Names of the accepted drops, in order."""
        return list(self._told["drops"])

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    @contextmanager
    def read(self, candidates: list[Candidate], workers: int = 1) -> Iterator[Drop]:
        """What the index needs of a drop's documents; their shingles lie in a temporary file meanwhile."""
        texts = texts_of([one.document.text for one in candidates])
        batches = (texts.slice(start, BATCH_DOCUMENTS) for start in range(0, len(texts), BATCH_DOCUMENTS))
        with tempfile.TemporaryFile(prefix="shingles-") as file:
            prints = prints_of(batches, wanted(self.curation, common=self.common), cast(BinaryIO, file), workers)
            heldout = np.array([one.heldout for one in candidates], np.bool_)
            yield Drop([one.document.id for one in candidates], prints, entity_hashes(candidates), heldout)

    def seen(self, drop: Drop, tell_reports_apart: bool) -> dict[int, Seen]:
        """Documents of the drop that were accepted before, exactly or nearly, and what they repeat."""
        found: dict[int, Seen] = {}
        for segment in self.segments:
            for number, old in _exact(segment, drop.prints.content):
                found.setdefault(number, Seen(segment.id_of(old), self._drop_of(segment, old), 1.0, exact=True))
        for segment in self.segments:
            for number, old, jaccard in self._near(segment, drop, found.keys(), tell_reports_apart):
                if number not in found or (not found[number].exact and found[number].jaccard < jaccard):
                    found[number] = Seen(segment.id_of(old), self._drop_of(segment, old), jaccard, exact=False)
        return found

    def accept(self, name: str, drop: Drop, accepted: Iterable[int]) -> None:
        """Add the accepted documents of a drop; a name that is known already changes nothing."""
        if name in self._told["drops"]:
            return
        numbers = np.fromiter(accepted, np.int64)
        prints, at = drop.prints, len(self._told["drops"])
        rows = Rows(drop.ids, np.full(len(drop.ids), at), prints.content, prints.words, prints.figures, drop.entity,
                    drop.heldout, prints.store)  # fmt: skip
        self._told["drops"].append(name)
        self._add(rows, numbers)

    def _add(self, rows: Rows, numbers: Ints) -> None:
        total = len(self) + len(numbers)
        parts, old = [(rows, numbers)], list(self.segments)
        grown = total >= max(BOILERPLATE_DOCUMENTS, 2 * self._told["common_at"])
        while old and (grown or len(old[-1]) <= 2 * sum(len(taken) for _, taken in parts)):
            last = old.pop()
            parts.insert(0, (last.rows(), np.arange(len(last))))
        self.folder.mkdir(parents=True, exist_ok=True)
        if grown:
            common = _boilerplate(parts, total)
            _save(self.folder / f"common-{total}.npy", common)
            self._told["common_at"], self.common = total, common_table(common)
        name = f"segment-{self._told['next']}"
        if len(numbers) or grown:
            write_segment(self.folder / name, parts, self.common, self._shape)
            self._told["segments"] = [one.folder.name for one in old] + [name]
        self._told["next"] += 1
        self._publish()
        self.segments = [Segment(self.folder / one) for one in self._told["segments"]]

    def _publish(self) -> None:
        draft = self.folder / ".index.json.draft"
        with draft.open("w", encoding="utf-8") as out:
            json.dump(self._told, out)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self.folder / "index.json")
        sync(self.folder)
        keep = {*self._told["segments"], "index.json", f"common-{self._told['common_at']}.npy"}
        for left in self.folder.iterdir():
            if left.name not in keep:
                shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _near(self, segment: Segment, drop: Drop, known: Any, tell_apart: bool) -> Iterator[tuple[int, int, float]]:
        pairs = _candidates(segment, drop.prints, known)
        if not len(pairs):
            return
        new, new_at = np.unique(pairs[:, 0], return_inverse=True)
        old, old_at = np.unique(pairs[:, 1], return_inverse=True)
        fresh, fresh_ends = drop.prints.store.read(new)
        stored, stored_ends = segment.shingles.read(old)
        ends = np.concatenate([fresh_ends, stored_ends + len(fresh)])
        sets = sets_of(np.concatenate([fresh, stored]), ends, self.common)
        likeness, threshold = np.zeros(len(pairs)), self.curation.near_duplicate_jaccard
        likeness_of(np.stack([new_at, old_at + len(new)], axis=1), sets, threshold, likeness)
        for (number, other), jaccard in zip(pairs.tolist(), likeness.tolist(), strict=True):
            if jaccard >= threshold and not (tell_apart and _differ(drop, number, segment, other)):
                yield number, other, jaccard

    def _drop_of(self, segment: Segment, number: int) -> str:
        return str(self._told["drops"][int(segment.drop[number])])


def rebuild(folder: Path, curation: Curation, drops: Iterable[tuple[str, list[Candidate]]]) -> BandIndex:
    """The index anew from the accepted documents of every drop, in the order in which the drops were accepted."""
    draft = _draft_of(folder)
    index = BandIndex(draft, curation)
    for name, candidates in drops:
        with index.read(candidates) as drop:
            index.accept(name, drop, range(len(candidates)))
    return _put(draft, folder, curation)


def forget(folder: Path, curation: Curation, ids: set[str]) -> BandIndex:
    """The index anew as if the documents of ``ids`` had never been accepted."""
    index = BandIndex(folder, curation)
    draft = _draft_of(folder)
    anew = BandIndex(draft, curation)
    for at, name in enumerate(index.drops):
        anew._told["drops"].append(name)
        for segment in index.segments:
            of_drop = np.flatnonzero(segment.drop == at)
            if len(of_drop):
                kept = [number for number in of_drop.tolist() if segment.id_of(number) not in ids]
                anew._add(segment.rows(), np.array(kept, np.int64))
    draft.mkdir(parents=True, exist_ok=True)
    anew._publish()
    return _put(draft, folder, curation)


def _draft_of(folder: Path) -> Path:
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    return draft


def _put(draft: Path, folder: Path, curation: Curation) -> BandIndex:
    draft.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    sync(folder.parent)
    return BandIndex(folder, curation)


def _exact(segment: Segment, content: U64) -> Iterator[tuple[int, int]]:
    first = np.searchsorted(segment.content_keys, content[:, 0], side="left")
    last = np.searchsorted(segment.content_keys, content[:, 0], side="right")
    for number in np.flatnonzero(last > first).tolist():
        for old in np.sort(segment.content_order[first[number] : last[number]]).tolist():
            if segment.content[old, 1] == content[number, 1]:
                yield number, old
                break


def _candidates(segment: Segment, prints: Prints, known: Any) -> Ints:
    """(new, old) that share a band key, each pair once, the new ones that are not known yet."""
    asked = np.flatnonzero(prints.words > 0)
    asked = asked[~np.isin(asked, np.fromiter(known, np.int64))]
    pairs: list[Ints] = []
    for band in range(prints.bands.shape[1]):
        keys = prints.bands[asked, band]
        first = np.searchsorted(segment.band_keys[band], keys, side="left")
        last = np.minimum(np.searchsorted(segment.band_keys[band], keys, side="right"), first + MOST_COMPARED)
        for at in np.flatnonzero(last > first).tolist():
            old = segment.band_order[band, first[at] : last[at]]
            pairs.append(np.stack([np.full(len(old), asked[at]), old], axis=1))
    return np.unique(np.concatenate(pairs), axis=0) if pairs else np.zeros((0, 2), np.int64)


def _differ(drop: Drop, number: int, segment: Segment, old: int) -> bool:
    """``near_pairs.differ`` of a new and an old document."""
    same_entity = drop.entity[number] != 0 and drop.entity[number] == segment.entity[old]
    together = same_entity or drop.heldout[number] == segment.heldout[old]
    return bool(together and drop.prints.figures[number] != segment.figures[old])


def _boilerplate(parts: list[tuple[Rows, Ints]], total: int) -> U32:
    """Shingles in many of the accepted documents, or in many of a sample of them."""
    wanted_rows = np.unique(np.linspace(0, total - 1, min(total, BOILERPLATE_SAMPLE)).astype(np.int64))
    empty, before, wholes = common_table(np.zeros(0, np.uint32)), 0, []
    for rows, numbers in parts:
        here = wanted_rows[(wanted_rows >= before) & (wanted_rows < before + len(numbers))] - before
        wholes.append(sets_of(*rows.shingles.read(numbers[here]), empty).whole)
        before += len(numbers)
    shingles, counts = np.unique(np.concatenate(wholes), return_counts=True)
    return np.asarray(shingles[counts > BOILERPLATE_SHARE * len(wanted_rows)], np.uint32)


def _save(path: Path, array: U32) -> None:
    with path.open("wb") as out:
        np.save(out, array, allow_pickle=False)
        out.flush()
        os.fsync(out.fileno())
