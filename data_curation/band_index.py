"""The index of all that one source has accepted: a new drop is compared with it without reading the old text again.

It holds band keys, content hashes, shingles, figures and ids of accepted documents, about 4 bytes a word; no text. A
drop becomes a segment, small segments are merged into one of twice the size, so what a drop costs grows with the drop
and the logarithm of the rest. The source's boilerplate is told again whenever the documents have doubled.

An index may go on from that of an earlier layer: segments that are not merged stay where they are, and are named.
What the index decides depends on the accepted documents, their drops and order alone. Across drops the document that
was accepted first stays.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from contracts.artifacts import sync
from contracts.errors import InputError
from data_curation.band_segments import U32, U64, Ints, Rows, Segment, keys_of, write_segment
from data_curation.drop_prints import Drop, boilerplate_among
from data_curation.kernel import KERNEL_VERSION
from data_curation.minhash import common_table
from data_curation.near_pairs import MOST_COMPARED, likeness_of, sets_of
from data_curation.prints import BOILERPLATE_DOCUMENTS
from recipes.schema import Curation

RECORD = "index.json"
REBUILD = "delete the layer that it lies in; the next curation makes it again from its drops"


@dataclass(frozen=True)
class Seen:
    """The accepted document that a new one repeats; Jaccard 1 and ``exact`` for the same text."""

    document: str
    drop: str
    jaccard: float
    exact: bool
    heldout: bool = False
    """The side of the split that the accepted document is on."""
    removed: bool = False
    """It was accepted no more, but asked to be removed."""


class BandIndex:
    """One source's index in a folder. One process writes at a time: the caller holds a lock."""

    def __init__(self, folder: Path, curation: Curation, layers: Mapping[str, Path] | None = None) -> None:
        """Opens the folder, or begins an empty index; ``layers`` are the folders of the earlier ones it may name.

        Raises InputError for a damaged one and for other parameters.
        """
        self.folder, self.curation, self.layers = folder, curation, layers or {}
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
        if (self.folder / RECORD).is_file():
            self._told = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        self._open_segments()
        at = self._told["common_at"]
        shingles = np.load(self.folder / f"common-{at}.npy", allow_pickle=False) if at else np.zeros(0, np.uint32)
        self.common: U32 = common_table(shingles)

    def _open_segments(self) -> None:
        """``segments`` in the record: name, and the layer that it lies in; empty for this one."""
        places = [(self.layers[layer] if layer else self.folder) / name for name, layer in self._told["segments"]]
        self.segments = [Segment(place) for place in places]

    @classmethod
    def after(cls, layer: str, folder: Path, curation: Curation, layers: Mapping[str, Path]) -> BandIndex:
        """An index in a new folder that goes on from that of ``layer``, which stays as it is."""
        before = cls(layers[layer], curation, layers)
        folder.mkdir(parents=True)
        if before._told["common_at"]:
            name = f"common-{before._told['common_at']}.npy"
            shutil.copyfile(before.folder / name, folder / name)
        told = before._told | {"segments": [[name, where or layer] for name, where in before._told["segments"]]}
        (folder / RECORD).write_text(json.dumps(told), encoding="utf-8")
        return cls(folder, curation, layers)

    @property
    def drops(self) -> list[str]:
        """Names of the accepted drops, in order."""
        return list(self._told["drops"])

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    def seen(self, drop: Drop, tell_reports_apart: bool) -> dict[int, Seen]:
        """Documents of the drop that were accepted before, exactly or nearly, and what they repeat."""
        found: dict[int, Seen] = {}
        for segment in self.segments:
            for number, old in _exact(segment, drop.rows.content):
                found.setdefault(number, self._told_of(segment, old, 1.0, exact=True))
        bands = keys_of(drop.rows.shingles, drop.rows.words, self.common, self._shape)
        for segment in self.segments:
            pairs = self._candidates(segment, drop.rows.words, bands, found.keys())
            for number, old, jaccard in self._near(segment, drop, pairs, tell_reports_apart):
                if number not in found or (not found[number].exact and found[number].jaccard < jaccard):
                    found[number] = self._told_of(segment, old, jaccard, exact=False)
        return found

    def accept(self, name: str, drop: Drop, accepted: Iterable[int]) -> None:
        """Add the accepted documents of a drop; a name that is known already changes nothing."""
        if name in self._told["drops"]:
            return
        numbers = np.fromiter(accepted, np.int64)
        at = np.full(len(drop.rows.ids), len(self._told["drops"]))
        self._told["drops"].append(name)
        self._add(replace(drop.rows, drop=at), numbers)

    def _add(self, rows: Rows, numbers: Ints) -> None:
        total = len(self) + len(numbers)
        parts, old, named = [(rows, numbers)], list(self.segments), list(self._told["segments"])
        grown = total >= max(BOILERPLATE_DOCUMENTS, 2 * self._told["common_at"])
        while old and (grown or len(old[-1]) <= 2 * sum(len(taken) for _, taken in parts)):
            last = old.pop()
            named.pop()
            parts.insert(0, (last.rows(), np.arange(len(last))))
        self.folder.mkdir(parents=True, exist_ok=True)
        if grown:
            common = boilerplate_among(parts, total)
            _save(self.folder / f"common-{total}.npy", common)
            self._told["common_at"], self.common = total, common_table(common)
        name = f"segment-{self._told['next']}"
        if len(numbers) or grown:
            write_segment(self.folder / name, parts, self.common, self._shape)
            self._told["segments"] = [*named, [name, ""]]
        self._told["next"] += 1
        self._publish()
        self._open_segments()

    def _publish(self) -> None:
        draft = self.folder / f".{RECORD}.draft"
        with draft.open("w", encoding="utf-8") as out:
            json.dump(self._told, out)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self.folder / RECORD)
        sync(self.folder)
        mine = [name for name, layer in self._told["segments"] if not layer]
        keep = {*mine, RECORD, f"common-{self._told['common_at']}.npy"}
        for left in self.folder.iterdir():
            if left.name not in keep:
                shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _near(self, segment: Segment, drop: Drop, pairs: Ints, tell_apart: bool) -> Iterator[tuple[int, int, float]]:
        if not len(pairs):
            return
        new, new_at = np.unique(pairs[:, 0], return_inverse=True)
        old, old_at = np.unique(pairs[:, 1], return_inverse=True)
        fresh, fresh_ends = drop.rows.shingles.read(new)
        stored, stored_ends = segment.shingles.read(old)
        ends = np.concatenate([fresh_ends, stored_ends + len(fresh)])
        common = common_table(np.union1d(self.common[self.common > 0], drop.common))
        sets = sets_of(np.concatenate([fresh, stored]), ends, common)
        likeness, threshold = np.zeros(len(pairs)), self.curation.near_duplicate_jaccard
        likeness_of(np.stack([new_at, old_at + len(new)], axis=1), sets, threshold, likeness)
        for (number, other), jaccard in zip(pairs.tolist(), likeness.tolist(), strict=True):
            if jaccard >= threshold and not (tell_apart and _differ(drop.rows, number, segment, other)):
                yield number, other, jaccard

    def _candidates(self, segment: Segment, words: Ints, bands: U64, known: Any) -> Ints:
        """(new, old) that share a band key, each pair once, the new ones that are not known yet."""
        asked = np.flatnonzero(words > 0)
        asked = asked[~np.isin(asked, np.fromiter(known, np.int64))]
        pairs = []
        for band in range(self.curation.bands):
            keys = bands[asked, band]
            first = np.searchsorted(segment.band_keys[band], keys, side="left")
            last = np.minimum(np.searchsorted(segment.band_keys[band], keys, side="right"), first + MOST_COMPARED)
            for at in np.flatnonzero(last > first).tolist():
                old = segment.band_order[band, first[at] : last[at]]
                pairs.append(np.stack([np.full(len(old), asked[at]), old], axis=1))
        return np.unique(np.concatenate(pairs), axis=0) if pairs else np.zeros((0, 2), np.int64)

    def _told_of(self, segment: Segment, number: int, jaccard: float, exact: bool) -> Seen:
        drop = str(self._told["drops"][int(segment.drop[number])])
        return Seen(segment.id_of(number), drop, jaccard, exact, bool(segment.heldout[number]))


def _exact(segment: Segment, content: U64) -> Iterator[tuple[int, int]]:
    first = np.searchsorted(segment.content_keys, content[:, 0], side="left")
    last = np.searchsorted(segment.content_keys, content[:, 0], side="right")
    for number in np.flatnonzero(last > first).tolist():
        for old in np.sort(segment.content_order[first[number] : last[number]]).tolist():
            if segment.content[old, 1] == content[number, 1]:
                yield number, old
                break


def _differ(new: Rows, number: int, segment: Segment, old: int) -> bool:
    """``near_pairs.differ`` of a new and an old document."""
    same_entity = new.entity[number] != 0 and new.entity[number] == segment.entity[old]
    together = same_entity or new.heldout[number] == segment.heldout[old]
    return bool(together and new.figures[number] != segment.figures[old])


def _save(path: Path, array: U32) -> None:
    with path.open("wb") as out:
        np.save(out, array, allow_pickle=False)
        out.flush()
        os.fsync(out.fileno())
