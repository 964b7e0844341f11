"""A served model: start the engine, wait until it answers, and stop all of it whatever happens."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from contracts.errors import BusyError, InputError, ServeError
from contracts.stage import progress
from serving.engine import Engine

GUARDIAN = Path(__file__).parent / "guardian.py"
LOG_TAIL_LINES = 25
POLL_SECONDS = 0.5
REQUEST_TIMEOUT_SECONDS = 180.0
"""The first request compiles for up to a minute."""


@dataclass(frozen=True)
class ServerSettings:
    """How a model is served. ``log`` collects what the engine says."""

    name: str
    max_model_len: int
    log: Path
    port: int = 0
    """0: a free one is chosen."""
    start_timeout_seconds: float = 600.0
    stop_grace_seconds: float = 15.0
    extra_flags: tuple[str, ...] = ()


class Server:
    """``with Server(model, engine, settings) as server:`` serves on loopback with a key of its own.

    Raises InputError for a folder that is no model, BusyError when the port is taken, ServeError when the engine dies
    or is not ready in time (with the tail of its log). On leaving the block the engine and all it started are gone;
    they go as well when this process is killed, see ``serving/guardian.py``.
    """

    def __init__(self, model: Path, engine: Engine, settings: ServerSettings) -> None:
        if not (model / "config.json").is_file():
            raise InputError(str(model), "is not a model folder", got="no config.json", hint="give a model artifact")
        self.model, self.engine, self.settings = model, engine, settings
        self.port = settings.port
        self.seconds_to_ready = 0.0
        self.api_key = secrets.token_urlsafe(24)
        self._guardian: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None

    @property
    def root_url(self) -> str:
        """Where ``/health``, ``/metrics`` and ``/tokenize`` are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def flags(self) -> list[str]:
        """The engine's flags, for results."""
        settings = self.settings
        return self.engine.serve_flags(self.model, settings.name, settings.max_model_len, settings.extra_flags)

    @property
    def client(self) -> httpx.Client:
        """An HTTP client with the server's root and key."""
        if self._client is None:
            # Not by way of a proxy from the environment: the server is on this machine.
            self._client = httpx.Client(
                base_url=self.root_url,
                headers={"Authorization": f"Bearer {self.api_key}"},
                timeout=REQUEST_TIMEOUT_SECONDS,
                trust_env=False,
            )
        return self._client

    def __enter__(self) -> Server:
        try:
            self.start()
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the engine under its guardian; returns at once."""
        self.port = choose_port(self.settings.port)
        command = self.engine.serve_command(
            self.model.absolute(), self.settings.name, self.port, self.settings.max_model_len, self.settings.extra_flags
        )
        self.settings.log.parent.mkdir(parents=True, exist_ok=True)
        self.settings.log.write_bytes(b"")
        order = {
            "command": command,
            # The key travels in the engine's environment only: not in a command line that every user can list.
            "environment": self.engine.environment | {"VLLM_API_KEY": self.api_key},
            "log": str(self.settings.log.absolute()),
            "grace_seconds": self.settings.stop_grace_seconds,
        }
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", str(GUARDIAN)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C reaches the engine through `stop` only
        )
        assert self._guardian.stdin is not None
        self._guardian.stdin.write(json.dumps(order).encode() + b"\n")
        self._guardian.stdin.flush()

    def wait_until_ready(self) -> None:
        """Wait for ``/health``, then the model in ``/v1/models``, then one real token."""
        started = time.monotonic()
        until = started + self.settings.start_timeout_seconds
        next_told = started
        while not self._answers():
            self._require_alive()
            if time.monotonic() >= until:
                raise self._error(f"was not ready within {self.settings.start_timeout_seconds:g} s")
            if time.monotonic() >= next_told:
                progress(0, 1, f"waiting for the engine to serve {self.settings.name}")
                next_told = time.monotonic() + 15
            time.sleep(POLL_SECONDS)
        names = [row.get("id") for row in self.get("/v1/models").get("data", [])]
        if self.settings.name not in names:
            raise self._error("serves another model", got=names)
        self.complete("The", 1)
        self.seconds_to_ready = time.monotonic() - started

    def stop(self) -> None:
        """Stop the engine and everything it started; may be called twice."""
        if self._client is not None:
            self._client.close()
            self._client = None
        guardian, self._guardian = self._guardian, None
        if guardian is None:
            return
        assert guardian.stdin is not None
        guardian.terminate()
        try:
            guardian.wait(self.settings.stop_grace_seconds + 10)
        except subprocess.TimeoutExpired:
            guardian.kill()
            guardian.wait()
        with contextlib.suppress(BrokenPipeError):
            guardian.stdin.close()

    def get(self, path: str) -> dict[str, Any]:
        """GET a JSON answer; raises ServeError when there is none."""
        return dict(self._ask("GET", path, None).json())

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST JSON, get JSON; raises ServeError when the server refuses or is gone."""
        return dict(self._ask("POST", path, body).json())

    def text(self, path: str) -> str:
        """GET a plain text answer, e.g. ``/metrics``."""
        return self._ask("GET", path, None).text

    def complete(self, prompt: str, tokens: int, **options: Any) -> dict[str, Any]:
        """A plain completion of exactly ``tokens`` tokens, greedy."""
        body = {"model": self.settings.name, "prompt": prompt, "max_tokens": tokens, "ignore_eos": True}
        answer = self.post("/v1/completions", body | {"temperature": 0.0} | options)
        made = answer.get("usage", {}).get("completion_tokens")
        if made != tokens:
            raise self._error(f"was asked for {tokens} tokens", got=made)
        return answer

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines the engine wrote."""
        try:
            text = self.settings.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _answers(self) -> bool:
        try:
            return self.client.get("/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        try:
            answer = self.client.request(method, path, json=body)
        except httpx.TransportError as error:
            self._require_alive()
            raise self._error(f"{path} did not answer", got=f"{type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise self._error(f"{path} refused the request", got=f"HTTP {answer.status_code}: {answer.text[:300]}")
        return answer

    def _require_alive(self) -> None:
        code = None if self._guardian is None else self._guardian.poll()
        if code is not None:
            raise self._error("the engine ended", got=f"exit code {code}")

    def _error(self, fact: str, got: object = None) -> ServeError:
        tail = self.log_tail().replace(self.api_key, "***")
        return ServeError(f"serving {self.settings.name}", fact, got=got, hint=f"the engine's last lines:\n{tail}")


def choose_port(asked: int) -> int:
    """``asked`` if it is free on loopback, a free one for 0; raises BusyError when another process has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", asked))
        except OSError as error:
            hint = "stop the process that listens there, or leave the port free to choose"
            raise BusyError("serving", "the port is in use", got=asked, hint=hint) from error
        return int(probe.getsockname()[1])
