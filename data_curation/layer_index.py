"""The folder ``index`` of a layer, made from the documents that it accepted, as they were written.

It depends on these documents and on the earlier layers alone: deleted and made again it is the same to the byte.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow.compute as pc

from contracts.documents import ChatExample, write_jsonl
from data_curation.band_segments import U64
from data_curation.drop_prints import Batch, Drop, drop_of
from data_curation.earlier import EXAM, FOLDER, HELD, REMOVED, STATE, TRAINED, Earlier, Kin
from data_curation.shard_files import batches_of, named_entities
from data_curation.splitting import entity_key, name_hash, place
from recipes.stage_sections import CurateSection

OF_DROPS = "_{use}"
"""The kin of all sources of one use that only drops describe."""
BUILT_IN = "built in"


def write_index(
    out_dir: Path, section: CurateSection, earlier: Earlier, exam: Iterable[ChatExample], removed: Mapping[str, str]
) -> None:
    """Write what the next layer needs; ``exam`` and ``removed`` are what this layer adds to those before it."""
    folder = out_dir / FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # a killed attempt may have left some of it
    folder.mkdir()
    kins = dict(earlier.kins)
    for name, sources in _kins(section).items():
        use = section.sources[sources[0]].use
        kin = Kin("", use, any(by_facts(section, source) for source in sources))
        if earlier.accept(name, kin, _accepted(out_dir, section, sources), folder / name, section.curation):
            kins[name] = kin
    write_jsonl(folder / EXAM, [*earlier.exam, *exam])
    seed = section.curation.seed
    _save(folder / HELD, earlier.held, _entities(out_dir, "tasks-heldout", seed))
    _save(folder / TRAINED, earlier.trained, _entities(out_dir, "*-train", seed))
    gone = dict(sorted({**earlier.removed, **removed}.items()))
    (folder / REMOVED).write_text(json.dumps(gone, indent=1), encoding="utf-8")
    told = {"kins": {name: asdict(kin) for name, kin in sorted(kins.items())}}
    (folder / STATE).write_text(json.dumps(told, indent=1), encoding="utf-8")


def by_facts(section: CurateSection, source: str) -> bool:
    """Whether figures tell documents of a source apart: as it says, else where a vertical's tasks read it."""
    told = section.sources[source].figures_tell_apart
    asked = {task.source for task in section.tasks.values() if task.suite != "general"}
    return source in asked if told is None else told


def _kins(section: CurateSection) -> dict[str, list[str]]:
    """Kin to its sources: a source of the recipe alone; those that only drops describe together, by use."""
    suites = {task.source for task in section.tasks.values() if task.suite == "general"}
    described = set(section.inbox.described if section.inbox else ())
    kins: dict[str, list[str]] = {}
    for name, source in section.sources.items():
        if name not in suites:
            kins.setdefault(OF_DROPS.format(use=source.use) if name in described else name, []).append(name)
    return kins


def _accepted(out_dir: Path, section: CurateSection, sources: list[str]) -> Iterator[tuple[str, Drop]]:
    """Accepted documents by drop; what the writer made is compared with nothing."""
    drops = section.inbox.drops if section.inbox else {}
    for source in sources:
        first = PurePosixPath(section.sources[source].path).parts[0]
        with drop_of(_batches(out_dir, source), section.curation) as drop:
            yield (first if first in drops else BUILT_IN), drop


def _batches(out_dir: Path, source: str) -> Iterator[Batch]:
    wanted = (pc.field("source") == source) & ~pc.field("synthetic")
    for split in ("heldout", "train"):
        for batch in batches_of(out_dir, f"*-{split}", ["id", "entity", "text"], wanted):
            ids = batch["id"].to_pylist()
            if ids:
                hashes = np.array([name_hash(one) for one in named_entities(batch)], np.uint64)
                yield Batch(ids, batch["text"], hashes, np.full(len(ids), split == "heldout"))


def _entities(out_dir: Path, shards: str, seed: int) -> U64:
    """Places of the entities that documents of these shards name."""
    named: set[str] = set()
    for batch in batches_of(out_dir, shards, ["id", "entity"]):
        named |= {entity_key(one) for one in set(named_entities(batch)) if one}
    return np.array(sorted(place(seed, key) for key in named), np.uint64)


def _save(path: Path, before: U64, places: U64) -> None:
    with path.open("wb") as out:
        np.save(out, np.union1d(before, places), allow_pickle=False)
