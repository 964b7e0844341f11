"""The last look at the split, over the files as they were written: nothing of what is measured may have been learnt.

What is asserted: no document and no entity on both sides, nothing dated from ``curation.holdout_from`` on among what is
trained on, and no near-duplicate across the split, within a source and between two, by the comparisons that found the
duplicates before (the same boilerplate: what is left would count it differently, and join what was told apart). Plain
text had no side then, which counts where figures tell documents apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import GateError
from data_curation.cross_sources import PLAIN, Compared, Printed, find_across, shingle_file
from data_curation.kernel import wanted
from data_curation.near_pairs import Facts
from data_curation.prints import U64, Ints, cluster, prints_of
from data_curation.shard_files import batches_of
from data_curation.splitting import entity_key, is_late, name_hash
from recipes.schema import Curation

SHOWN = 5
TRAINED_ON = ("train.jsonl", "students.jsonl")
HINT = "this is a fault of the curation stage: keep the corpus and report it"


@dataclass(frozen=True)
class Written:
    """One source's accepted documents, those held out first."""

    ids: pa.ChunkedArray
    heldout: NDArray[np.bool_]
    printed: Printed


def check_split(out_dir: Path, curation: Curation, compared: dict[str, Compared], workers: int = 1) -> None:
    """Raises GateError that names the offenders, the first rule broken first."""
    asked = {one["document_id"]: one["entity"] for one in _examples(out_dir, ("eval.jsonl",))}
    ids = asked.keys() | {one["document_id"] for one in _examples(out_dir, ("general.jsonl",))}
    measured = {entity_key(entity) for entity in asked.values() if entity}
    on_both, named, late = _trained_on(out_dir, ids, measured, curation)
    _refuse("documents", on_both)
    _refuse("entities", named)
    _refuse(f"documents dated from {curation.holdout_from} on", late, "are trained on")
    with ExitStack() as files:
        figures = any(how.by_facts for how in compared.values())
        written = [_written(out_dir, source, how, curation, figures, workers, files)
                   for source, how in compared.items()]  # fmt: skip
        for one in written:
            _refuse("near-duplicates", set(_within(one, curation)))
        _refuse("near-duplicates", set(_between(written, curation)))


def _trained_on(
    out_dir: Path, ids: set[str], measured: set[str], curation: Curation
) -> tuple[set[str], set[str], set[str]]:
    """Of what is trained on: documents among ``ids``, entities among ``measured``, documents dated too late."""
    on_both: set[str] = set()
    named: set[str] = set()
    late: set[str] = set()
    for one in _examples(out_dir, TRAINED_ON):
        on_both |= {one["document_id"]} & ids
        named |= {one["entity"]} if one["entity"] and entity_key(one["entity"]) in measured else set()
    for batch in batches_of(out_dir, "*-train", ["id", "entity", "date"]):
        on_both |= set(batch["id"].filter(pc.is_in(batch["id"], pa.array(sorted(ids), pa.string()))).to_pylist())
        names = batch["entity"].filter(_names(batch["id"], batch["entity"])).unique().to_pylist()
        named |= {one for one in names if entity_key(one) in measured}
        if curation.holdout_from:
            dated = zip(batch["id"].to_pylist(), batch["date"].to_pylist(), strict=True)
            late |= {identity for identity, date in dated if is_late(date, curation)}
    return on_both, named, late


def _refuse(what: str, offenders: set[str], fact: str = "lie on both sides of the split") -> None:
    if offenders:
        shown = ", ".join(sorted(offenders)[:SHOWN]) + (", ..." if len(offenders) > SHOWN else "")
        raise GateError(f"split: {what}", fact, got=f"{len(offenders)}: {shown}", hint=HINT)


def _examples(out_dir: Path, names: Iterable[str]) -> Iterator[dict[str, str]]:
    for name in names:
        with (out_dir / name).open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)


def _written(
    out_dir: Path, source: str, how: Compared, curation: Curation, figures: bool, workers: int, files: ExitStack
) -> Written:
    """A source's documents; their shingles go to a file that ``files`` closes."""
    ids: list[pa.Array] = []
    entities: list[U64] = [np.zeros(0, np.uint64)]
    held: list[NDArray[np.bool_]] = [np.zeros(0, np.bool_)]

    def texts() -> Iterator[pa.Array]:
        for split in ("heldout", "train"):
            for batch in batches_of(out_dir, f"*-{split}", ["id", "entity", "text"], pc.field("source") == source):
                if len(batch):
                    ids.append(batch["id"].take(pa.array(np.arange(len(batch)))))  # a copy: the batch shall go
                    entities.append(_entities(batch["id"], batch["entity"]))
                    held.append(np.full(len(batch), split == "heldout"))
                    yield batch["text"]

    what = wanted(curation, common=how.common, figures=figures)
    prints = prints_of(texts(), what, shingle_file(out_dir, files), workers)
    sides = np.concatenate(held)
    told = np.zeros_like(sides) if how.use in PLAIN else sides
    printed = Printed(how, prints, np.arange(len(sides)), np.ones_like(sides), np.concatenate(entities), told)
    return Written(pa.chunked_array(ids, pa.string()), sides, printed)


def _within(one: Written, curation: Curation) -> Iterator[str]:
    """Near-duplicates of one source with the split between them."""
    printed = one.printed
    if one.heldout.any() and not one.heldout.all():
        facts = Facts(printed.named, printed.prints.figures, printed.heldout) if printed.how.by_facts else None
        _, edges, likeness = cluster(printed.prints, curation.near_duplicate_jaccard, facts)
        yield from _crossing([one], edges, likeness)


def _between(written: Sequence[Written], curation: Curation) -> Iterator[str]:
    """Near-duplicates of two sources with the split between them."""
    if len(written) > 1 and any(one.heldout.any() for one in written):
        yield from _crossing(written, *find_across([one.printed for one in written], curation))


def _crossing(written: Sequence[Written], edges: Ints, likeness: NDArray[np.float64]) -> Iterator[str]:
    sides = np.concatenate([one.heldout for one in written])
    names = pa.chunked_array([chunk for one in written for chunk in one.ids.chunks], pa.string())
    for (one, other), alike in zip(edges, likeness, strict=True):
        if sides[one] != sides[other]:
            yield f"{names[int(one)]} and {names[int(other)]} ({alike:.2f})"


def _names(ids: pa.Array, entities: pa.Array) -> pa.Array:
    """Whether a document names an entity: one that does not stands for itself, the whole that it is a part of."""
    whole = pc.replace_substring_regex(ids, "@[0-9]+$", "")
    return pc.and_(pc.not_equal(entities, ""), pc.not_equal(entities, whole))


def _entities(ids: pa.Array, entities: pa.Array) -> U64:
    named = zip(entities.to_pylist(), _names(ids, entities).to_pylist(), strict=True)
    return np.array([name_hash(name) if names else 0 for name, names in named], np.uint64)
