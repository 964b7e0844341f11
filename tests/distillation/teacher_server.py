"""A teacher's server on loopback: real HTTP, small answers, and the ill manners that servers have."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Answers with the prompt in upper case; ``broken`` prompts get 400, every third request is 503 when ``busy``.

    With a ``key`` set, a request without it gets 401, and what it brought instead is repeated, as some servers do.
    """

    busy = False
    broken = ""
    key = ""
    says = ""
    """Said with status 200 instead of any answer."""
    lock = threading.Lock()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: Counter[str] = Counter()
        self.models: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        if self.admitted():
            self.reply(200, {"data": [{"id": "big-teacher"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.admitted():
            return
        prompt = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.seen[prompt] += 1
            self.server.models.add(body["model"])
            fails = self.server.busy and sum(self.server.seen.values()) % 3 == 0
        if fails:
            self.reply(503, {"error": "busy"})
        elif self.server.broken and self.server.broken in prompt:
            self.reply(400, {"error": "too long"})
        else:
            choice = {"message": {"content": prompt.upper()}, "finish_reason": "stop"}
            self.reply(200, {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})

    def admitted(self) -> bool:
        given = self.headers.get("Authorization", "")
        if self.server.key and given != f"Bearer {self.server.key}":
            self.reply(401, {"error": f"Incorrect API key provided: {given}"})
            return False
        return True

    def reply(self, status: int, body: dict):
        raw = (self.server.says if self.server.says and status == 200 else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """The server, up."""
    running = Server()
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
