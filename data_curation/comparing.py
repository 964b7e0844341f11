"""The split of a run's sources, then their near-duplicates: against earlier layers, within each source, between them.

The split comes first: of a cluster that lies on both sides the training members go. What stays of each source is then
compared with what stays of the others (``cross_sources``); a source is refused that would lose too much to both.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contracts.curation_report import NearDuplicates
from data_curation.candidates import Book
from data_curation.cross_clusters import drop_across
from data_curation.cross_sources import Compared, Printed, shingle_file
from data_curation.duplicates import (
    Pair,
    clusters_of,
    compared_by,
    drop_near_duplicates,
    find_clusters,
    large_clusters,
    members_of,
    refuse_collapse,
)
from data_curation.earlier import Earlier
from data_curation.kernel import wanted
from data_curation.known import drop_known, settled
from data_curation.layer_index import by_facts
from data_curation.prints import Prints, prints_of
from data_curation.ray_runner import Ray
from data_curation.splitting import U64, held_out_entities, split
from data_curation.spool import Found, Spool
from recipes.stage_sections import CurateSection


@dataclass
class Duplicates:
    """What was found of near-duplicates, for the card."""

    pairs: list[Pair] = field(default_factory=list)
    """Samples of what fell."""
    compared: dict[str, Compared] = field(default_factory=dict)
    """Source to how it was compared."""
    alarms: list[str] = field(default_factory=list)
    """Clusters to look at."""
    near: dict[str, NearDuplicates] = field(default_factory=dict)
    """What each source lost."""


class Run(NamedTuple):
    """What all sources of a run are compared with and by."""

    section: CurateSection
    earlier: Earlier
    files: ExitStack
    """Closes what ``scratch`` holds of shingles."""
    scratch: Path
    figures: bool
    """Figures tell documents of some source apart."""
    book: Book
    ray: Ray | None


def split_and_compare(
    section: CurateSection, found: Found, suites: set[str], earlier: Earlier, scratch: Path, book: Book, ray: Ray | None
) -> tuple[U64, Duplicates]:
    """Places of the held-out entities, and what became of near-duplicates; ``suites`` are sources that nothing meets.

    Raises GateError for a source that would lose more than its ceiling.
    """
    told, printed = Duplicates(), dict[str, Printed]()
    sources = {name: spool for name, spool in found.items() if name not in suites}
    task_sources = {task.source for task in section.tasks.values()} - suites
    held = _held_out(section, [spool for name, spool in sources.items() if name in task_sources], found, earlier)
    with ExitStack() as files:
        figures = any(by_facts(section, name) for name in sources)
        run = Run(section, earlier, files, scratch, figures, book, ray)
        for name, spool in sources.items():
            if name in task_sources:
                split(spool, held, section.corpus is None, section.curation, book)
            printed[name] = _within(run, name, spool, told)
        _between(run, sources, printed, told)
    return held, told


def _held_out(section: CurateSection, asked: list[Spool], found: Found, earlier: Earlier) -> U64:
    measured = [spool.facts[spool.stays] for spool in asked]
    if section.corpus is not None:
        measured = [facts[~facts["synthetic"]] for facts in measured]
    places = [facts["entity"] for facts in measured]
    held = held_out_entities(places, section.curation.seed, section.curation.holdout_share)
    return settled(held, found.values(), earlier)


def _within(run: Run, name: str, spool: Spool, told: Duplicates) -> Printed:
    """Let what earlier layers accepted and the near-duplicates of one source fall; the prints of what was compared."""
    curation, source = run.section.curation, run.section.sources[name]
    apart = by_facts(run.section, name)
    known = drop_known(spool, source.use, apart, run.earlier, curation, run.book)
    how = compared_by(spool, curation, apart, source.use)
    members, prints = members_of(spool), None
    if run.ray is not None and run.ray.pays(len(members.numbers)):
        groups = find_clusters(spool.texts(), members, how, curation, run.section.workers, run.ray)
    else:
        prints = _prints(run, spool, how)
        groups = clusters_of(prints, members, how, curation)
    told.alarms += large_clusters(name, spool.identity, groups, curation)
    fallen, pairs = drop_near_duplicates(spool, groups, run.book)
    refuse_collapse(name, fallen, len(members.numbers), curation)
    told.pairs += [*known, *pairs]
    told.compared[name] = how
    told.near[name] = NearDuplicates(
        compared=len(members.numbers), removed=fallen, clusters=len(groups.sizes), ceiling=curation.removal_ceiling,
        figures_tell_apart=apart, boilerplate=int(np.count_nonzero(how.common)),
    )  # fmt: skip
    if prints is None:  # on Ray they stayed with the workers
        members, prints = members_of(spool), _prints(run, spool, how)
    stays = spool.stays[members.numbers]
    return Printed(how, prints, members.numbers, stays, members.named, members.heldout)


def _prints(run: Run, spool: Spool, how: Compared) -> Prints:
    what = wanted(run.section.curation, common=how.common, figures=run.figures)
    return prints_of(spool.texts(), what, shingle_file(run.scratch, run.files), run.section.workers)


def _between(run: Run, sources: Mapping[str, Spool], printed: Mapping[str, Printed], told: Duplicates) -> None:
    """Let the documents fall that repeat those of another source."""
    curation = run.section.curation
    fallen, pairs, alarms = drop_across(sources, printed, curation, run.book)
    told.pairs += pairs
    told.alarms += alarms
    for name, lost in fallen.items():
        before = told.near[name]
        told.near[name] = before.model_copy(update={"removed": before.removed + lost, "of_other_sources": lost})
        refuse_collapse(name, before.removed + lost, before.compared, curation, lost)
