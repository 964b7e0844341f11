"""A teacher behind an API: what the chain does then, and where its key goes and does not go."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from contracts.artifacts import Artifact, describe, publish
from contracts.documents import write_jsonl
from contracts.errors import InputError, ServeError
from contracts.stage import StageSpec
from flows import warm
from flows.build import Build, opened
from flows.chain import ask_section
from flows.plan import PlannedStage, plan
from flows.process import StageProcess
from flows.settings import CHECKOUT, Settings, secret
from flows.stage_call import StageCall
from flows.step import looked_up, plain_steps
from flows.surroundings import surroundings, teacher_key
from ledger.spend import spend
from recipes.load import load
from tests.distillation.teacher_server import Server, serving
from tests.flows.secret_stage import SecretSection
from tests.tiny_model import tiny_examples

KEY = "sk-tests-4711-do-not-write-down"
VARIABLE = "TESTS_TEACHER_KEY"
MODULE = "tests.flows.secret_stage"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", heartbeat_seconds=0.2, lease_ttl_seconds=1.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.key = KEY
        yield running


@pytest.fixture
def corpus(tmp_path: Path) -> Artifact:
    (tmp_path / "draft").mkdir()
    write_jsonl(tmp_path / "draft" / "train.jsonl", tiny_examples(6))
    return publish(describe(tmp_path / "draft", "corpus"), tmp_path / "corpus")


def overrides(endpoint: str) -> tuple[str, ...]:
    return (f"capture.endpoint={endpoint}", f"capture.api_key_env={VARIABLE}")


def planned(settings: Settings, *changes: str) -> tuple[dict[str, PlannedStage], list[str]]:
    made = plan(load("finance", "local", changes), settings, None)
    return {one.stage: one for one in made.stages}, made.notes


def files_with(home: Path, text: str) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_students_of_an_api_learn_its_verified_text_and_nothing_is_captured(settings: Settings) -> None:
    stages, notes = planned(settings, *overrides("https://teacher.example/v1"))
    order = list(stages)
    assert order.index("curate") < order.index("teacher") < order.index("distil") < order.index("student:student-7b")
    assert "capture" not in stages
    assert stages["teacher"].components["inputs"].keys() == {"corpus"}
    assert stages["teacher"].components["section"]["endpoint"] == "https://teacher.example/v1"
    assert stages["distil"].components["inputs"].keys() == {"answers", "corpus"}
    for name in ("student:student-14b", "student:student-7b"):
        assert stages[name].components["inputs"].keys() == {"teacher", "distilled", "layers"}
        assert stages[name].components["section"]["loss"] == "sequence"
    assert "student-7b: loss sequence (the teacher's probabilities are not captured: behind" in "\n".join(notes)


def test_without_an_endpoint_the_built_teacher_is_captured(settings: Settings) -> None:
    stages, _ = planned(settings)
    assert stages["student:student-7b"].components["inputs"].keys() == {"teacher", "distilled", "capture", "layers"}
    assert stages["student:student-7b"].components["section"]["loss"] == "top_k"
    assert stages["teacher"].components["inputs"].keys() == {"model", "corpus"}


def test_another_server_or_model_is_another_teacher_and_another_key_is_not(settings: Settings) -> None:
    def teacher(*changes: str) -> str:
        return planned(settings, *changes)[0]["teacher"].fingerprint

    first = overrides("https://teacher.example/v1")
    assert teacher(*first) == teacher(first[0]) == teacher(first[0], "capture.api_key_env=OTHER")
    assert len({teacher(*first), teacher(*overrides("https://b.example/v1")),
                teacher(*first, "capture.endpoint_model=big")}) == 3  # fmt: skip


def _ask(build: Build, corpus: Artifact) -> Artifact:
    section = ask_section(build.recipe, surroundings(build, teacher_key(build)))
    return plain_steps(build)("teacher", "distillation.ask", section, {"corpus": corpus})


def test_the_key_reaches_the_server_and_no_file(
    settings: Settings, server: Server, corpus: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    recipe = load("finance", "local", overrides(server.url))
    with opened("one", recipe, settings, None, "", "") as build:
        answers = _ask(build, corpus)
    assert answers.metrics["answered"] == len(tiny_examples(6))
    assert files_with(settings.home, server.url)  # what is looked for would be found
    assert files_with(settings.home, KEY) == []


def test_the_tokens_of_an_api_are_booked_at_its_price_or_told_to_have_none(
    settings: Settings, server: Server, corpus: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    recipe = load("finance", "local", overrides(server.url))
    with opened("one", recipe, settings, None, "", "") as build:
        _ask(build, corpus)
        assert any("tokens in" in note and "cost is unknown" in note for note in build.notes)
        assert spend(build.ledger, ())[0].expense_micro_usd == 0
    prices = {"teacher_usd_per_1m_tokens_in": 2.0, "teacher_usd_per_1m_tokens_out": 10.0}
    with opened("two", recipe, settings.model_copy(update=prices), None, "", "teacher") as build:
        usage = _ask(build, corpus).usage
        assert usage is not None and usage.tokens_out > 0
        assert spend(build.ledger, ())[0].expense_micro_usd == 2 * usage.tokens_in + 10 * usage.tokens_out


def test_a_refused_key_is_in_no_error_spec_result_or_log(
    settings: Settings, server: Server, corpus: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "sk-wrong-0815"
    monkeypatch.setenv(VARIABLE, wrong)
    recipe = load("finance", "local", overrides(server.url))
    with opened("one", recipe, settings, None, "", "") as build, pytest.raises(ServeError, match="HTTP 401") as caught:
        _ask(build, corpus)
    assert wrong not in str(caught.value)
    told = {path.name for path in files_with(settings.home, "Incorrect API key provided: Bearer ***")}
    assert told >= {"result.json", "log.txt"}
    assert files_with(settings.home, wrong) == []


def test_a_secret_comes_by_the_pipe_and_the_environment_does_not_have_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    section = SecretSection(variable=VARIABLE, key=SecretStr(KEY))
    with opened("one", load("finance", "local", overrides("http://x/v1")), settings, None, "", "") as build:
        made = plain_steps(build)("cold", MODULE, section, {})
        other = section.model_copy(update={"key": SecretStr("another")})
        assert looked_up(build, StageCall("cold", MODULE, other, {})).found == made
    assert made.metrics == {"digest": hashlib.sha256(KEY.encode()).hexdigest(), "in_environment": False}
    assert files_with(settings.home, KEY) == []


def test_an_interpreter_made_ready_is_told_the_secret_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "PACKAGES", ("json",))  # torch takes seconds, and its import is not what is tested
    environment = {"PYTHONPATH": str(CHECKOUT)}
    section = SecretSection(variable=VARIABLE, key=SecretStr(KEY))
    spec = StageSpec(stage="warm", section=section.model_dump(mode="json", exclude={"key"}), out_dir=tmp_path / "out",
                     parent_pid=Path("/proc/self").resolve().name, inputs={}, secrets=True)  # fmt: skip
    process = StageProcess(MODULE, spec, tmp_path, environment, {"key": KEY})
    ready = warm.prepare(environment)
    child = process.start(ready)
    assert child is ready
    assert process.finish(child)[0].metrics["digest"] == hashlib.sha256(KEY.encode()).hexdigest()
    assert KEY not in repr(process)
    assert files_with(tmp_path, KEY) == []


def test_a_missing_key_is_said_before_anything_runs_and_only_where_it_is_needed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    recipe = load("finance", "local", overrides("https://teacher.example/v1"))
    with (
        opened("one", recipe, settings, None, "", "") as build,
        pytest.raises(InputError, match=f"{VARIABLE}: is not set"),
    ):
        teacher_key(build)
    with opened("two", recipe, settings, None, "serve", "") as build:
        assert teacher_key(build).get_secret_value() == ""


@pytest.mark.parametrize("value", ["two words", "sk-\u00e9", "sk-\x07"])
def test_a_key_that_no_header_carries_is_refused_unseen(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(InputError, match="holds no key") as caught:
        secret(VARIABLE)
    assert value not in str(caught.value)
    monkeypatch.setenv(VARIABLE, f"{KEY}\r\n")  # as it comes out of a file
    assert secret(VARIABLE).get_secret_value() == KEY


ROOMS = ("contracts", "recipes", "flows", "selection", "data_curation", "training", "distillation", "evaluation")
ALLOWED = {"flows/settings.py", "serving/guardian.py", "serving/engine_entry.py", "data_curation/compiled.py"}
"""The engine's two processes have the standard library only; they pass on what they were given. The compiler's own
variable is read in its place, so that it need not be imported to be asked."""


def _reads_environment(file: Path) -> bool:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    written = [one.value for one in calls if isinstance(one, ast.Attribute) and one.attr == "update"]
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")]
    return any(node not in written for node in named)


def test_only_the_settings_read_the_environment() -> None:
    files = [file for room in (*ROOMS, "serving", "ledger") for file in (CHECKOUT / room).rglob("*.py")]
    assert {str(file.relative_to(CHECKOUT)) for file in files if _reads_environment(file)} == ALLOWED
