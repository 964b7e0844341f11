"""How good the texts are, for the card: documents by tenths of a few measures, from the quality rules' counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
MEASURES: Mapping[str, tuple[str, str, float]] = {
    "words with a letter": ("alphabetic_words", "words", 1),
    "letters a word": ("word_characters", "words", 10),
    "common English words, of eight": ("stop_words", "", 10),
    "lines that end a sentence": ("terminal_lines", "lines", 1),
    "lines that stood before": ("duplicate_lines", "lines", 1),
    "repeated runs of five words": ("duplicate_5gram_characters", "characters", 1),
    "signs, neither letter nor digit": ("symbol_characters", "visible_characters", 1),
}
"""Measure to the count, what it is a share of, and where its last tenth ends."""


def binned(rows: NDArray[Any], fell: NDArray[np.bool_]) -> Counter[str]:
    """Documents by ``measure:bin`` of texts whose counts (``text_statistics.ROW``) these are; those that ``fell`` to a
    quality rule have bins of their own, behind the others. Larger values than the last tenth are in it."""
    found: Counter[str] = Counter()
    for name, (of, per, end) in MEASURES.items():
        values = rows[of] / np.maximum(rows[per], 1) if per else rows[of]
        places = np.minimum((values * (BINS / end)).astype(np.int64), BINS - 1) + BINS * fell
        for place, documents in enumerate(np.bincount(places, minlength=2 * BINS).tolist()):
            if documents:
                found[f"{name}:{place}"] = documents
    return found


def bins_of(tally: Mapping[str, int]) -> dict[str, list[int]]:
    """Measure to its documents by bin; a measure without any is left out."""
    lists = {name: [tally.get(f"{name}:{place}", 0) for place in range(2 * BINS)] for name in MEASURES}
    return {name: bins for name, bins in lists.items() if any(bins)}
