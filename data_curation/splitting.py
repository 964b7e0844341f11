"""The split: by entity, from a hash, so that it is the same for every source and every run with the same seed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace

from data_curation.candidates import Book, Candidate
from data_curation.duplicates import Clusters, Pair
from recipes.schema import Curation

PRETRAINING_HELDOUT_SHARE = 0.05


def place(seed: int, key: str) -> int:
    """Where a key falls among 2^64 places: uniform, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:8], "big")


def position(seed: int, key: str) -> float:
    """``place`` in [0, 1)."""
    return place(seed, key) / 2**64


def entity_key(entity: str) -> str:
    """An entity's name for comparison: case, punctuation and blanks folded."""
    return re.sub(r"[\W_]+", " ", entity.casefold()).strip() or entity


def held_out_entities(sources: Iterable[list[Candidate]], seed: int, share: float) -> set[str]:
    """Keys of the entities kept for evaluation.

    Every source with at least two entities gets one on each side, whatever the hash says.
    """
    lists = [sorted({entity_key(c.document.entity) for c in candidates}) for candidates in sources]
    held = {key for keys in lists for key in keys if position(seed, key) < share}
    for keys in lists:
        if share > 0 and len(keys) > 1 and not held & set(keys):
            held.add(min(keys, key=lambda key: position(seed, key)))
        if share < 1 and len(keys) > 1 and set(keys) <= held:
            held.remove(max(keys, key=lambda key: position(seed, key)))
    return held


def is_late(date: str | None, curation: Curation) -> bool:
    """Whether a document may not be trained on for its date: ``2024`` may be any day of that year."""
    return bool(curation.holdout_from and date and f"{date}~" >= curation.holdout_from)


def split(
    candidates: list[Candidate], held: set[str], evaluate_synthetic: bool, curation: Curation, book: Book
) -> list[Candidate]:
    """Mark the held-out side. Synthetic documents about a held-out entity go, unless they are what is measured.

    So do documents about the other entities that are too late to be trained on.
    """
    kept: list[Candidate] = []
    for candidate in candidates:
        heldout = entity_key(candidate.document.entity) in held
        if heldout and candidate.document.synthetic and not evaluate_synthetic:
            book.reject(candidate, "split", "entity_held_out", f"entity {candidate.document.entity}")
        elif not heldout and is_late(candidate.document.date, curation):
            book.reject(candidate, "split", "too_late_to_train", f"{candidate.document.date}, {curation.holdout_from}")
        else:
            kept.append(replace(candidate, heldout=heldout))
    return kept


def drop_near_duplicates(
    candidates: list[Candidate], clusters: Clusters, book: Book
) -> tuple[list[Candidate], list[Pair]]:
    """One document a cluster stays: its first held-out one, else its keeper. Returns the rest and the pairs dropped."""
    dropped: set[int] = set()
    pairs: list[Pair] = []
    for group, best in zip(clusters.groups, clusters.keepers, strict=True):
        keeper = next((number for number in group if candidates[number].heldout), best)
        kept = candidates[keeper]
        for number in group:
            if number == keeper:
                continue
            crosses = kept.heldout and not candidates[number].heldout
            near, jaccard = clusters.similarity[number]
            reason = "near_duplicate_of_evaluation" if crosses else "near_duplicate"
            detail = f"of {kept.document.id}; Jaccard {jaccard:.3f} with {candidates[near].document.id}"
            book.reject(candidates[number], "duplicates", reason, detail)
            pairs.append((kept.document.id, candidates[number].document.id, round(jaccard, 4)))
            dropped.add(number)
    return [one for number, one in enumerate(candidates) if number not in dropped], pairs
