"""A small HTTP engine for tests: takes vLLM's command line, answers like it, and can be told to misbehave.

Its switches come from the environment: ``CHILD_MODE`` is ``die``, ``slow`` (never healthy), ``worker`` (starts a
process of its own that ignores SIGTERM and has left the session), ``cut`` (the generator ends in its first cell), or
empty. As ``cells`` it speaks the load generator's protocol and sends one request a cell, with the key it is given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
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
            case "/metrics":
                self.answer({}, text='vllm:generation_tokens_total{engine="0"} 16\n')
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

    def answer(self, body: dict[str, Any], status: int = 200, text: str = "") -> None:
        """JSON, or plain text."""
        data = (text or json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def say(line: str) -> None:
    """To stdout, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run_cells() -> None:
    """One request a cell; its success is the cell's."""
    os.environ.update(json.loads(sys.stdin.readline())["environment"])
    say('importing ...\n@cell {"ready": true}')
    for line in sys.stdin:
        if os.environ["CHILD_MODE"] == "cut":
            sys.exit("child: the generator ran out of memory")
        order = json.loads(line)
        told = dict(zip(order["arguments"], order["arguments"][1:], strict=False))
        url, body = told["--base-url"] + told["--endpoint"], json.dumps({"max_tokens": 1}).encode()
        request = urllib.request.Request(url, body, {"Authorization": f"Bearer {order['api_key']}"})
        error = ""
        try:
            urllib.request.urlopen(request).close()
        except urllib.error.HTTPError as refused:
            error = str(refused)
        count, length = int(told["--num-prompts"]), int(told["--output-len"])
        result = {"completed": 0 if error else count, "failed": count if error else 0, "errors": [error]}
        result |= {"output_lens": [length] * count, "total_output_tokens": length * count, "total_input_tokens": 5}
        # the second repeat of a cell is slower: 1.5 a second, then 1.0
        speed = 1.0 if order["result"].endswith("run2.json") else 1.5
        result |= {name: speed for name in ("request_throughput", "output_throughput", "total_token_throughput")}
        result |= {"duration": 4.0, "request_goodput": count / 4.0}
        result |= {f"p{p}_{name}_ms": p for name in ("ttft", "tpot", "itl", "e2el") for p in (50, 90, 99)}
        with open(order["result"], "w") as out:
            json.dump(result, out)
        say("noise\n@cell " + json.dumps({"done": order["result"]}))


def main() -> None:
    """Serve until stopped."""
    if sys.argv[1] == "cells":
        run_cells()
        return
    say("child: starting")
    if MODE == "die":
        sys.exit("child: no memory for the cache")
    if MODE == "worker":
        worker = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
        say(f"child: worker {worker.pid}")
        time.sleep(0.3)
    ThreadingHTTPServer(("127.0.0.1", int(FLAGS["--port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
