"""What holds a document or a corpus, all through the store, and what it takes to be rid of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.artifacts import RECORD, Artifact, load
from data_curation.story import Row, copies_of, rows_named
from flows.priced_ledger import open_ledger
from flows.settings import Settings
from flows.stories import corpora
from ledger.report import list_builds

LEARNT = ("model", "adapter", "capture", "distilled", "layers")
"""Kinds of artifacts that are made by learning from a corpus."""
MOST_COPIES = 20


@dataclass(frozen=True)
class Holding:
    """A corpus that accepted what is to go, and everything in the store that was made from it."""

    corpus: Artifact
    rows: list[Row]
    made_from: list[Artifact]

    @property
    def learnt_from(self) -> bool:
        """Whether a document of it lies on the training side of the split."""
        return any("-heldout-" not in (row["shard"] or "") for row in self.rows)


def holdings(settings: Settings, what: str) -> list[Holding]:
    """Every corpus in the store that accepted a document meant by ``what``, newest first."""
    everything = [one for record in (settings.home / "store").glob(f"*/*/{RECORD}") if (one := load(record.parent))]
    found = []
    for corpus in corpora(settings.home):
        rows = [row for row in rows_named(corpus.path, what) if row["outcome"] == "accepted"]
        if rows:
            found.append(Holding(corpus, rows, _made_from(corpus, everything)))
    later = {one.fingerprint for held in found for one in held.made_from}
    return [held for held in found if held.corpus.fingerprint not in later]  # a joined corpus is told with its layer


def removal_report(settings: Settings, what: str) -> list[str]:
    """What holds it, and the cheapest rebuild, in lines."""
    known = corpora(settings.home)
    held = holdings(settings, what)
    lines = [line for one in held for line in _told(settings, what, one)]
    if held:
        return lines
    rejected = sum(len(rows_named(corpus.path, what)) for corpus in known)
    why = f"only rejected, {rejected} times" if rejected else "never seen"
    return [f"no artifact holds it: {why} in {len(known)} curated corpora; nothing has to be built again"]


def _told(settings: Settings, what: str, held: Holding) -> Iterator[str]:
    vertical = str(held.corpus.section.get("vertical") or "VERTICAL")
    yield ""
    yield f"{vertical}: {len(held.rows):,} accepted documents of {what}"
    yield f"  corpus {held.corpus.fingerprint}  {held.corpus.path}"
    for one in held.made_from:
        learnt = one.kind not in LEARNT or held.learnt_from
        note = "" if learnt else "  measured on it, not trained on it"
        yield f"  {one.stage} {one.fingerprint}  {one.kind}  {one.path}{note}"
    yield from _copies(held)
    yield f"  cheapest rebuild: {_rebuild(settings, vertical, held)}"


def _copies(held: Holding) -> Iterator[str]:
    """Near-duplicates that fell beside it: one of them will take its place."""
    later = [one.path for one in held.made_from if one.stage == "curate"]
    fell = [copy for row in held.rows[:MOST_COPIES] for copy in copies_of([held.corpus.path, *later], row["id"])]
    for copy in fell[:MOST_COPIES]:
        again = "stays out" if copy["reason"] == "exact_duplicate" else "takes its place unless it is removed too"
        yield f"  copy {copy['id']}: {copy['reason']}, {again}"


def _rebuild(settings: Settings, vertical: str, held: Holding) -> str:
    """The command, and what its stages took when they were run last."""
    scale = _scale(settings, held.corpus)
    models = [one for one in held.made_from if one.kind in LEARNT]
    if not models or not held.learnt_from:
        told = "; no model learnt from it" if models else ""
        return f"stillroom curate {vertical} --scale {scale}{told}"
    seconds = sum(one.usage.device_seconds for one in [held.corpus, *held.made_from] if one.usage)
    return (
        f"stillroom run {vertical} --scale {scale} (the same corpus): {len(held.made_from) + 1} artifacts, "
        f"{seconds:,.0f} device-seconds when they were made; all others come from the store"
    )


def _scale(settings: Settings, corpus: Artifact) -> str:
    """The scale of the newest build that made or took the corpus."""
    for build in list_builds(open_ledger(settings)):
        lines = settings.home / "builds" / build.build_id / "lines.json"
        if lines.is_file() and corpus.fingerprint in lines.read_text(encoding="utf-8"):
            return build.scale
    return "SCALE"


def _made_from(corpus: Artifact, everything: list[Artifact]) -> list[Artifact]:
    """All that has the corpus among its inputs, or what was made from it, in the order of their making."""
    stale = {corpus.fingerprint}
    found: list[Artifact] = []
    waiting = sorted(everything, key=lambda one: _made_at(one.path))
    while True:
        more = [one for one in waiting if one.fingerprint not in stale and stale & set(one.inputs.values())]
        if not more:
            return found
        found += more
        stale |= {one.fingerprint for one in more}


def _made_at(folder: Path) -> float:
    return (folder / RECORD).stat().st_mtime
