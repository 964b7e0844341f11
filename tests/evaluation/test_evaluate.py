"""The evaluation stage on the local engine and over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contracts.artifacts import Artifact, publish
from contracts.documents import ChatExample, read_jsonl
from contracts.endpoint import Endpoint
from contracts.errors import InputError, ServeError
from contracts.stage import StageResult, StageSpec
from evaluation.endpoint_engine import EndpointEngine
from evaluation.evaluate import evaluate, evaluate_with, read_items, read_report
from recipes.schema import Evaluation
from recipes.stage_sections import EvaluateSection
from recipes.training_sections import Answering
from tests.evaluation.tiny import corpus_artifact, model_artifact

SECTION = EvaluateSection(
    model_name="tiny",
    evaluation=Evaluation(
        answering=Answering(max_new_tokens=6, batch_size=4), general_items=4, bootstrap=100, primary_task="cover_page"
    ),
)


@pytest.fixture
def corpus(tmp_path: Path) -> Artifact:
    return corpus_artifact(tmp_path / "corpus")


def test_every_suite_is_asked_and_scored(tmp_path: Path, corpus: Artifact) -> None:
    out = tmp_path / "out"
    out.mkdir()
    draft, usage = evaluate(SECTION, {"model": model_artifact(tmp_path / "model"), "corpus": corpus}, out)
    report, items = read_report(draft), read_items(draft)
    assert set(draft.files) == {"report.json", "items.jsonl"} and draft.kind == "evaluation"
    assert {name: suite.items for name, suite in report.suites.items()} == {"cover_page": 6, "general": 4}
    assert set(report.suites["general"].scores) == {"accuracy"}
    assert len(items) == 10 and all(one.completion_tokens for one in items)
    assert draft.metrics["general.accuracy"] == report.suites["general"].scores["accuracy"].value
    assert usage.tokens_out == report.completion_tokens
    assert report.engine.startswith("local ")


class Chat(BaseHTTPRequestHandler):
    """An OpenAI-protocol server that answers rightly, but for company 3, and busy at the first request."""

    busy = True
    examples: ClassVar[dict[str, ChatExample]] = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if Chat.busy:
            Chat.busy = False
            return self._reply(503, {})
        example = Chat.examples[body["messages"][-1]["content"]]
        text = "I do not know 99" if example.id.endswith("/3") else example.completion
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return self._reply(200, {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(corpus: Artifact) -> Iterator[str]:
    Chat.busy = True
    for name in ("eval.jsonl", "general.jsonl"):
        Chat.examples |= {one.prompt[-1]["content"]: one for one in read_jsonl(corpus.file(name), ChatExample)}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_an_endpoint_is_evaluated_the_same_way(tmp_path: Path, corpus: Artifact, address: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    provider = EndpointEngine(Endpoint(base_url=address, model="tiny"))
    draft, answers = evaluate_with(provider, SECTION, corpus, out)
    scores = read_report(draft).suites["cover_page"].scores
    assert scores["exact_match"].value == pytest.approx(5 / 6)
    assert scores["invented_number_rate"].value == pytest.approx(1 / 6)
    general = [one for one in read_items(draft) if one.task == "general"]
    assert [one.right for one in general] == [not one.id.endswith("/3") for one in general]
    assert len(answers) == 10


def test_an_address_that_is_no_chat_server(corpus: Artifact, address: str, tmp_path: Path) -> None:
    class Wrong(Endpoint):
        """A server that answers something else."""

        def chat(self, messages: list[dict[str, str]], **options: Any) -> dict[str, Any]:
            return {"object": "list", "data": []}

    with pytest.raises(ServeError, match="answered no chat completion"):
        evaluate_with(EndpointEngine(Wrong(base_url=address, model="x")), SECTION, corpus, tmp_path)


def test_a_corpus_line_that_is_no_example_is_named(tmp_path: Path, corpus: Artifact) -> None:
    with corpus.file("eval.jsonl").open("a") as lines:
        lines.write('{"id": 3}\n')
    with pytest.raises(InputError, match=r"eval\.jsonl:7"):
        evaluate_with(EndpointEngine(Endpoint(base_url="http://127.0.0.1:9", model="x")), SECTION, corpus, tmp_path)


@pytest.mark.e2e
def test_a_process_killed_while_answering_goes_on(tmp_path: Path, corpus: Artifact) -> None:
    model = publish(model_artifact(tmp_path / "draft"), tmp_path / "model")
    slow = SECTION.model_copy(
        update={"evaluation": SECTION.evaluation.model_copy(update={"answering": Answering(max_new_tokens=300)})}
    )
    items = []
    for name, kill in (("whole", False), ("killed", True)):
        spec = StageSpec(
            stage="evaluate",
            section=slow.model_dump(mode="json"),
            inputs={"model": model.path, "corpus": corpus.path},
            out_dir=tmp_path / name,
            parent_pid=os.getpid(),
        )
        (tmp_path / f"{name}.spec").mkdir()
        path = tmp_path / f"{name}.spec" / "spec.json"
        path.write_text(spec.model_dump_json())
        command = [sys.executable, "-m", "evaluation.evaluate", str(path)]
        if kill:
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
                assert process.stderr is not None
                next(line for line in process.stderr if line.startswith("@progress"))
                process.send_signal(signal.SIGKILL)
            assert not (tmp_path / name / "report.json").exists()
            assert (tmp_path / name / ".answers.jsonl").read_text().count("\n") >= 1
        subprocess.run(command, check=True, capture_output=True)
        result = StageResult.model_validate_json((path.parent / "result.json").read_text())
        assert result.artifact is not None
        items.append(read_items(result.artifact.model_copy(update={"path": tmp_path / name})))
    assert items[0] == items[1]
