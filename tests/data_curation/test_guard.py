"""The last look at the split: over the files as written, each rule of it, and the offenders by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import GateError
from data_curation.cross_sources import Compared
from data_curation.curate import curate
from data_curation.guard import check_split
from data_curation.minhash import common_table
from recipes.schema import Curation
from tests.data_curation.corpus_sample import corpus, lease, lines, section, written

CURATION = Curation(licences=("CC0-1.0",))
NOTHING_COMMON = common_table(np.zeros(0, np.uint32))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guard")
    (folder / "out").mkdir()
    rows = [lease(n) | {"signed": f"20{n:02d}-05"} for n in range(40)]
    wanted = section(corpus(folder / "corpus", rows), augment=True, holdout_from="2030")
    dated = wanted.sources | {"leases": wanted.sources["leases"].model_copy(update={"date": "signed"})}
    curate(wanted.model_copy(update={"sources": dated}), {"written": written(folder / "written", 6)}, folder / "out")
    return folder / "out"


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


def add_example(out: Path, name: str, **changes: Any) -> None:
    """One more example like the first one of the file."""
    told = lines(out, name)[0] | changes
    with (out / name).open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")


def add_document(out: Path, split: str, **changes: Any) -> dict[str, Any]:
    """One more document like the first one of the side; returns it."""
    (shard,) = (out / "dataset" / "data").glob(f"tasks-{split}-*.parquet")
    table = pq.read_table(shard)
    row: dict[str, Any] = table.slice(0, 1).to_pylist()[0] | changes
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist([row], schema=table.schema)]), shard)
    return row


def check(out: Path, curation: Curation = CURATION) -> None:
    told = {
        "leases": Compared(NOTHING_COMMON, True, "tasks"), "stories": Compared(NOTHING_COMMON, False, "pretraining")
    }  # fmt: skip
    check_split(out, curation, told)


def test_what_curation_writes_passes(out: Path) -> None:
    check(out)
    check(out, CURATION.model_copy(update={"holdout_from": "2030"}))


def test_nothing_dated_too_late_is_trained_on(out: Path) -> None:
    rejected = [one for one in lines(out, "rejected.jsonl") if one["reason"] == "too_late_to_train"]
    assert rejected and all(one["date"] >= "2030" for one in rejected)
    taught = {one["document_id"] for one in lines(out, "train.jsonl")}
    assert taught & {f"leases/lease-{n}" for n in range(30)}
    assert not taught & {f"leases/lease-{n}" for n in range(30, 40)}
    with pytest.raises(
        GateError, match=r"split: documents dated from 2010 on: are trained on, got \d+: leases/lease-1"
    ):
        check(out, CURATION.model_copy(update={"holdout_from": "2010"}))


def test_a_document_on_both_sides(out: Path) -> None:
    asked = lines(out, "eval.jsonl")[0]["document_id"]
    add_example(out, "train.jsonl", document_id=asked)
    with pytest.raises(GateError, match=f"split: documents: lie on both sides of the split, got 1: {asked}"):
        check(out)


@pytest.mark.parametrize("name", ["train.jsonl", "students.jsonl"])
def test_an_entity_on_both_sides_however_it_is_written(out: Path, name: str) -> None:
    (out / "students.jsonl").write_text((out / "train.jsonl").read_text())
    entity = lines(out, "eval.jsonl")[0]["entity"].upper().replace(" ", "  ")
    add_example(out, name, document_id="new", entity=entity)
    with pytest.raises(GateError, match=f"split: entities: lie on both sides of the split, got 1: {entity}"):
        check(out)


def test_a_near_duplicate_across_the_split(out: Path) -> None:
    (shard,) = (out / "dataset" / "data").glob("tasks-heldout-*.parquet")
    leases = [row for row in pq.read_table(shard).to_pylist() if row["source"] == "leases"]
    first = leases[0]
    add_document(out, "train", id="leases/copy", source="leases", entity="A stranger", date="2001",
                 text=first["text"] + " Copied.")  # fmt: skip
    with pytest.raises(GateError, match="split: near-duplicates: lie on both sides") as raised:
        check(out)
    assert "leases/copy" in str(raised.value)
    assert first["id"] in str(raised.value)


def test_a_near_duplicate_on_one_side_is_none_of_its_business(out: Path) -> None:
    first = add_document(out, "train", id="leases/other")
    add_document(out, "train", id="leases/copy", text=str(first["text"]) + " Copied.")
    check(out)
