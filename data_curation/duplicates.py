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

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import GateError
from data_curation.candidates import Book
from data_curation.cross_sources import Compared
from data_curation.first_seen import Ints
from data_curation.kernel import wanted
from data_curation.near_pairs import Facts
from data_curation.prints import BOILERPLATE_SAMPLE, Prints, boilerplate_of, cluster, prints_of
from data_curation.ray_runner import Ray, Sides
from data_curation.spool import Spool
from recipes.schema import Curation

U64 = NDArray[np.uint64]
ISO_DATE = "^[0-9]{4}(-[0-9]{2}){0,2}"
UNDATED = "9999"
SAMPLES = 40
Pair = tuple[str, str, float]
"""The ids of the document that stayed and of the one that fell, and their Jaccard."""


@dataclass(frozen=True)
class Clusters:
    """The documents that resemble another, cluster by cluster, each cluster in reading order: arrays of one length."""

    members: Ints
    """Numbers of documents."""
    cluster: Ints
    """The first document of each one's cluster."""
    keepers: Ints
    """The document of the cluster that stays, as far as the split has no say."""
    near: Ints
    """A document that each one resembles, and how much."""
    jaccard: NDArray[np.float64]

    @property
    def sizes(self) -> Ints:
        """Documents by cluster."""
        return np.unique(self.cluster, return_counts=True)[1]


@dataclass(frozen=True)
class Members:
    """What is known of the documents that are compared, beside their texts: one entry a document."""

    numbers: Ints
    named: U64
    """``splitting.name_hash`` of the entity that the source names, 0 for none."""
    heldout: NDArray[np.bool_]
    dates: pa.Array
    licences: pa.Array


def members_of(spool: Spool) -> Members:
    """The documents of a source that stay."""
    numbers = spool.numbers
    told = spool.labels(numbers)
    return Members(numbers, spool.facts["named"][numbers], spool.heldout[numbers], told["date"], told["licence"])


def compared_by(spool: Spool, curation: Curation, by_facts: bool, use: str) -> Compared:
    """How the documents of a source that stay are about to be compared."""
    numbers = spool.numbers
    if len(numbers) > BOILERPLATE_SAMPLE:
        numbers = numbers[np.linspace(0, len(numbers) - 1, BOILERPLATE_SAMPLE).astype(np.int64)]
    sample = np.zeros(len(spool), np.bool_)
    sample[numbers] = True
    texts = pa.concat_arrays([pa.array([], pa.large_string()), *spool.texts(sample)])
    return Compared(boilerplate_of(texts, curation), by_facts, use)


def find_clusters(
    texts: Iterable[pa.Array],
    members: Members,
    how: Compared,
    curation: Curation,
    workers: int = 1,
    ray: Ray | None = None,
) -> Clusters:
    """Near-duplicates among the documents of one source, whose texts come in batches.

    Compared by facts, two documents with different figures are two reports, not copies, however alike their wording,
    unless one is about another entity and on the other side of the split.
    """
    what = wanted(curation, common=how.common, figures=how.by_facts)
    if ray is not None and ray.pays(len(members.numbers)):
        sides = Sides(members.named, members.heldout) if how.by_facts else None
        return _clusters(members, *ray.cluster(texts, what, curation.near_duplicate_jaccard, sides), curation)
    with tempfile.TemporaryFile(prefix="shingles-") as file:
        return clusters_of(prints_of(texts, what, cast(BinaryIO, file), workers), members, how, curation)


def clusters_of(prints: Prints, members: Members, how: Compared, curation: Curation) -> Clusters:
    """``find_clusters`` of documents whose prints are known."""
    facts = Facts(members.named, prints.figures, members.heldout) if how.by_facts else None
    return _clusters(members, prints.words, cluster(prints, curation.near_duplicate_jaccard, facts), curation)


def _clusters(
    members: Members, words: Ints, joined: tuple[Ints, Ints, NDArray[np.float64]], curation: Curation
) -> Clusters:
    """From every document's words, and what ``prints.cluster`` returns."""
    firsts, edges, likeness = joined
    several = np.flatnonzero(np.bincount(firsts, minlength=len(firsts))[firsts] > 1)
    several = several[np.argsort(firsts[several], kind="stable")]
    place = first_places(several, edges)
    dates, licences = (column.take(pa.array(several)) for column in (members.dates, members.licences))
    best = several[best_of(firsts[several], words[several], dates, licences, curation)]
    return Clusters(
        members=members.numbers[several],
        cluster=members.numbers[firsts[several]],
        keepers=members.numbers[best],
        near=members.numbers[edges[:, ::-1].ravel()[place]],
        jaccard=likeness[place // 2],
    )


def drop_near_duplicates(spool: Spool, clusters: Clusters, book: Book) -> tuple[int, list[Pair]]:
    """One document a cluster stays: its first held-out one, else its keeper.

    Returns how many fell, and the pairs of those that were least alike, at most ``SAMPLES``.
    """
    keepers = _of_evaluation_first(spool, clusters)
    falls = clusters.members != keepers
    fallen, kept = clusters.members[falls], keepers[falls]
    near, jaccard = clusters.near[falls], clusters.jaccard[falls]
    order = np.argsort(np.round(jaccard, 4), kind="stable")[:SAMPLES]
    pairs = [(spool.identity(kept[one]), spool.identity(fallen[one]), round(float(jaccard[one]), 4)) for one in order]
    by_number = np.argsort(fallen)
    mask = np.zeros(len(spool), np.bool_)
    mask[fallen] = True

    def why(number: int, _: object) -> tuple[str, str, str]:
        at = by_number[np.searchsorted(fallen, number, sorter=by_number)]
        crosses = spool.heldout[kept[at]] and not spool.heldout[number]
        reason = "near_duplicate_of_evaluation" if crosses else "near_duplicate"
        detail = f"of {spool.identity(kept[at])}; Jaccard {jaccard[at]:.3f} with {spool.identity(near[at])}"
        return "duplicates", reason, detail

    spool.reject(mask, why, book)
    return len(fallen), pairs


def large_clusters(source: str, name_of: Callable[[int], str], clusters: Clusters, curation: Curation) -> list[str]:
    """A line for each cluster of more documents than ``curation.cluster_alarm``, the largest first."""
    _, firsts, sizes = np.unique(clusters.cluster, return_index=True, return_counts=True)
    large = [(int(size), int(clusters.keepers[first])) for first, size in zip(firsts, sizes, strict=True)
             if size > curation.cluster_alarm]  # fmt: skip
    return [
        f"{source}: {size} documents are held for copies of {name_of(keeper)}"
        for size, keeper in sorted(large, reverse=True)
    ]


def refuse_collapse(source: str, removed: int, total: int, curation: Curation, of_others: int = 0) -> None:
    """Raises GateError when near-duplicates would take more than the ceiling of a source.

    ``of_others``: how many of the removed repeat documents of other sources.
    """
    if total and removed / total > curation.removal_ceiling:
        raise GateError(
            f"source {source}",
            f"would lose more than {curation.removal_ceiling:.0%} of its documents to near-duplicates",
            got=f"{removed} of {total}" + (f", {of_others} of them copies in other sources" if of_others else ""),
            hint="drop the form's boilerplate (drop_lines, cut_before) or raise curation.near_duplicate_jaccard; raise "
            "curation.removal_ceiling only once a person has looked at the duplicates",
        )


def first_places(documents: Ints, edges: Ints) -> Ints:
    """Where each document, which some pair names, first stands in ``edges.ravel()``."""
    met, at = np.unique(edges.ravel(), return_index=True)
    found: Ints = at[np.searchsorted(met, documents)]
    return found


def best_of(cluster_of: Ints, words: Ints, dates: pa.Array, licences: pa.Array, curation: Curation) -> Ints:
    """For each document the place of the best one of its cluster by the module's rule; clusters stand in one piece."""
    days_told = strings(dates)
    dated = pc.fill_null(pc.match_substring_regex(days_told, ISO_DATE), False)
    days = pc.rank(pc.if_else(dated, days_told, UNDATED), tiebreaker="dense").to_numpy()
    preference = pc.index_in(strings(licences), pa.array(curation.licences, pa.string()))
    preference = pc.fill_null(preference, len(curation.licences)).to_numpy()
    order = np.lexsort((np.arange(len(words)), preference, -words, days, cluster_of))
    starts = np.ones(len(words), np.bool_)
    starts[1:] = cluster_of[1:] != cluster_of[:-1]
    best: Ints = order[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    return best


def strings(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece, no dictionary."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return whole.cast(pa.string())


def _of_evaluation_first(spool: Spool, clusters: Clusters) -> Ints:
    """The keepers, in clusters with held-out documents the first of these."""
    keepers = clusters.keepers.copy()
    heldout = spool.heldout[clusters.members]
    with_some, first = np.unique(clusters.cluster[heldout], return_index=True)
    has = np.isin(clusters.cluster, with_some)
    keepers[has] = clusters.members[heldout][first[np.searchsorted(with_some, clusters.cluster[has])]]
    return keepers
