"""Documents in a list, as the readers of files would give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from data_curation.candidates import Candidate
from data_curation.drop_prints import Batch
from data_curation.kernel import texts_of
from data_curation.splitting import name_hash


def entity_hashes(candidates: Iterable[Candidate]) -> NDArray[np.uint64]:
    """One uint64 a candidate that names an entity, the same for the same name; 0 for the others."""
    return np.array([name_hash(one.document.entity) if one.named_entity else 0 for one in candidates], np.uint64)


def batches_of(candidates: list[Candidate], size: int = 5) -> Iterator[Batch]:
    """Candidates, some at a time."""
    for start in range(0, len(candidates), size):
        some = candidates[start : start + size]
        heldout = np.array([one.heldout for one in some], np.bool_)
        texts = texts_of([one.document.text for one in some])
        yield Batch([one.document.id for one in some], texts, entity_hashes(some), heldout)
