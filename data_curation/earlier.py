"""What the earlier layers of an inbox leave for a new one: nothing of their text is read.

A layer is the curated artifact of the drops that came together. Its folder ``index`` holds what the next layer needs:
the band index of every kin of sources, the exam so far, and the entities of both sides of the split. So a new layer
costs what its own drops cost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from contracts.artifacts import Artifact
from contracts.documents import ChatExample, read_jsonl
from contracts.errors import InputError
from data_curation.band_index import REBUILD, RECORD, BandIndex, Seen
from data_curation.band_segments import U64
from data_curation.drop_prints import Batch, Drop, drop_of, key_of
from data_curation.layer_inputs import layers_of
from data_curation.text_steps import Reason
from recipes.schema import Curation

FOLDER = "index"
STATE, EXAM, HELD, TRAINED, REMOVED = "state.json", "exam.jsonl", "held.npy", "trained.npy", "removed.json"


@dataclass(frozen=True)
class Kin:
    """Sources whose documents are compared with each other over the layers."""

    layer: str
    """Fingerprint of the layer that wrote the index last; empty for the one under way."""
    use: str
    by_facts: bool
    """Whether figures tell its documents apart."""


@dataclass(frozen=True)
class Earlier:
    """The earlier layers; without any, everything is empty and nothing is found."""

    layers: Mapping[str, Path] = field(default_factory=dict)
    """Fingerprint to folder, in order."""
    kins: Mapping[str, Kin] = field(default_factory=dict)
    exam: tuple[ChatExample, ...] = ()
    held: U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    """Places (``splitting.place``) of entities that are kept for evaluation, sorted."""
    trained: U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    """Of those that are trained on."""

    removed: Mapping[str, str] = field(default_factory=dict)
    """Content of documents that were asked to be removed, to their ids: their copies stay out too."""

    @property
    def examined(self) -> set[str]:
        """Tasks that have evaluation items: the exam does not change with what comes later."""
        return {one.task for one in self.exam}

    def settled(self, held: U64, named: U64) -> U64:
        """Places of this layer's held-out entities, sorted: one that was met before keeps its side.

        ``held`` as this layer alone would have it; ``named`` are the places of the entities that its documents name.
        """
        trained, before = np.intersect1d(named, self.trained), np.intersect1d(named, self.held)
        return np.union1d(np.setdiff1d(held, trained), before)

    def known(
        self, batches: Iterable[Batch], use: str, by_facts: bool, curation: Curation, removed: Mapping[str, str]
    ) -> dict[int, Seen]:
        """Documents of one source, by number, that an earlier layer accepted, or that are exact copies of ``removed``.

        Documents of different uses meet only across the split, as in one corpus.
        """
        found: dict[int, Seen] = {}
        gone = {**self.removed, **removed}
        if not self.kins and not gone:
            return found
        with drop_of(batches, curation) as drop:
            keys = (key_of(content) for content in drop.rows.content) if gone else ()
            found.update({number: Seen(gone[key], "", 1.0, exact=True, removed=True)
                          for number, key in enumerate(keys) if key in gone})  # fmt: skip
            for name, kin in self.kins.items():
                index = BandIndex(self.layers[kin.layer] / FOLDER / name, curation, self._folders(name))
                for number, seen in index.seen(drop, by_facts or kin.by_facts).items():
                    matters = kin.use == use or seen.heldout != drop.rows.heldout[number]
                    if matters and (number not in found or found[number].jaccard < seen.jaccard):
                        found[number] = seen
        return found

    def accept(self, name: str, kin: Kin, drops: Iterable[tuple[str, Drop]], folder: Path, curation: Curation) -> bool:
        """Add accepted documents to the index of a kin, in ``folder``; False where there are none."""
        index: BandIndex | None = None
        for drop_name, drop in drops:
            if drop.rows.ids and index is None:
                index = self._continued(name, folder, curation)
            if drop.rows.ids and index is not None:
                index.accept(drop_name, drop, range(len(drop.rows.ids)))
        return index is not None

    def _continued(self, name: str, folder: Path, curation: Curation) -> BandIndex:
        if name not in self.kins:
            return BandIndex(folder, curation)
        return BandIndex.after(self.kins[name].layer, folder, curation, self._folders(name))

    def _folders(self, kin: str) -> dict[str, Path]:
        return {layer: folder / FOLDER / kin for layer, folder in self.layers.items()}


def verdict(seen: Seen, heldout: bool) -> Reason:
    """Why a document falls that an earlier layer accepted; ``heldout`` is its own side of the split."""
    if seen.removed:
        return "removal", "removal_requested", f"an exact copy of {seen.document}"
    if seen.exact:
        return "duplicates", "exact_duplicate", f"of {seen.document}; accepted in drop {seen.drop}"
    crossed = f"near_duplicate_of_{'evaluation' if seen.heldout else 'training'}"
    told = f"of {seen.document}; Jaccard {seen.jaccard:.3f}; accepted in drop {seen.drop}"
    return "duplicates", crossed if seen.heldout != heldout else "near_duplicate", told


def earlier_of(inputs: Mapping[str, Artifact]) -> Earlier:
    """What the layers among a stage's inputs leave. Raises InputError for a layer without a whole index."""
    layers = layers_of(inputs)
    if not layers:
        return Earlier()
    last, layers_by_name = layers[-1], {one.fingerprint: one.path for one in layers}
    folder = last.path / FOLDER
    try:
        told: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
        kins = {name: Kin(**one | {"layer": one["layer"] or last.fingerprint}) for name, one in told["kins"].items()}
        for name, kin in kins.items():
            (layers_by_name[kin.layer] / FOLDER / name / RECORD).stat()
        held, trained = (np.load(folder / name, allow_pickle=False) for name in (HELD, TRAINED))
        exam = tuple(read_jsonl(folder / EXAM, ChatExample))
        removed: dict[str, str] = json.loads((folder / REMOVED).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(folder), "is no whole index", got=repr(error), hint=REBUILD) from None
    return Earlier(layers_by_name, kins, exam, held, trained, removed)
