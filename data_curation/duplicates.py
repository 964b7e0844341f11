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
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import GateError
from data_curation.candidates import Candidate
from data_curation.kernel import Wanted, scan, scan_all, texts_of, wanted
from data_curation.minhash import common_table
from data_curation.near_pairs import Facts, join, join_band, roots, sets_of, shared_keys
from data_curation.shingle_store import ShingleStore
from recipes.schema import Curation

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]

BOILERPLATE_SHARE = 0.2
"""A shingle in more than this share of a source's documents is boilerplate."""
BOILERPLATE_DOCUMENTS = 10
"""Sources below this size have too few documents to tell."""
BOILERPLATE_SAMPLE = 2_000
"""Of a larger source as many documents, evenly spaced, tell what its boilerplate is."""
BATCH_DOCUMENTS = 1_024
FAILED_PAIRS = 1 << 16
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


@dataclass(frozen=True)
class Prints:
    """What duplicates are found by, for documents in the order read: arrays of one row each."""

    content: U64
    """(documents, 2): equal for exact duplicates."""
    words: Ints
    bands: U64
    """(documents, bands)."""
    figures: U64
    store: ShingleStore
    common: U32
    """The table of the source's boilerplate that ``bands`` were made without."""


def prints_of(batches: Iterable[pa.Array], what: Wanted, file: BinaryIO, workers: int = 1) -> Prints:
    """Prints of texts in batches; their shingles go to ``file``, so memory is about 150 bytes a document."""
    store, parts = ShingleStore(file), []
    for found in scan_all(batches, what, workers):
        store.append(found.shingles, found.shingle_ends)
        parts.append((found.content, found.words, found.bands, found.figures))
    if not parts:
        empty = scan(pa.array([], pa.large_string()), what)
        parts.append((empty.content, empty.words, empty.bands, empty.figures))
    content, words, bands, figures = (np.concatenate(one) for one in zip(*parts, strict=True))
    return Prints(content, words, bands, figures, store, what.common)


def boilerplate_of(texts: pa.Array, curation: Curation) -> U32:
    """A table of the shingles that stand in many of a source's documents; empty for a small source."""
    if len(texts) < BOILERPLATE_DOCUMENTS:
        return common_table(np.zeros(0, np.uint32))
    sample = texts
    if len(texts) > BOILERPLATE_SAMPLE:
        sample = texts.take(pa.array(np.linspace(0, len(texts) - 1, BOILERPLATE_SAMPLE).astype(np.int64)))
    found = scan(sample, Wanted(curation.shingle_words, 0, 0, figures=False))
    sets = sets_of(found.shingles, found.shingle_ends, common_table(np.zeros(0, np.uint32)))
    shingles, counts = np.unique(sets.whole, return_counts=True)
    return common_table(shingles[counts > BOILERPLATE_SHARE * len(sample)])


def cluster(prints: Prints, curation: Curation, facts: Facts | None = None) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """The first document of every document's cluster; the pairs that joined them (later, earlier); their Jaccard.

    Documents that ``facts`` tell apart are not joined by a comparison.
    """
    documents = len(prints.words)
    parent, first_with = np.arange(documents), _first_with(prints.content)
    copies = np.flatnonzero(first_with != parent)
    edges, likeness = np.zeros((documents, 2), np.int64), np.ones(documents)
    for number, copy in enumerate(copies):
        edges[number] = copy, first_with[copy]
        join(parent, copy, first_with[copy])
    usable = (first_with == np.arange(documents)) & (prints.words > 0)
    low = np.uint64((1 << max(1, documents.bit_length())) - 1)
    shared = [shared_keys(np.ascontiguousarray(prints.bands[:, band]), usable) for band in range(curation.bands)]
    compared = np.unique(np.concatenate([packed & low for packed in shared])).astype(np.int64)
    place = np.full(documents, -1, np.int64)
    place[compared] = np.arange(len(compared))
    sets = sets_of(*prints.store.read(compared), prints.common)
    failed, joined = np.zeros(FAILED_PAIRS, np.uint64), len(copies)
    told = facts or Facts(prints.figures, prints.figures, np.zeros(documents, np.bool_))
    for band, packed in enumerate(shared):
        keys = np.ascontiguousarray(prints.bands[:, band])
        joined = join_band(packed, low, keys, place, sets, told, facts is not None,
                           curation.near_duplicate_jaccard, parent, failed, edges, likeness, joined)  # fmt: skip
    return roots(parent), edges[:joined], likeness[:joined]


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
    return np.array([_hash(one.document.entity) if one.named_entity else 0 for one in candidates], np.uint64)


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


def _first_with(content: U64) -> Ints:
    """For every document the first one with its content."""
    order = np.lexsort((content[:, 1], content[:, 0]))
    ordered = content[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    firsts = np.empty(len(order), np.int64)
    firsts[order] = order[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    return firsts


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
