"""The curation stage as a whole, on small real files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contracts.artifacts import Artifact, broken_files, publish
from contracts.curation_report import CurationCard
from contracts.documents import ChatExample, Document, PreferencePair, read_jsonl
from contracts.errors import GateError, InputError, LicenceError, RecipeError
from contracts.stage import StageSpec
from data_curation.curate import curate
from data_curation.example_file import ExampleFile
from recipes.schema import Source
from tests.data_curation.corpus_sample import RIVERS, corpus, lease, lines, section, story, write_rows, written


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_outputs_are_records_of_the_house_and_add_up(tmp_path: Path, out: Path) -> None:
    artifact, _ = curate(section(corpus(tmp_path / "corpus")), {}, out)
    for name, kind in {
        "pretraining": Document, "pretraining_heldout": Document, "replay": Document, "replay_heldout": Document,
        "train": ChatExample, "eval": ChatExample, "general": ChatExample, "pairs": PreferencePair,
    }.items():  # fmt: skip
        assert list(read_jsonl(artifact.file(f"{name}.jsonl"), kind)), name
    card = CurationCard.model_validate_json(artifact.file("card.json").read_text())
    for source in card.sources:
        assert source.read == source.accepted + sum(source.rejected.values())
    assert artifact.metrics["read"] == artifact.metrics["accepted"] + artifact.metrics["rejected"]
    assert artifact.metrics["train_examples"] == len(lines(out, "train.jsonl"))
    example = lines(out, "train.jsonl")[0]
    assert json.loads(example["completion"]) == example["gold"]
    assert example["prompt"][0] == {"role": "system", "content": "Answer with JSON."}
    assert example["context"] in example["prompt"][1]["content"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    place = corpus(tmp_path / "corpus")
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files.append(curate(section(place), {}, tmp_path / name)[0].files)
    assert files[0] == files[1]


def test_no_entity_lies_on_both_sides(tmp_path: Path, out: Path) -> None:
    rows = [lease(n, entity=f"Party {n % 12}") for n in range(60)]
    curate(section(corpus(tmp_path / "corpus", rows)), {}, out)
    train = {one["entity"] for one in lines(out, "train.jsonl")}
    evaluation = {one["entity"] for one in lines(out, "eval.jsonl")}
    assert train and evaluation and not train & evaluation


def test_synthetic_documents_train_and_never_measure_beside_a_corpus(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    curate(section(place, augment=True), {"written": written(tmp_path / "written", 20)}, out)
    assert sum(one["synthetic"] for one in lines(out, "train.jsonl")) == 20
    assert not any(one["synthetic"] for one in lines(out, "eval.jsonl"))
    faults = {pair["fault"] for pair in lines(out, "pairs.jsonl")}
    assert {"another_lease", "swapped_digit", "wrong_scale"} <= faults


def test_written_documents_past_those_for_tuning_are_for_students_only(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    artifact, _ = curate(section(place, augment=True, tuning=6), {"written": written(tmp_path / "written", 20)}, out)
    train, students = lines(out, "train.jsonl"), lines(out, "students.jsonl")
    assert sum(one["synthetic"] for one in train) == 6
    assert len(students) == 14 == artifact.metrics["student_examples"]
    assert all(one["synthetic"] for one in students), "what is real is tuned on first"
    assert not {one["id"] for one in students} & {one["id"] for one in [*train, *lines(out, "eval.jsonl")]}
    asked = {json.dumps(one["prompt"]) for one in train}
    assert {json.dumps(pair["prompt"]) for pair in lines(out, "pairs.jsonl")} <= asked


def test_examples_over_a_tasks_limit_are_left_to_students(tmp_path: Path) -> None:
    made = ExampleFile(tmp_path / "made.jsonl", seed=7)
    examples = [example(number, synthetic=number > 2) for number in range(6)]
    made.add(examples, {"rent": 1})
    made.add([examples[0].model_copy(update={"id": "the same prompt again"})])
    made.close()
    assert [one for one, _ in made.read(range(6))] == examples and len(made) == 6
    assert [wrong for _, wrong in made.read([5, 0])] == [{"rent": 1}] * 2
    tuning, rest = made.shared_out(np.arange(6), documents=2, most=4)
    assert (tuning.tolist(), rest.tolist()) == ([0, 1, 2, 3], [4, 5])
    tuning, rest = made.shared_out(np.array([5, 3, 1, 4, 0, 2]), documents=1, most=99)
    assert (tuning.tolist(), rest.tolist()) == ([5, 1, 0, 2], [3, 4]), "the first written document in that order"
    assert made.shared_out(np.arange(6), documents=None, most=99)[0].tolist() == list(range(6))
    assert sorted(made.ordered().tolist()[:3]) == [0, 1, 2], "real ones first"
    assert [json.loads(line) for line in made.lines([4])] == [examples[4].model_dump(mode="json")]


def example(number: int, synthetic: bool) -> ChatExample:
    return ChatExample(id=f"e{number}", task="t", source="s", document_id=f"d{number}", synthetic=synthetic,
                       prompt=[{"role": "user", "content": f"question {number}"}], completion="answer")  # fmt: skip


def test_synthetic_documents_about_a_held_out_entity_are_dropped(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    curate(section(place), {}, out)
    entity = lines(out, "eval.jsonl")[0]["entity"]
    again = tmp_path / "again"
    again.mkdir()
    shouted = entity.upper().replace(" ", "  ")
    curate(section(place, augment=True), {"written": written(tmp_path / "written", 5, entity=shouted)}, again)
    rejected = [one for one in lines(again, "rejected.jsonl") if one["reason"] == "entity_held_out"]
    assert len(rejected) == 5
    assert not any(one["synthetic"] for one in lines(again, "train.jsonl"))


def test_without_augment_the_writers_documents_stay_out(tmp_path: Path, out: Path) -> None:
    curate(section(corpus(tmp_path / "corpus")), {"written": written(tmp_path / "written", 20)}, out)
    assert not any(one["synthetic"] for one in lines(out, "train.jsonl"))


def test_without_a_corpus_the_writers_documents_stand_in(tmp_path: Path, out: Path) -> None:
    artifact, _ = curate(section(None), {"written": written(tmp_path / "written", 40)}, out)
    assert all(one["synthetic"] for one in lines(out, "eval.jsonl")) and lines(out, "eval.jsonl")
    assert {one["task"] for one in lines(out, "general.jsonl")} == {"general"}, "the house's own questions"
    assert lines(out, "replay.jsonl"), "the house's own texts"
    assert artifact.metrics["missing_sources"] == []


def test_exact_and_near_duplicates_are_kept_readable_with_their_reason(tmp_path: Path, out: Path) -> None:
    rows = [lease(n) for n in range(30)]
    copy = rows[3] | {"id": "copy", "party": "Copy"}
    edited = rows[4] | {"id": "edited", "party": "Edited", "text": rows[4]["text"].replace("weighed", "counted")}
    place = corpus(tmp_path / "corpus", [*rows, copy, edited])
    curate(section(place), {}, out)
    reasons = {one["id"]: one["reason"] for one in lines(out, "rejected.jsonl")}
    assert reasons["leases/copy"] == "exact_duplicate"
    assert {reasons.get("leases/edited"), reasons.get("leases/lease-4")} & {
        "near_duplicate",
        "near_duplicate_of_evaluation",
    }
    kept = next(one for one in lines(out, "rejected.jsonl") if one["id"] == "leases/copy")
    assert kept["text"] and "leases/lease-3" in kept["detail"]


def test_of_a_pair_across_the_split_the_training_side_goes(tmp_path: Path, out: Path) -> None:
    rows = [lease(n) for n in range(40)]
    place = corpus(tmp_path / "corpus", rows)
    curate(section(place), {}, out)
    held = {one["entity"] for one in lines(out, "eval.jsonl")}
    copies = [
        row
        | {"id": f"copy-{row['id']}", "party": f"New {row['party']}", "text": row["text"].replace("weighed", "seen")}
        for row in rows
        if row["party"] in held
    ]
    again = tmp_path / "again"
    again.mkdir()
    curate(section(corpus(tmp_path / "more", [*copies, *rows])), {}, again)
    held_again = {one["document_id"] for one in lines(again, "eval.jsonl")}
    assert {f"leases/{row['id']}" for row in rows if row["party"] in held} <= held_again | {
        one["id"] for one in lines(again, "rejected.jsonl") if one["reason"] == "near_duplicate"
    }
    dropped = [one for one in lines(again, "rejected.jsonl") if one["reason"] == "near_duplicate_of_evaluation"]
    assert dropped and all(one["id"].startswith("leases/copy-") for one in dropped)


def test_reports_of_one_entity_on_one_form_are_no_copies(tmp_path: Path, out: Path) -> None:
    rows = [lease(n) for n in range(30)]
    twin = rows[4] | {"id": "twin", "text": rows[4]["text"].replace("$1,348", "$1,349")}
    twin["terms"] = {"rent": "1,349", "city": rows[4]["terms"]["city"]}
    assert twin["text"] != rows[4]["text"]
    curate(section(corpus(tmp_path / "corpus", [*rows, twin])), {}, out)
    assert "leases/twin" not in {one["id"] for one in lines(out, "rejected.jsonl")}


def test_a_source_that_would_collapse_fails_by_name(tmp_path: Path, out: Path) -> None:
    names = [" ".join(RIVERS[n % 12 :][:2]) + " copy" * (n // 12) for n in range(20)]
    rows = [lease(1) | {"id": name, "party": name, "text": lease(1)["text"] + f" {name}."} for name in names]
    with pytest.raises(GateError, match="source leases: would lose more than 50%"):
        curate(section(corpus(tmp_path / "corpus", rows), removal_ceiling=0.5), {}, out)


def test_template_heavy_documents_survive(tmp_path: Path, out: Path) -> None:
    form = "The parties agree that the premises shall be used for storage only and that the rent is due monthly. " * 6
    rows = [lease(n) | {"text": form + lease(n)["text"]} for n in range(40)]
    artifact, _ = curate(section(corpus(tmp_path / "corpus", rows), removal_ceiling=0.5), {}, out)
    assert "near_duplicate" not in artifact.metrics["rejected_by_reason"]


def test_pretraining_text_that_holds_an_evaluation_document_is_quarantined(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    curate(section(place), {}, out)
    leaked = lines(out, "eval.jsonl")[0]["context"]
    innocent = "Monthly rent: $1,237 due on day 5, deposit 3 months, keys 18. " + story(950)
    leaks = [{"id": f"leak{n}", "text": story(900 + n) + "\n" + leaked} for n in range(3)]
    stories = [{"id": f"s{n}", "text": story(n)} for n in range(30)]
    write_rows(place / "stories.jsonl", [*stories, *leaks, {"id": "innocent", "text": innocent}])
    again = tmp_path / "again"
    again.mkdir()
    curate(section(place), {}, again)
    contaminated = [one for one in lines(again, "rejected.jsonl") if one["reason"] == "contaminated"]
    assert contaminated and all(one["id"].startswith("stories/leak") for one in contaminated)
    assert "Letter" in contaminated[0]["detail"] and contaminated[0]["text"]
    assert not any(leaked in one["text"] for one in lines(again, "pretraining.jsonl"))
    accepted = {one["id"] for name in ("pretraining", "pretraining_heldout") for one in lines(again, f"{name}.jsonl")}
    assert "stories/innocent" in accepted


def test_a_forbidden_licence_is_refused_by_name(tmp_path: Path, out: Path) -> None:
    place = section(corpus(tmp_path / "corpus"))
    sources = place.sources | {"stories": Source(path="stories.jsonl", use="pretraining", licence="CC-BY-NC-4.0")}
    with pytest.raises(LicenceError, match=r"sources\.stories.*CC0-1\.0, MIT.*got CC-BY-NC-4\.0"):
        curate(place.model_copy(update={"sources": sources}), {}, out)


def test_a_missing_source_is_written_down_and_a_missing_corpus_refused(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    (place / "stories.jsonl").unlink()
    artifact, _ = curate(section(place), {}, out)
    assert artifact.metrics["missing_sources"] == ["stories", "questions"]
    with pytest.raises(InputError, match="no such corpus"):
        curate(section(tmp_path / "nowhere"), {}, out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no files"):
        curate(section(tmp_path / "empty"), {}, out)
    (place / "leases.jsonl").write_text("not json\n")
    with pytest.raises(InputError, match="no document is left for any task"):
        curate(section(place), {}, out)


def test_a_single_file_is_a_corpus(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    artifact, _ = curate(section(place / "leases.jsonl"), {}, out)
    assert artifact.metrics["train_by_task"]["terms"] > 10
    assert "stories" in artifact.metrics["missing_sources"]


def test_a_prompt_with_an_unknown_place_is_refused_before_reading(tmp_path: Path, out: Path) -> None:
    place = section(corpus(tmp_path / "corpus"))
    task = place.tasks["terms"].model_copy(update={"prompt": "{text} {party.__class__} {landlord}"})
    with pytest.raises(RecipeError, match=r"tasks\.terms\.prompt.*\{landlord\}"):
        curate(place.model_copy(update={"tasks": {"terms": task}}), {}, out)


def test_the_page_escapes_what_it_shows(tmp_path: Path, out: Path) -> None:
    rows = [lease(n) | {"text": lease(n)["text"] + " <script>alert(1)</script>"} for n in range(20)]
    place = corpus(tmp_path / "corpus", rows)
    (place / "stories.jsonl").rename(place / "s<b>.jsonl")
    curate(section(place), {}, out)
    page = (out / "card.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http://" not in page and "https://" not in page


def test_as_a_process_it_publishes_whole_files(tmp_path: Path) -> None:
    out_dir, place = tmp_path / "draft", corpus(tmp_path / "corpus")
    out_dir.mkdir()
    spec = StageSpec(
        stage="curate",
        section=section(place).model_dump(mode="json"),
        inputs={},
        out_dir=out_dir,
        parent_pid=0,
    )
    path = tmp_path / "spec.json"
    code = (
        "import os,sys,json,runpy; p=sys.argv[1]; s=json.load(open(p)); s['parent_pid']=os.getppid(); "
        "json.dump(s,open(p,'w')); runpy.run_module('data_curation.curate', run_name='__main__')"
    )
    path.write_text(spec.model_dump_json())
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    artifact = publish(Artifact(**result["artifact"], path=out_dir), tmp_path / "published")
    assert not broken_files(artifact) and artifact.metrics["train_examples"] > 0


def test_one_long_document_is_still_trained_on_and_measured(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    text = "\n\n".join(story(n) for n in range(40))
    write_rows(place / "stories.jsonl", [{"id": "long", "text": text}])
    curate(section(place), {}, out)
    assert lines(out, "pretraining.jsonl") and lines(out, "pretraining_heldout.jsonl")


def test_sources_share_the_room_for_text(tmp_path: Path, out: Path) -> None:
    artifact, _ = curate(section(corpus(tmp_path / "corpus"), max_pretraining_chars=20_000), {}, out)
    assert 0 < artifact.metrics["pretraining_chars"] <= 20_000
    assert len(lines(out, "pretraining.jsonl")) > len(lines(out, "pretraining_heldout.jsonl")), (
        "the sample is a fair one"
    )
    over = [one for one in lines(out, "rejected.jsonl") if one["reason"] == "over_max_pretraining_chars"]
    assert over and artifact.metrics["rejected_by_reason"]["over_max_pretraining_chars"] == len(over)
