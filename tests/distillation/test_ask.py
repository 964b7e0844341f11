"""A teacher behind real HTTP: busy at times, cut off, gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

import contracts.endpoint
from contracts.artifacts import Artifact, describe
from contracts.documents import ModelAnswer, read_jsonl, write_jsonl
from contracts.endpoint import Endpoint
from contracts.errors import InputError, ServeError
from distillation.ask import ask, ask_teacher, sample, unfenced
from recipes.stage_sections import AskSection
from tests.distillation.teacher_server import Server, serving
from tests.tiny_model import tiny_examples


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    # The back-off is real time; a test that waits seconds proves nothing more.
    monkeypatch.setattr(contracts.endpoint.time, "sleep", lambda _: None)
    with serving() as running:
        yield running


def test_busy_answers_are_asked_again_and_all_arrive_once(server: Server, tmp_path: Path):
    server.busy = True
    out = tmp_path / "answers.jsonl"
    failed = ask(tiny_examples(20), Endpoint(base_url=server.url, model="t"), out, 4, 64)
    answers = list(read_jsonl(out, ModelAnswer))
    assert failed == {}
    assert sorted(answer.example_id for answer in answers) == sorted(f"e{number}" for number in range(20))
    assert sum(server.seen.values()) > 20


def test_a_killed_run_goes_on_where_it_was_and_drops_the_half_line(server: Server, tmp_path: Path):
    out = tmp_path / "answers.jsonl"
    endpoint = Endpoint(base_url=server.url, model="t")
    ask(tiny_examples(5), endpoint, out, 2, 64)
    whole = out.read_bytes()
    out.write_bytes(whole + b'{"example_id": "e5", "text": "cut he')
    server.seen.clear()
    ask(tiny_examples(8), endpoint, out, 2, 64)
    assert out.read_bytes().startswith(whole)
    assert sum(server.seen.values()) == 3
    assert len({answer.example_id for answer in read_jsonl(out, ModelAnswer)}) == 8


def test_one_refused_prompt_is_named_and_the_others_answered(server: Server, tmp_path: Path):
    server.broken = "figure 174"
    failed = ask(tiny_examples(6), Endpoint(base_url=server.url, model="t"), tmp_path / "a.jsonl", 2, 64)
    assert list(failed) == ["e2"]
    assert "HTTP 400" in failed["e2"]
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 5


def test_a_server_that_is_gone_ends_the_asking(server: Server, tmp_path: Path):
    server.broken = "figure"
    with pytest.raises(ServeError, match="HTTP 400"):
        ask(tiny_examples(50), Endpoint(base_url=server.url, model="t"), tmp_path / "a.jsonl", 2, 64)
    assert sum(server.seen.values()) < 50


def corpus_and_out(tmp_path: Path, count: int) -> tuple[dict[str, Artifact], Path]:
    for name in ("corpus", "out"):
        (tmp_path / name).mkdir()
    write_jsonl(tmp_path / "corpus" / "train.jsonl", tiny_examples(count))
    return {"corpus": describe(tmp_path / "corpus", "corpus")}, tmp_path / "out"


def asking(server: Server, **changes: object) -> AskSection:
    return AskSection(**{"endpoint": server.url, "model": "", "max_items": 4, "max_new_tokens": 64} | changes)


def test_the_stage_asks_the_model_that_the_server_lists(server: Server, tmp_path: Path):
    inputs, out = corpus_and_out(tmp_path, 6)
    artifact, usage = ask_teacher(asking(server), inputs, out)
    assert artifact.metrics == {"model": "big-teacher", "asked": 4, "answered": 4, "failed": {}}
    assert (usage.tokens_in, usage.tokens_out) == (28, 12)
    assert list(artifact.files) == ["answers.jsonl"]


def test_a_named_model_is_asked_for_by_its_name(server: Server, tmp_path: Path):
    inputs, out = corpus_and_out(tmp_path, 2)
    artifact, _ = ask_teacher(asking(server, model="small-teacher"), inputs, out)
    assert artifact.metrics["model"] == "small-teacher"
    assert server.models == {"small-teacher"}


def test_an_empty_corpus_is_refused(server: Server, tmp_path: Path):
    inputs, out = corpus_and_out(tmp_path, 0)
    with pytest.raises(InputError, match="no training examples"):
        ask_teacher(asking(server), inputs, out)


def test_the_key_goes_with_every_request_and_a_refused_one_is_not_repeated(server: Server, tmp_path: Path):
    inputs, out = corpus_and_out(tmp_path, 3)
    server.key = "right-key-4711"
    artifact, _ = ask_teacher(asking(server, api_key=SecretStr("right-key-4711")), inputs, out)
    assert artifact.metrics["answered"] == 3
    for model in ("", "big-teacher"):  # refused at the list of models, and at the prompts
        with pytest.raises(ServeError, match=r"HTTP 401.*Bearer \*\*\*") as caught:
            ask_teacher(asking(server, model=model, api_key=SecretStr("wrong-key-0815")), inputs, tmp_path / "corpus")
        assert "wrong-key" not in str(caught.value)
        assert "key" in caught.value.hint


@pytest.mark.parametrize("says", ["<html>busy</html>", "[1, 2]", '{"data": []}'])
def test_a_server_that_speaks_no_such_protocol_is_named(server: Server, tmp_path: Path, says: str):
    server.says = says
    inputs, out = corpus_and_out(tmp_path, 2)
    with pytest.raises(ServeError, match="hint"):
        ask_teacher(asking(server), inputs, out)


def test_who_is_asked_depends_on_the_ids_alone():
    examples = tiny_examples(30)
    chosen = sample(examples, 8, 7)
    assert sample(list(reversed(examples)), 8, 7) == chosen
    assert chosen != examples[:8]
    assert sample(examples, 8, 8) != chosen


@pytest.mark.parametrize(
    ("text", "learnt"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('```\n{\n "a": 1\n}\n```\n', '{\n "a": 1\n}'),
        ('{"a": "```"}', '{"a": "```"}'),
        ('Here:\n```json\n{"a": 1}\n```', 'Here:\n```json\n{"a": 1}\n```'),
    ],
)
def test_a_code_fence_is_not_taught(text: str, learnt: str):
    assert unfenced(text) == learnt
