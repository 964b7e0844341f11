"""A small HTTP engine for tests: takes vLLM's command line, answers like it, and can be told to misbehave.

Its switches come from the environment: ``CHILD_MODE`` is ``die``, ``slow`` (never healthy), ``worker`` (starts a
process of its own that ignores SIGTERM and has left the session), or empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODE = os.environ.get("CHILD_MODE", "")
FLAGS = dict(zip(sys.argv[3::2], sys.argv[4::2], strict=False))
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
seen: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Health, models, completions, tokenise (one id a character), metrics, and what was asked so far."""

    def do_GET(self) -> None:
        """Open pages and the list of models."""
        seen.append(self.path)
        match self.path:
            case "/health":
                self.answer({}, 503 if MODE == "slow" else 200)
            case "/v1/models" if self.allowed():
                self.answer({"data": [{"id": FLAGS["--served-model-name"]}]})
            case "/seen":
                self.answer({"paths": seen, "environment": dict(os.environ), "arguments": sys.argv})
            case _:
                self.answer({"error": "no"}, 401)

    def do_POST(self) -> None:
        """Completions and tokenise."""
        seen.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            text = "".join(message["content"] for message in body["messages"])
            self.answer({"tokens": [ord(character) for character in text]})
        elif self.allowed():
            self.answer({"usage": {"completion_tokens": body["max_tokens"]}, "choices": [{"text": "x"}]})
        else:
            self.answer({"error": "key"}, 401)

    def allowed(self) -> bool:
        """The key is the one this process was given."""
        return self.headers.get("Authorization") == f"Bearer {os.environ['VLLM_API_KEY']}"

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        """JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve until stopped."""
    sys.stdout.write("child: starting\n")
    sys.stdout.flush()
    if MODE == "die":
        sys.exit("child: no memory for the cache")
    if MODE == "worker":
        worker = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
        sys.stdout.write(f"child: worker {worker.pid}\n")
        sys.stdout.flush()
        time.sleep(0.3)
    ThreadingHTTPServer(("127.0.0.1", int(FLAGS["--port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
