"""Near-duplicates by MinHash on word shingles; every candidate pair is verified by its true Jaccard similarity.

Filings, leases and listings share most of their words. So a pair must be alike twice: in all of its shingles, and in
those that are not its source's boilerplate (shingles that stand in many of the source's documents). The first alone
joins two filers on one form, the second alone joins one filer's yearly and quarterly report. In sources where figures
are facts, documents with different figures are no copies (``near_pairs.Facts``): a lease, a listing or a filing is its
form filled in. A source that would lose more than its ceiling fails.

Of a cluster one document stays: the earliest; of several, the most complete (words), then the one with the licence
that the recipe names first, then the one that was read first.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from contracts.errors import GateError
from data_curation.candidates import Candidate
from data_curation.kernel import texts_of, wanted
from data_curation.near_pairs import Facts
from data_curation.prints import BATCH_DOCUMENTS, boilerplate_of, cluster, prints_of
from recipes.schema import Curation

U64 = NDArray[np.uint64]
ISO_DATE = re.compile(r"\d{4}(-\d{2}){0,2}")
Pair = tuple[str, str, float]


@dataclass(frozen=True)
class Clusters:
    """Groups of indices into the candidates, each in reading order, and the verified pairs that joined them."""

    groups: list[list[int]]
    similarity: dict[int, tuple[int, float]]
    """Every member to one that it resembles, and how much."""
    keepers: list[int]
    """The member of each group that stays, as far as the split has no say."""


def find_clusters(
    candidates: list[Candidate], curation: Curation, tell_reports_apart: bool, workers: int = 1
) -> Clusters:
    """Near-duplicates among the candidates of one source.

    ``tell_reports_apart``, for sources whose figures are facts: two documents with different figures are two reports,
    not copies, however alike their wording, unless one is about another entity and on the other side of the split.
    """
    texts = texts_of([candidate.document.text for candidate in candidates])
    batches = (texts.slice(start, BATCH_DOCUMENTS) for start in range(0, len(texts), BATCH_DOCUMENTS))
    with tempfile.TemporaryFile(prefix="shingles-") as file:
        what = wanted(curation, common=boilerplate_of(texts, curation), figures=tell_reports_apart)
        prints = prints_of(batches, what, cast(BinaryIO, file), workers)
        heldout = np.array([candidate.heldout for candidate in candidates], np.bool_)
        facts = Facts(entity_hashes(candidates), prints.figures, heldout) if tell_reports_apart else None
        firsts, edges, likeness = cluster(prints, curation, facts)
    similarity: dict[int, tuple[int, float]] = {}
    for (later, earlier), jaccard in zip(edges.tolist(), likeness.tolist(), strict=True):
        similarity.setdefault(later, (earlier, jaccard))
        similarity.setdefault(earlier, (later, jaccard))
    groups: dict[int, list[int]] = {}
    for number, first in enumerate(firsts.tolist()):
        groups.setdefault(first, []).append(number)
    several = [group for group in groups.values() if len(group) > 1]
    words = prints.words.tolist()
    keepers = [min(group, key=lambda one: _rank(candidates[one], words[one], one, curation)) for group in several]
    return Clusters(several, similarity, keepers)


def entity_hashes(candidates: Iterable[Candidate]) -> U64:
    """One uint64 a candidate that names an entity, the same for the same name; 0 for the others."""
    return np.array([name_hash(one.document.entity) if one.named_entity else 0 for one in candidates], np.uint64)


def large_clusters(source: str, candidates: list[Candidate], clusters: Clusters, curation: Curation) -> list[str]:
    """A line for each cluster of more documents than ``curation.cluster_alarm``, the largest first."""
    sized = zip(clusters.groups, clusters.keepers, strict=True)
    large = sorted(
        ((len(group), keeper) for group, keeper in sized if len(group) > curation.cluster_alarm), reverse=True
    )
    return [f"{source}: {size} documents are held for copies of {candidates[one].document.id}" for size, one in large]


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


def _rank(candidate: Candidate, words: int, number: int, curation: Curation) -> tuple[str, int, int, int]:
    document = candidate.document
    date = document.date if document.date and ISO_DATE.match(document.date) else "9999"
    known = document.licence in curation.licences
    preference = curation.licences.index(document.licence) if known else len(curation.licences)
    return date, -words, preference, number


def name_hash(name: str) -> int:
    """64 bits of an entity's name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
