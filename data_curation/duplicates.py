"""Near-duplicates by MinHash on word shingles; every candidate pair is verified by its true Jaccard similarity.

Filings, leases and listings share most of their words. So a pair must be alike twice: in all of its shingles, and in
those that are not its source's boilerplate (shingles that stand in many of the source's documents). The first alone
joins two filers on one form, the second alone joins one filer's yearly and quarterly report. A source that would lose
more than its ceiling fails.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass

from datasketch import MinHash, MinHashLSH

from contracts.answers import numbers
from contracts.errors import GateError
from data_curation.candidates import Candidate
from recipes.schema import Curation

WORD = re.compile(r"\w+")
BOILERPLATE_SHARE = 0.2
"""A shingle in more than this share of a source's documents is boilerplate."""
BOILERPLATE_DOCUMENTS = 10
"""Sources below this size have too few documents to tell."""
LEAST_SHINGLES = 5
"""A document with fewer of its own is compared with its boilerplate."""
Pair = tuple[str, str, float]


@dataclass(frozen=True)
class Clusters:
    """Groups of indices into the candidates, each in reading order, and the verified pairs that joined them."""

    groups: list[list[int]]
    similarity: dict[int, tuple[int, float]]
    """Every member to one that it resembles, and how much."""


def word_hashes(text: str, size: int) -> set[int]:
    """64-bit hashes of the word n-grams of a text; a text shorter than ``size`` gives one, of all its words."""
    words = WORD.findall(text.casefold())
    spans = (" ".join(words[start : start + size]) for start in range(max(1, len(words) - size + 1)))
    return {int.from_bytes(hashlib.blake2b(span.encode(), digest_size=8).digest(), "big") for span in spans}


def find_clusters(candidates: list[Candidate], curation: Curation, tell_reports_apart: bool) -> Clusters:
    """Near-duplicates among the candidates of one source.

    ``tell_reports_apart``, for sources that tasks read: two documents about one named entity with different figures are
    two reports, not copies, however alike their wording. They always lie on the same side of the split.
    """
    whole = [word_hashes(c.document.text, curation.shingle_words) for c in candidates]
    shingles = _own_shingles(whole)
    index = MinHashLSH(params=(curation.bands, curation.rows), num_perm=curation.bands * curation.rows)
    parent = list(range(len(candidates)))
    similarity: dict[int, tuple[int, float]] = {}
    for number, own in enumerate(shingles):
        print_of = MinHash(num_perm=curation.bands * curation.rows, hashfunc=lambda value: value & 0xFFFFFFFF)
        print_of.update_batch(list(own))
        for other in sorted(index.query(print_of)):
            jaccard = min(_jaccard(own, shingles[other]), _jaccard(whole[number], whole[other]))
            apart = tell_reports_apart and _are_two_reports(candidates[number], candidates[other])
            if jaccard >= curation.near_duplicate_jaccard and not apart:
                similarity.setdefault(number, (other, jaccard))
                similarity.setdefault(other, (number, jaccard))
                low, high = sorted((_root(parent, number), _root(parent, other)))
                parent[high] = low
        index.insert(number, print_of, check_duplication=False)
    groups: dict[int, list[int]] = {}
    for number in range(len(candidates)):
        groups.setdefault(_root(parent, number), []).append(number)
    return Clusters([group for group in groups.values() if len(group) > 1], similarity)


def refuse_collapse(source: str, removed: int, total: int, curation: Curation) -> None:
    """Raises GateError when near-duplicates would take more than the ceiling of a source."""
    if total and removed / total > curation.removal_ceiling:
        raise GateError(
            f"source {source}",
            f"would lose more than {curation.removal_ceiling:.0%} of its documents to near-duplicates",
            got=f"{removed} of {total}",
            hint="drop the form's boilerplate (drop_lines, cut_before) or raise curation.near_duplicate_jaccard; raise "
            "curation.removal_ceiling only once a person has looked at the duplicates",
        )


def _own_shingles(shingles: list[set[int]]) -> list[set[int]]:
    if len(shingles) < BOILERPLATE_DOCUMENTS:
        return shingles
    spread = Counter(one for own in shingles for one in own)
    common = {one for one, count in spread.items() if count > BOILERPLATE_SHARE * len(shingles)}
    return [own - common if len(own - common) >= LEAST_SHINGLES else own for own in shingles]


def _are_two_reports(one: Candidate, other: Candidate) -> bool:
    same = one.named_entity and other.named_entity and one.document.entity == other.document.entity
    return same and numbers(one.document.text) != numbers(other.document.text)


def _jaccard(one: set[int], other: set[int]) -> float:
    return len(one & other) / max(1, len(one | other))


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number
