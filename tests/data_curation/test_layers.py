"""Layers of an inbox: a later one meets what was accepted before, reads none of it, and leaves the exam alone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contracts.artifacts import Artifact, load, publish
from contracts.curation_report import CurationCard
from contracts.documents import ChatExample
from contracts.errors import GateError, InputError
from data_curation.card_sum import card_of_layer, card_of_layers
from data_curation.curate import curate
from data_curation.earlier import earlier_of
from data_curation.inbox_card import inbox_card
from data_curation.join import join
from data_curation.layer_index import write_index
from data_curation.splitting import position
from data_curation.story import rows_of
from recipes.corpus import Corpus, Inbox
from recipes.ontology import Ontology
from recipes.schema import Source
from recipes.stage_sections import CurateSection, InboxCardSection, JoinSection
from tests.data_curation.corpus_sample import lease, lines, section, write_rows
from tests.data_curation.corpus_sample import story as plain

TOLD = Corpus(
    source="A test", licence="CC0-1.0", dates={"first": "2020-01-01", "last": "2021-01-01"}, jurisdiction="DE",
    language="en", personal_data=False,
)  # fmt: skip


class Place:
    """An inbox and a store in a folder; layers are made by the stage itself."""

    def __init__(self, folder: Path) -> None:
        self.inbox, self.store = folder / "inbox", folder / "store"

    def drop(self, name: str, rows: Sequence[dict[str, Any]]) -> str:
        write_rows(self.inbox / name / "data.jsonl", list(rows))
        return name

    def layer(self, name: str, drops: Sequence[str], before: Sequence[Artifact] = (), **changes: Any) -> Artifact:
        """The drops as the layer ``name``: those called leases and stories feed the recipe's sources."""
        told = section(self.inbox, holdout_share=changes.pop("holdout_share", 0.25))
        known = {one: told.sources[one] for one in ("leases", "stories")}
        sources = {one: known[one].model_copy(update={"path": f"{one}/data.jsonl"}) for one in known if one in drops}
        own = {one: Source(path=one, use="pretraining", licence="CC0-1.0", entity=changes.get("entity", ""))
               for one in drops if one not in known}  # fmt: skip
        tasks = {one: task for one, task in told.tasks.items() if task.source in sources}
        inbox = Inbox(drops=dict.fromkeys(drops, TOLD), described=tuple(own))
        made: CurateSection = told.model_copy(update={"sources": sources | own, "tasks": tasks, "inbox": inbox})
        made = made.model_copy(update={key: one for key, one in changes.items() if key in type(made).model_fields})
        out = self.store / f".{name}"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        draft, _ = curate(made, named(before), out)
        stamped = draft.model_copy(update={"fingerprint": name, "section": made.model_dump(mode="json")})
        return publish(stamped, self.store / name)


def named(layers: Sequence[Artifact]) -> dict[str, Artifact]:
    return {f"layer-{number:05d}": one for number, one in enumerate(layers, start=1)}


def stories(numbers: Sequence[int], start: str = "s") -> list[dict[str, Any]]:
    return [{"id": f"{start}{n}", "text": plain(n)} for n in numbers]


def reasons(layer: Artifact) -> dict[str, str]:
    return {one["id"]: f"{one['reason']}: {one['detail']}" for one in lines(layer.path, "rejected.jsonl")}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Leases and stories, then more stories of which two are copies, then a third drop."""
    made = Place(tmp_path_factory.mktemp("layers"))
    made.drop("leases", [lease(n) for n in range(40)])
    made.drop("stories", stories(range(30)))
    edited = plain(4).replace(plain(4).split()[90], "altered", 1)
    made.drop(
        "second", [*stories(range(100, 120)), {"id": "copy", "text": plain(3).upper()}, {"id": "edit", "text": edited}]
    )
    made.drop("third", [*stories(range(200, 210)), {"id": "again", "text": plain(105)}])
    return made


@pytest.fixture(scope="module")
def layers(place: Place) -> list[Artifact]:
    first = place.layer("one", ["leases", "stories"])
    second = place.layer("two", ["second"], [first])
    return [first, second, place.layer("three", ["third"], [first, second])]


def test_a_later_layer_rejects_what_was_accepted_before_and_says_where(layers: list[Artifact]) -> None:
    first, second, third = (reasons(one) for one in layers)
    assert not [one for one in first.values() if "accepted in drop" in one]
    assert second["second/copy"] == "exact_duplicate: of stories/s3; accepted in drop stories"
    assert second["second/edit"].startswith("near_duplicate")
    assert second["second/edit"].endswith("accepted in drop stories") and "; Jaccard 0." in second["second/edit"]
    assert third == {"third/again": "exact_duplicate: of second/s105; accepted in drop second"}
    (row,) = rows_of(layers[1].path, "second/copy")
    assert row["kept"] == "stories/s3"


def test_a_later_layer_reads_nothing_of_an_earlier_one_but_its_index(place: Place, layers: list[Artifact]) -> None:
    opened: list[str] = []
    watching = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event == "open" and isinstance(arguments[0], str):
            opened.append(arguments[0])

    sys.addaudithook(hook)
    again = place.layer("two-again", ["second"], layers[:1])
    watching[0] = False
    old = str(layers[0].path)
    read = {str(Path(one).relative_to(old)).split("/")[0] for one in opened if one.startswith(old)}
    assert read == {"index"}
    inbox = {Path(one).relative_to(place.inbox).parts[0] for one in opened if one.startswith(str(place.inbox))}
    assert inbox == {"second"}
    assert files_of(again.path / "index" / "_pretraining") == files_of(layers[1].path / "index" / "_pretraining")


def test_an_index_that_was_deleted_and_made_again_changes_no_decision(place: Place, layers: list[Artifact]) -> None:
    """Made from the accepted documents, and by the stage anew: the same bytes both times, so in the next layer too."""
    wanted = files_of(layers[1].path)
    shutil.copytree(layers[1].path, place.store / "spoilt")
    spoilt = load(place.store / "spoilt")
    assert spoilt is not None
    shutil.rmtree(spoilt.path / "index")
    with pytest.raises(InputError, match="is no whole index"):
        earlier_of(named([layers[0], spoilt]))
    told = CurateSection.model_validate(spoilt.section)
    exam = [
        ChatExample.model_validate(one) for name in ("eval", "general") for one in lines(spoilt.path, f"{name}.jsonl")
    ]
    write_index(spoilt.path, told, earlier_of(named(layers[:1])), exam, {})
    assert files_of(spoilt.path) == wanted
    next_layer = place.layer("three-again", ["third"], [layers[0], spoilt])
    assert files_of(next_layer.path / "dataset") == files_of(layers[2].path / "dataset")
    assert reasons(next_layer) == reasons(layers[2])


def test_drops_at_once_end_as_drops_one_after_the_other(place: Place, layers: list[Artifact]) -> None:
    whole = place.layer("whole", ["leases", "stories", "second", "third"])
    names = ("pretraining", "pretraining_heldout")
    at_once = {one["id"] for name in names for one in lines(whole.path, f"{name}.jsonl")}
    stepwise = {one["id"] for layer in layers for name in names for one in lines(layer.path, f"{name}.jsonl")}
    assert at_once == stepwise and len(stepwise) == 60


def test_the_exam_stays_and_a_task_without_one_gets_it_later(place: Place) -> None:
    plainly = place.layer("text-first", ["stories"])
    assert not lines(plainly.path, "eval.jsonl")
    with_tasks = place.layer("tasks-later", ["leases"], [plainly])
    items = lines(with_tasks.path, "eval.jsonl")
    assert items and {one["task"] for one in items} == {"terms"}
    later = place.layer("after", ["second"], [plainly, with_tasks])
    assert not lines(later.path, "eval.jsonl")
    assert lines(later.path, "index/exam.jsonl") == items


def test_training_text_with_an_item_of_an_earlier_exam_falls(place: Place, layers: list[Artifact]) -> None:
    item = lines(layers[0].path, "eval.jsonl")[0]
    place.drop("leak", [{"id": "leak", "text": f"{plain(300)}\n{item['context']}\n{plain(301)}"}, *stories([302, 303])])
    told = reasons(place.layer("leaking", ["leak"], layers))
    assert told["leak/leak"].startswith("contaminated: ")


def test_both_sides_of_the_split_meet_over_the_layers(place: Place) -> None:
    """A held-out lease comes again as text to train on; text that was trained on comes again as a held-out lease."""
    held = next(n for n in range(500, 600) if position(7, f"{lease(n)['party'].lower()}") < 0.25)
    place.drop("early", [*stories(range(400, 410)), {"id": "text", "text": lease(held)["text"]}])
    first = place.layer("early-text", ["early"])
    place.drop("leases", [lease(n) for n in [*range(40), held]])
    second = place.layer("late-leases", ["leases"], [first])
    fell = reasons(second)
    assert fell[f"leases/lease-{held}"] == "exact_duplicate: of early/text; accepted in drop early"
    heldout = next(one for one in lines(second.path, "eval.jsonl"))
    number = int(heldout["document_id"].rpartition("-")[2])
    near = lease(number)["text"].replace("weighed", "looked at")
    place.drop("late", [{"id": "twin", "text": near}, *stories(range(420, 425))])
    third = place.layer("late-text", ["late"], [first, second])
    assert reasons(third)["late/twin"].startswith(f"near_duplicate_of_evaluation: of leases/lease-{number}; Jaccard 0.")
    place.drop("leases", [lease(n) for n in range(40)])


def test_an_entity_keeps_the_side_on_which_it_was_met_first(place: Place) -> None:
    parties = [lease(n)["party"] for n in range(40)]
    place.drop("named", [{"id": f"n{n}", "text": plain(600 + n), "party": party} for n, party in enumerate(parties)])
    first = place.layer("leases-first", ["leases"])
    held = {one["entity"] for one in lines(first.path, "eval.jsonl")}
    second = place.layer("named-later", ["named"], [first], entity="party")
    assert not held & {one["entity"] for one in lines(second.path, "pretraining.jsonl")}
    assert held <= {one["entity"] for one in lines(second.path, "pretraining_heldout.jsonl")}
    turned = place.layer("named-first", ["named"], entity="party")
    trained = {one["entity"] for one in lines(turned.path, "pretraining.jsonl")}
    later = place.layer("leases-later", ["leases"], [turned])
    assert not trained & {one["entity"] for one in lines(later.path, "eval.jsonl")}


def test_copies_of_what_was_asked_to_be_removed_stay_out_of_later_layers(place: Place) -> None:
    first = place.layer("less", ["leases", "stories"], removals=("stories/s3",))
    assert reasons(first)["stories/s3"] == "removal_requested: of stories/s3"
    second = place.layer("less-second", ["second"], [first])
    assert reasons(second)["second/copy"] == "removal_requested: an exact copy of stories/s3"
    third = place.layer("less-all", ["second"], [place.layer("none", ["leases", "stories"], removals=("stories",))])
    assert "second/copy" not in reasons(third), "the same text from elsewhere, once a source is gone"


def joined(place: Place, layers: Sequence[Artifact], name: str = "joined", **changes: Any) -> Path:
    out = place.store / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    told = section(place.inbox)
    curation = told.curation.model_copy(update=changes)
    drops = {drop: TOLD for one in layers for drop in one.section["inbox"]["drops"]}
    join(JoinSection(curation=curation, vertical="real_estate", inbox=Inbox(drops=drops)), named(layers), out)
    return out


def test_the_joined_corpus_is_the_layers_one_after_the_other(
    place: Place, layers: list[Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = joined(place, layers)
    for name in ("pretraining", "train", "students", "eval", "general", "pairs", "rejected"):
        assert lines(out, f"{name}.jsonl") == [row for one in layers for row in lines(one.path, f"{name}.jsonl")]
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    assert [one.drops for one in card.layers] == [["leases", "stories"], ["second"], ["third"]]
    assert sum(one.read for one in card.sources) == 40 + 30 + 22 + 11
    assert sum(one.accepted for one in card.sources) == sum(one.accepted for one in card.layers)
    (row,) = rows_of(out, "second/s107")
    assert pq.read_table(out / row["shard"])["id"][row["row"]].as_py() == "second/s107"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    read = load_dataset(str(out / "dataset"), "pretraining", cache_dir=str(tmp_path))
    assert sum(len(read[split]) for split in read) == 60


def test_an_exam_that_came_later_takes_its_text_out_of_the_earlier_layers(place: Place) -> None:
    wanted = lines(place.layer("leases-alone", ["leases"]).path, "eval.jsonl")[0]
    place.drop(
        "leaky", [{"id": "leak", "text": f"{plain(700)}\n{wanted['context']}\n{plain(701)}"}, *stories(range(710, 730))]
    )
    first = place.layer("leaky-first", ["leaky"])
    assert "leaky/leak" not in reasons(first)
    second = place.layer("leases-second", ["leases"], [first])
    out = joined(place, [first, second], "joined-leaky")
    (row,) = rows_of(out, "leaky/leak")
    assert (row["outcome"], row["reason"], row["shard"]) == ("rejected", "contaminated", None)
    assert "leaky/leak" not in {one["id"] for one in lines(out, "pretraining.jsonl")}
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    for one in card.sources:
        assert one.read == one.accepted + sum(one.rejected.values())
    assert {one.source: one.rejected for one in card.sources}["leaky"] == {"contaminated": 1}
    before = card_of_layers([first, second])
    assert sum(one.accepted for one in card.lengths) == sum(one.accepted for one in before.lengths) - 1
    for identity in ("leaky/s710", "leaky/s729"):
        (row,) = rows_of(out, identity)
        assert pq.read_table(out / row["shard"])["id"][row["row"]].as_py() == identity


def test_the_whole_stays_within_the_characters_that_the_recipe_allows(place: Place, layers: list[Artifact]) -> None:
    out = joined(place, layers, "joined-small", max_pretraining_chars=30_000)
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    assert 0 < card.pretraining_chars <= 30_000 < card_of_layers(layers).pretraining_chars
    over = {one["source"] for one in lines(out, "rejected.jsonl") if one["reason"] == "over_max_pretraining_chars"}
    assert {"stories", "second"} <= over
    for one in card.sources:
        assert one.read == one.accepted + sum(one.rejected.values())


def test_a_damaged_layer_is_not_joined(place: Place, layers: list[Artifact]) -> None:
    shutil.copytree(layers[1].path, place.store / "broken")
    (place.store / "broken" / "pretraining.jsonl").write_text("{}\n")
    broken = load(place.store / "broken")
    assert broken is not None
    with pytest.raises(InputError, match=r"is damaged, got pretraining\.jsonl"):
        joined(place, [layers[0], broken], "joined-broken")


def test_the_card_of_an_inbox_adds_its_layers_up(place: Place, layers: list[Artifact], tmp_path: Path) -> None:
    made, _ = inbox_card(InboxCardSection(quarantined={"bad": "no licence"}), named(layers), tmp_path)
    card = CurationCard.model_validate_json((tmp_path / "card.json").read_text())
    assert made.metrics["read"] == 103 and card.quarantined["bad"] == "no licence"
    page = (tmp_path / "card.html").read_text()
    assert "What came when" in page and "leases, stories" in page
    assert "third/again" in page and "second/copy" in page, "samples are of all layers"


def test_the_whole_must_cover_enough_and_not_each_layer(place: Place, tmp_path: Path) -> None:
    wood = Ontology.model_validate({"concepts": {"wood": {"phrases": ["oak planks"], "source": "a test"}}})
    told = section(place.inbox, require_coverage={"wood": 30}).curation
    first = place.layer("wood-one", ["leases"], ontology=wood, curation=told)
    second = place.layer("wood-two", ["stories"], [first], ontology=wood, curation=told)
    counts = [one.coverage[0].documents for one in map(card_of_layer, (first, second))]
    assert 0 < counts[0] < 30
    inbox_card(InboxCardSection(require_coverage={"wood": sum(counts)}), named([first, second]), tmp_path)
    with pytest.raises(GateError, match=f"wood: {sum(counts)} of {sum(counts) + 1} documents"):
        inbox_card(InboxCardSection(require_coverage={"wood": sum(counts) + 1}), named([first, second]), tmp_path)


def test_a_layer_of_nothing_but_damaged_files_is_a_layer(place: Place, layers: list[Artifact]) -> None:
    (place.inbox / "junk").mkdir()
    (place.inbox / "junk" / "data.jsonl").write_bytes(b"\x00\x01{")
    made = place.layer("junk-layer", ["junk"], layers[:2])
    assert made.metrics["accepted"] == 0 and made.metrics["quarantined_files"] == 1
    after = place.layer("after-junk", ["third"], [*layers[:2], made])
    assert reasons(after) == reasons(layers[2])
