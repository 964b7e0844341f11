"""What a curated corpus is for others: Parquet shards with lineage, a card the Hub reads, Croissant metadata."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from contracts.curation_report import CurationCard
from contracts.errors import GateError, RecipeError
from data_curation.curate import curate
from data_curation.dataset import _cell
from data_curation.phrases import Phrases
from recipes.corpus import Corpus, Inbox
from recipes.ontology import Ontology
from recipes.stage_sections import CurateSection
from tests.data_curation.corpus_sample import corpus, lease, lines, section

ONTOLOGY = Ontology.model_validate(
    {
        "concepts": {
            "rent": {"phrases": ["monthly rent"], "source": "a test"},
            "tax": {"phrases": ["property tax"], "source": "a test"},
        },
        "jurisdictions": {"DE": {"phrases": [], "source": "a test"}, "US": {"phrases": [], "source": "a test"}},
        "periods": {"twenties": {"first": date(2020, 1, 1), "last": date(2029, 12, 31), "source": "a test"}},
    }
)
DROP = Corpus(
    source="A test", licence="CC0-1.0", dates={"first": "2020-01-01", "last": "2021-01-01"}, jurisdiction="DE",
    language="en", personal_data=False,
)  # fmt: skip


def curated(tmp_path: Path, **changes: Any) -> Path:
    """The stage's output over the sample corpus, some rows twice."""
    rows = [lease(n) | {"signed": f"20{n:02d}-05-01"} for n in range(40)]
    place = corpus(tmp_path / "corpus", [*rows, lease(3) | {"id": "copy"}])
    made: CurateSection = section(place).model_copy(update={"vertical": "real_estate", "ontology": ONTOLOGY} | changes)
    dated = made.sources | {"leases": made.sources["leases"].model_copy(update={"date": "signed"})}
    out = tmp_path / "out"
    out.mkdir()
    curate(made.model_copy(update={"sources": dated}), {}, out)
    return out


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curated(tmp_path_factory.mktemp("dataset"), curated_on=date(2026, 1, 2))


def test_datasets_reads_the_folder(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    for use in ("pretraining", "replay"):
        loaded = load_dataset(str(out / "dataset"), use, cache_dir=str(tmp_path))
        assert loaded["train"]["id"] == [one["id"] for one in lines(out, f"{use}.jsonl")]
        assert loaded["heldout"]["text"] == [one["text"] for one in lines(out, f"{use}_heldout.jsonl")]


def test_every_row_leads_to_its_bytes(out: Path) -> None:
    rows = [
        row for shard in sorted((out / "dataset/data").glob("*.parquet")) for row in pq.read_table(shard).to_pylist()
    ]
    from_files = [row for row in rows if row["file"]]
    assert len(from_files) == 80
    for row in from_files:
        whole = (out.parent / "corpus" / row["file"]).read_bytes()
        assert json.loads(whole[row["start"] : row["end"]])["text"] == row["text"]
    assert {row["source"] for row in rows if not row["file"]} == {"questions"}, "the house's own"


def test_the_table_of_documents_holds_every_one_and_its_place(out: Path) -> None:
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    rows = [row for row in pq.read_table(out / "documents.parquet").to_pylist() if row["outcome"] != "example"]
    assert len(rows) == sum(one.read for one in card.sources) == len({row["id"] for row in rows})
    for row in rows:
        if row["outcome"] == "accepted":
            assert pq.read_table(out / row["shard"]).slice(row["row"], 1)["id"].to_pylist() == [row["id"]]
    (copy,) = [row for row in rows if row["outcome"] == "rejected"]
    assert (copy["id"], copy["reason"], copy["kept"]) == ("leases/copy", "exact_duplicate", "leases/lease-3")
    assert card.sources[0].rejected_tokens == {"exact_duplicate": copy["tokens"]}
    assert sum(one.accepted for one in card.lengths) == sum(one.accepted for one in card.sources)
    assert sum(one.rejected for one in card.lengths) == 1


def test_the_card_is_in_the_hubs_format(out: Path) -> None:
    text = (out / "dataset" / "README.md").read_text()
    matter = yaml.safe_load(text.split("---\n")[1])
    assert matter["license"] == ["apache-2.0", "cc0-1.0", "mit"]
    assert matter["size_categories"] == ["n<1K"]
    paths = [file["path"] for one in matter["configs"] for file in one["data_files"]]
    assert len(paths) == 6
    assert all(list((out / "dataset").glob(path)) for path in paths)
    assert "143 documents were read: 142 accepted, 1 rejected" in text


def test_croissant_is_what_the_format_asks_for(out: Path) -> None:
    """The required properties of Croissant 1.0, and that every name in it leads somewhere.

    mlcroissant 1.1.1 validated and read the file this code writes; it is no dependency of the house.
    """
    folder = out / "dataset"
    told = json.loads((folder / "croissant.json").read_text())
    assert told["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert told["@type"] == "sc:Dataset"
    for required in ("name", "description", "license", "url", "creator", "datePublished", "distribution", "recordSet"):
        assert told[required], required
    for term in ("recordSet", "field", "fileSet", "extract", "column", "includes", "key", "source"):
        assert told["@context"][term] == f"cr:{term}"
    assert told["@context"]["dataType"] == {"@id": "cr:dataType", "@type": "@vocab"}
    by_id = {one["@id"]: one for one in told["distribution"]}
    objects = [one for one in by_id.values() if one["@type"] == "cr:FileObject"]
    assert len(objects) == 6
    for one in objects:
        assert one["sha256"] == hashlib.sha256((folder / one["contentUrl"]).read_bytes()).hexdigest()
    for records in told["recordSet"]:
        for field in records["field"]:
            files = by_id[field["source"]["fileSet"]["@id"]]
            shards = list(folder.glob(files["includes"]))
            assert shards
            assert field["source"]["extract"]["column"] in pq.read_schema(shards[0]).names
            assert field["dataType"] in ("sc:Text", "sc:Integer", "sc:Boolean")


def test_coverage_counts_what_is_printed_dated_and_placed(out: Path) -> None:
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    assert {one.name: one.documents for one in card.coverage} == {
        "rent": 40, "tax": 0, "DE": 0, "US": 0, "twenties": 10,
    }  # fmt: skip
    assert card.places_and_years["not stated"]["2007"] == 1
    assert "Not covered: tax, DE, US." in (out / "dataset" / "README.md").read_text()


def test_a_drop_says_where_its_documents_are_from(tmp_path: Path) -> None:
    inbox = Inbox(drops={"leases.jsonl": DROP})
    card = CurationCard.model_validate_json((curated(tmp_path, inbox=inbox) / "card.json").read_text())
    assert {one.name: one.documents for one in card.coverage}["DE"] == 40
    assert card.places_and_years["DE"]["2007"] == 1


def test_a_place_that_a_document_and_its_drop_name_counts_once(tmp_path: Path) -> None:
    told = ONTOLOGY.model_dump() | {"jurisdictions": {"DE": {"phrases": ["monthly rent"], "source": "a test"}}}
    for inbox in (Inbox(drops={"leases.jsonl": DROP}), None):
        made = curated(tmp_path / str(bool(inbox)), ontology=Ontology.model_validate(told), inbox=inbox)
        card = CurationCard.model_validate_json((made / "card.json").read_text())
        assert {one.name: one.documents for one in card.coverage}["DE"] == 40


def test_required_coverage_fails_and_names_what_is_missing(tmp_path: Path) -> None:
    required = section(None).curation.model_copy(update={"require_coverage": {"tax": 3, "twenties": 11, "rent": 1}})
    with pytest.raises(GateError, match="got tax: 0 of 3 documents, twenties: 10 of 11 documents"):
        curated(tmp_path, curation=required)


def test_coverage_of_what_the_ontology_does_not_know_is_refused(tmp_path: Path) -> None:
    required = section(None).curation.model_copy(update={"require_coverage": {"taxes": 3}})
    with pytest.raises(RecipeError, match="names what is not there, got taxes"):
        curated(tmp_path, curation=required)


def test_a_removal_request_takes_the_document_and_lets_no_copy_in(tmp_path: Path) -> None:
    out = curated(tmp_path, removals=("leases/lease-3", "replay"))
    rejected = {one["id"]: one["reason"] for one in lines(out, "rejected.jsonl") if one["stage"] == "removal"}
    assert rejected.pop("leases/lease-3") == "removal_requested"
    assert set(rejected) == {f"replay/r{n}" for n in range(10)}
    for name in ("train", "eval", "pretraining", "replay", "pairs"):
        assert "Letter 3 to" not in (out / f"{name}.jsonl").read_text()
    assert not (out / "replay.jsonl").read_text()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("under Regulation\n  S-K, item 303", ["rules"]),
        ("NET—INCOME rose", ["income"]),
        ("net incomes", []),
        ("the subnet income", []),
        ("shareholders’ equity", ["equity"]),
        ("17 CFR §229.303", ["rules"]),
        ("in der Übergangszeit", ["umlaut"]),
        ("", []),
        ("Net income under Regulation S-K", ["income", "rules"]),
    ],
)
def test_phrases_are_found_in_whole_words(text: str, found: list[str]) -> None:
    groups = {"income": ["net income"], "rules": ["Regulation S-K", "17 CFR 229"], "equity": ["shareholders' equity"],
              "umlaut": ["Übergangszeit"]}  # fmt: skip
    counts = Phrases(groups).documents_with(pa.array([text]))
    assert [name for name, count in zip(groups, counts, strict=True) if count] == found


def test_a_cell_of_the_card_cannot_break_out() -> None:
    assert _cell("a|b\n<script>[x](javascript:1)") == "a\\|b \\<script\\>\\[x\\](javascript:1)"
