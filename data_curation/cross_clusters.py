"""What falls of near-duplicates that stand in different sources of one run, and which of them stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_curation.candidates import Book
from data_curation.cross_sources import Printed, find_across
from data_curation.duplicates import SAMPLES, Pair, best_of, first_places, strings
from data_curation.near_pairs import roots
from data_curation.prints import Ints
from data_curation.spool import Spool
from recipes.schema import Curation


@dataclass(frozen=True)
class Across:
    """Documents that repeat one of another source, cluster by cluster, numbered through all sources: one row each."""

    members: Ints
    cluster: Ints
    """The first document of each one's cluster."""
    keepers: Ints
    near: Ints
    """A document that each one resembles, and how much."""
    jaccard: NDArray[np.float64]
    falls: NDArray[np.bool_]


class Numbered:
    """The documents of all sources under one numbering."""

    def __init__(self, sources: Mapping[str, Spool], printed: Mapping[str, Printed]) -> None:
        self.names = list(printed)
        self.spools = [sources[name] for name in self.names]
        self.printed = list(printed.values())
        self.starts = np.cumsum([0, *(len(one.stays) for one in self.printed)])
        self.heldout = np.concatenate([one.heldout for one in self.printed])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def source_of(self, rows: Ints) -> Ints:
        """The place of each one's source."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def identity(self, row: int) -> str:
        """A document's id."""
        source = int(self.source_of(np.array([row]))[0])
        return self.spools[source].identity(int(self.printed[source].numbers[row - self.starts[source]]))

    def labels(self, rows: Ints) -> tuple[pa.Array, pa.Array]:
        """Dates and licences of documents."""
        source = self.source_of(rows)
        order = np.argsort(source, kind="stable")
        dates, licences = [pa.array([], pa.string())], [pa.array([], pa.string())]
        for place, (spool, one) in enumerate(zip(self.spools, self.printed, strict=True)):
            told = spool.labels(one.numbers[rows[order][source[order] == place] - self.starts[place]])
            dates.append(strings(told["date"]))
            licences.append(strings(told["licence"]))
        back = pa.array(np.argsort(order, kind="stable"))
        return pa.concat_arrays(dates).take(back), pa.concat_arrays(licences).take(back)


def drop_across(
    sources: Mapping[str, Spool], printed: Mapping[str, Printed], curation: Curation, book: Book
) -> tuple[dict[str, int], list[Pair], list[str]]:
    """Of documents that repeat each other over the sources let all but one fall, and all that are trained on where one
    is held out.

    Returns what each source lost to near-duplicates (exact copies do not count), the least alike pairs, at most
    ``SAMPLES``, and a line for each cluster of more than ``curation.cluster_alarm``.
    """
    lost: dict[str, int] = {}
    if len(printed) < 2:
        return lost, [], []
    all_of = Numbered(sources, printed)
    found = _clusters(all_of, *find_across(all_of.printed, curation), curation)
    exact = _same_text(all_of, found)
    for place, name in enumerate(all_of.names):
        here = found.falls & (all_of.source_of(found.members) == place)
        if here.any():
            _reject(all_of, place, found, np.flatnonzero(here), exact, book)
            lost[name] = int(np.count_nonzero(here & ~exact))
    near = np.flatnonzero(found.falls & ~exact)
    order = near[np.argsort(np.round(found.jaccard[near], 4), kind="stable")[:SAMPLES]]
    pairs = [(all_of.identity(int(found.keepers[one])), all_of.identity(int(found.members[one])),
              round(float(found.jaccard[one]), 4)) for one in order]  # fmt: skip
    return lost, pairs, _alarms(all_of, found, curation)


def _clusters(all_of: Numbered, edges: Ints, likeness: NDArray[np.float64], curation: Curation) -> Across:
    firsts = roots(len(all_of), edges)
    members = np.unique(edges)
    members = members[np.argsort(firsts[members], kind="stable")]
    cluster = firsts[members]
    place = first_places(members, edges)
    words = np.concatenate([one.prints.words for one in all_of.printed])[members]
    keepers = members[best_of(cluster, words, *all_of.labels(members), curation)]
    heldout = all_of.heldout[members]
    with_some, first = np.unique(cluster[heldout], return_index=True)
    has = np.isin(cluster, with_some)
    keepers[has] = members[heldout][first[np.searchsorted(with_some, cluster[has])]]
    near, jaccard = edges[:, ::-1].ravel()[place], likeness[place // 2]
    return Across(members, cluster, keepers, near, jaccard, falls=(members != keepers) & ~heldout)


def _same_text(all_of: Numbered, found: Across) -> NDArray[np.bool_]:
    """Which have the text of the one that stays, both of them plain text."""
    content = np.concatenate([one.prints.content for one in all_of.printed])
    trained_on = ~all_of.heldout[found.keepers]
    same: NDArray[np.bool_] = (content[found.members] == content[found.keepers]).all(axis=1) & trained_on
    return same


def _reject(all_of: Numbered, place: int, found: Across, rows: Ints, exact: NDArray[np.bool_], book: Book) -> None:
    """Let the members in ``rows``, all of one source, fall."""
    spool, one = all_of.spools[place], all_of.printed[place]
    at = {int(number): int(row) for row, number in
          zip(rows, one.numbers[found.members[rows] - all_of.starts[place]], strict=True)}  # fmt: skip

    def why(number: int, _: object) -> tuple[str, str, str]:
        row = at[number]
        kept = all_of.identity(int(found.keepers[row]))
        if exact[row]:
            return "duplicates", "exact_duplicate", f"of {kept}"
        reason = "near_duplicate_of_evaluation" if all_of.heldout[found.keepers[row]] else "near_duplicate"
        near = all_of.identity(int(found.near[row]))
        return "duplicates", reason, f"of {kept}; Jaccard {found.jaccard[row]:.3f} with {near}"

    fallen = np.zeros(len(spool), np.bool_)
    fallen[list(at)] = True
    spool.reject(fallen, why, book)


def _alarms(all_of: Numbered, found: Across, curation: Curation) -> list[str]:
    lines = []
    _, first, sizes = np.unique(found.cluster, return_index=True, return_counts=True)
    for start, size in zip(first[sizes > curation.cluster_alarm], sizes[sizes > curation.cluster_alarm], strict=True):
        names = ", ".join(all_of.names[one] for one in np.unique(all_of.source_of(found.members[start : start + size])))
        lines.append(f"{names}: {size} documents are held for copies of {all_of.identity(int(found.keepers[start]))}")
    return lines
