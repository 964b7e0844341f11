"""The split: by entity, from a hash, so that it is the same for every source and every run with the same seed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recipes.schema import Curation

if TYPE_CHECKING:
    from data_curation.candidates import Book
    from data_curation.spool import Spool

U64 = NDArray[np.uint64]
PRETRAINING_HELDOUT_SHARE = 0.05


def place(seed: int, key: str) -> int:
    """Where a key falls among 2^64 places: uniform, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:8], "big")


def position(seed: int, key: str) -> float:
    """``place`` in [0, 1)."""
    return place(seed, key) / 2**64


def positions(places: U64) -> NDArray[np.float64]:
    """``position`` for a column of places."""
    return places.astype(np.float64) / 2.0**64


def name_hash(name: str) -> int:
    """A name in 64 bits, the same for the same name; 0 for none."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") if name else 0


def entity_key(entity: str) -> str:
    """An entity's name for comparison: case, punctuation and blanks folded."""
    return re.sub(r"[\W_]+", " ", entity.casefold()).strip() or entity


def held_out_entities(sources: Iterable[U64], seed: int, share: float) -> U64:
    """Places of the entities kept for evaluation, sorted, of each source's places of its documents' entities.

    Every source with at least two entities gets one on each side, whatever the hash says.
    """
    lists = [np.unique(places) for places in sources]
    everything = np.unique(np.concatenate([np.zeros(0, np.uint64), *lists]))
    held = everything[positions(everything) < share]
    for places in lists:
        if share > 0 and len(places) > 1 and not np.isin(places, held).any():
            held = np.union1d(held, places[:1])
        if share < 1 and len(places) > 1 and np.isin(places, held).all():
            held = np.setdiff1d(held, places[-1:])
    return held


def is_late(date: str | None, curation: Curation) -> bool:
    """Whether a document may not be trained on for its date: ``2024`` may be any day of that year."""
    return bool(curation.holdout_from and date and f"{date}~" >= curation.holdout_from)


def split(spool: Spool, held: U64, evaluate_synthetic: bool, curation: Curation, book: Book) -> None:
    """Mark the held-out side. Synthetic documents about a held-out entity go, unless they are what is measured.

    So do documents about the other entities that are too late to be trained on.
    """
    spool.heldout = np.isin(spool.facts["entity"], held)
    written = spool.heldout & spool.facts["synthetic"] & (not evaluate_synthetic)
    late = ~spool.heldout & spool.facts["late"]

    def why(number: int, document: Any) -> tuple[str, str, str]:
        if written[number]:
            return "split", "entity_held_out", f"entity {document.entity}"
        return "split", "too_late_to_train", f"{document.date}, {curation.holdout_from}"

    spool.reject(written | late, why, book)
