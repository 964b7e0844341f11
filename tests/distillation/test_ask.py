"""A teacher behind real HTTP: busy at times, cut off, gone."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import contracts.endpoint
from contracts.artifacts import describe
from contracts.documents import ModelAnswer, read_jsonl, write_jsonl
from contracts.endpoint import Endpoint
from contracts.errors import InputError, ServeError
from distillation.ask import ask, ask_teacher
from recipes.schema import Capture
from tests.tiny_model import tiny_examples


class Server(ThreadingHTTPServer):
    """Answers with the prompt in upper case; ``broken`` prompts get 400, every third request is 503 when ``busy``."""

    busy = False
    broken = ""
    lock = threading.Lock()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.reply(200, {"data": [{"id": "big-teacher"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.seen[prompt] += 1
            fails = self.server.busy and sum(self.server.seen.values()) % 3 == 0
        if fails:
            self.reply(503, {"error": "busy"})
        elif self.server.broken and self.server.broken in prompt:
            self.reply(400, {"error": "too long"})
        else:
            choice = {"message": {"content": prompt.upper()}, "finish_reason": "stop"}
            self.reply(200, {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})

    def reply(self, status: int, body: dict):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    # The back-off is real time; a test that waits seconds proves nothing more.
    monkeypatch.setattr(contracts.endpoint.time, "sleep", lambda _: None)
    running = Server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


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


def test_the_stage_asks_the_model_that_the_server_lists(server: Server, tmp_path: Path):
    for name in ("corpus", "out"):
        (tmp_path / name).mkdir()
    write_jsonl(tmp_path / "corpus" / "train.jsonl", tiny_examples(6))
    inputs = {"corpus": describe(tmp_path / "corpus", "corpus")}
    section = Capture(endpoint=server.url, teacher_prompts=4)
    artifact, usage = ask_teacher(section, inputs, tmp_path / "out")
    assert artifact.metrics == {"model": "big-teacher", "asked": 4, "answered": 4, "failed": {}}
    assert (usage.tokens_in, usage.tokens_out) == (28, 12)
    assert list(artifact.files) == ["answers.jsonl"]
    with pytest.raises(InputError, match="endpoint"):
        ask_teacher(Capture(), inputs, tmp_path / "out")
