"""The last look at the split, over the files as they were written: nothing of what is measured may have been learnt.

What is asserted: no document and no entity on both sides, nothing dated from ``curation.holdout_from`` on among what is
trained on, and no near-duplicate across the split within a source, by the comparison that found the duplicates before
(the same boilerplate: what is left would count it differently, and join what was told apart).
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from contracts.errors import GateError
from data_curation.candidates import Candidate
from data_curation.dataset import FOLDER
from data_curation.kernel import texts_of, wanted
from data_curation.near_pairs import Facts
from data_curation.prints import U32, U64, boilerplate_of, cluster, prints_of
from data_curation.splitting import entity_key, is_late
from recipes.schema import Curation

SHOWN = 5
COLUMNS_READ = pa.schema([(name, pa.string()) for name in ("id", "entity", "date", "source", "text")])
TRAINED_ON = ("train.jsonl", "students.jsonl")
HINT = "this is a fault of the curation stage: keep the corpus and report it"


@dataclass(frozen=True)
class Compared:
    """How a source's near-duplicates were found."""

    common: U32
    """Its boilerplate."""
    by_facts: bool


def compared_by(candidates: list[Candidate], curation: Curation, by_facts: bool) -> Compared:
    """How the candidates of a source are about to be compared."""
    texts = texts_of([candidate.document.text for candidate in candidates])
    return Compared(boilerplate_of(texts, curation), by_facts)


def check_split(out_dir: Path, curation: Curation, compared: dict[str, Compared]) -> None:
    """Raises GateError that names the offenders, the first rule broken first."""
    asked = list(_examples(out_dir, ("eval.jsonl",)))
    taught = list(_examples(out_dir, TRAINED_ON))
    trained = list(_trained_documents(out_dir))
    general = _examples(out_dir, ("general.jsonl",))
    ids = {one["document_id"] for one in [*asked, *general]}
    _refuse("documents", ids & {one["document_id"] for one in taught} | ids & {one["id"] for one in trained})
    measured = {entity_key(one["entity"]) for one in asked if one["entity"]}
    named = [one["entity"] for one in [*taught, *trained] if one["entity"] and one["entity"] != one.get("id")]
    _refuse("entities", {name for name in named if entity_key(name) in measured})
    late = {one["id"] for one in trained if is_late(one["date"], curation)}
    _refuse(f"documents dated from {curation.holdout_from} on", late, "are trained on")
    for source, how in compared.items():
        _refuse("near-duplicates", set(_crossing(out_dir, source, how, curation)))


def _refuse(what: str, offenders: set[str], fact: str = "lie on both sides of the split") -> None:
    if offenders:
        shown = ", ".join(sorted(offenders)[:SHOWN]) + (", ..." if len(offenders) > SHOWN else "")
        raise GateError(f"split: {what}", fact, got=f"{len(offenders)}: {shown}", hint=HINT)


def _examples(out_dir: Path, names: Iterable[str]) -> Iterator[dict[str, str]]:
    for name in names:
        with (out_dir / name).open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)


def _trained_documents(out_dir: Path) -> Iterator[dict[str, str]]:
    """Id, entity and date of every document that is trained on; of an unnamed entity none."""
    for batch in _shards(out_dir, "train").to_batches(columns=["id", "entity", "date"]):
        for row in batch.to_pylist():
            yield row | {"entity": row["entity"] if row["entity"] != _whole(row["id"]) else ""}


def _crossing(out_dir: Path, source: str, how: Compared, curation: Curation) -> Iterator[str]:
    """Pairs of one source that are near-duplicates with the split between them."""
    ids: list[str] = []
    entities: list[str] = []
    held: list[bool] = []

    def texts() -> Iterator[pa.Array]:
        for split in ("heldout", "train"):
            columns = ["id", "entity", "text"]
            for batch in _shards(out_dir, split).to_batches(columns=columns, filter=pc.field("source") == source):
                ids.extend(batch["id"].to_pylist())
                entities.extend(batch["entity"].to_pylist())
                held.extend([split == "heldout"] * len(batch))
                if len(batch):
                    yield batch["text"]
            if not any(held):
                return  # nothing to cross to

    with tempfile.TemporaryFile(prefix="shingles-") as file:
        prints = prints_of(texts(), wanted(curation, common=how.common, figures=how.by_facts), cast(BinaryIO, file))
        sides = np.array(held, np.bool_)
        facts = Facts(_entities(ids, entities), prints.figures, sides) if how.by_facts else None
        _, edges, likeness = cluster(prints, curation, facts)
    for (one, other), alike in zip(edges.tolist(), likeness.tolist(), strict=True):
        if held[one] != held[other]:
            yield f"{ids[one]} and {ids[other]} ({alike:.2f})"


def _entities(ids: list[str], entities: list[str]) -> U64:
    pairs = zip(ids, entities, strict=True)
    return np.array([_hash(name) if name and name != _whole(one) else 0 for one, name in pairs], np.uint64)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _whole(identity: str) -> str:
    """The id of the document that this is a part of."""
    return re.sub(r"@\d+$", "", identity)


def _shards(out_dir: Path, split: str) -> ds.Dataset:
    files = sorted((out_dir / FOLDER / "data").glob(f"*-{split}-*.parquet"))
    return ds.dataset(files or pa.table({"id": [], "entity": [], "date": [], "source": [], "text": []}, COLUMNS_READ))
