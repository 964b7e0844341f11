"""Teacher answers are taught only when they agree with the gold fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, ModelAnswer, read_jsonl, write_jsonl
from contracts.errors import InputError
from distillation.select import select
from recipes.training_sections import Capture
from tests.tiny_model import tiny_examples


def answer(number: int, text: str, finish: str = "stop", sample: int = 0) -> ModelAnswer:
    return ModelAnswer(
        example_id=f"e{number}", sample=sample, text=text, finish=finish, prompt_tokens=9, completion_tokens=4
    )


def inputs_of(tmp_path: Path, answers: list[ModelAnswer], count: int = 6) -> dict[str, Artifact]:
    for name in ("corpus", "answers", "out"):
        (tmp_path / name).mkdir()
    write_jsonl(tmp_path / "corpus" / "train.jsonl", tiny_examples(count))
    write_jsonl(tmp_path / "answers" / "answers.jsonl", answers)
    return {name: describe(tmp_path / name, name) for name in ("corpus", "answers")}


def test_accepted_answers_replace_gold_and_the_rest_is_kept_with_its_reason(tmp_path: Path):
    answers = [
        answer(0, '{"figure": 100.0,  "name": "ALDER CO"}'),
        answer(1, "the name is Birch"),
        answer(2, '{"name": "Cedar Holdings of the North", "figure": 175}'),
        answer(3, '{"name": "Elm", "fig', finish="length"),
        answer(4, '{"name": "nobody"}'),
        answer(4, '{"name": "Alder Co", "figure": 248}', sample=1),
    ]
    inputs = inputs_of(tmp_path, answers)
    artifact, _ = select(Capture(), inputs, tmp_path / "out")
    taught = {one.id: one.completion for one in read_jsonl(tmp_path / "out" / "train.jsonl", ChatExample)}
    gold = {one.id: one.completion for one in tiny_examples(6)}
    assert taught["e0"] == '{"figure": 100.0,  "name": "ALDER CO"}'
    assert taught["e4"] == '{"name": "Alder Co", "figure": 248}'
    assert {name: taught[name] for name in ("e1", "e2", "e3", "e5")} == {
        name: gold[name] for name in ("e1", "e2", "e3", "e5")
    }
    assert artifact.metrics == {
        "examples": 6,
        "asked": 5,
        "answers": 6,
        "accepted": 2,
        "rejected": {"invalid_json": 1, "unfinished": 1, "wrong_fields": 2},
        "from_gold": 4,
        "teacher_tokens": 24,
        "teacher_tokens_per_accepted": 12.0,
    }
    assert len((tmp_path / "out" / "rejected.jsonl").read_text().splitlines()) == 4


def test_without_answers_all_is_gold(tmp_path: Path):
    inputs = inputs_of(tmp_path, [])
    del inputs["answers"]
    artifact, _ = select(Capture(), inputs, tmp_path / "out")
    assert artifact.metrics["from_gold"] == 6
    assert artifact.metrics["teacher_tokens_per_accepted"] is None


def test_answers_of_another_corpus_and_an_empty_corpus_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="e77"):
        select(Capture(), inputs_of(tmp_path, [answer(77, "{}")]), tmp_path / "out")
    (tmp_path / "corpus" / "train.jsonl").write_text("")
    with pytest.raises(InputError, match="no training examples"):
        select(Capture(), {"corpus": describe(tmp_path / "corpus", "corpus")}, tmp_path / "out")


def test_further_examples_follow_in_their_order_with_their_gold(tmp_path: Path):
    inputs = inputs_of(tmp_path, [answer(0, '{"figure": 100.0,  "name": "ALDER CO"}')], count=2)
    write_jsonl(tmp_path / "corpus" / "students.jsonl", tiny_examples(5)[2:])
    inputs["corpus"] = describe(tmp_path / "corpus", "corpus")
    artifact, _ = select(Capture(), inputs, tmp_path / "out")
    taught = list(read_jsonl(tmp_path / "out" / "train.jsonl", ChatExample))
    assert [one.id for one in taught] == ["e0", "e1", "e2", "e3", "e4"]
    assert taught[4].completion == tiny_examples(5)[4].completion
    assert (artifact.metrics["examples"], artifact.metrics["from_gold"]) == (5, 4)
