"""A server's life with a small real process as the engine: ready in order, loud when it fails, gone when it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from contracts.errors import BusyError, InputError, ServeError
from serving.engine import Engine
from serving.server import Server, ServerSettings

MakeEngine = Callable[[str], Engine]
OWNER = """
import sys
from pathlib import Path
from serving.engine import Engine
from serving.server import Server, ServerSettings
model, child, log = sys.argv[1:4]
engine = Engine((sys.executable, child), "0.0", "cpu", "float32", (), {"CHILD_MODE": "worker"})
with Server(Path(model), engine, ServerSettings("tiny", 256, Path(log), stop_grace_seconds=1)) as server:
    print(server.port, server._guardian.pid, flush=True)
    sys.stdin.read()
"""


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(pid: int) -> bool:
    """Wait for a process to go."""
    until = time.monotonic() + 15
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(pid)


def worker_pid(log: Path) -> int:
    """The process the engine started."""
    found = re.search(r"worker (\d+)", log.read_text())
    assert found
    return int(found[1])


def test_ready_means_health_then_model_then_a_token(model: Path, engine: MakeEngine, settings: ServerSettings) -> None:
    with Server(model, engine(""), settings) as server:
        seen = server.get("/seen")
        asked = list(dict.fromkeys(path for path in seen["paths"] if path != "/seen"))
        assert asked == ["/health", "/v1/models", "/v1/completions"]
        arguments = seen["arguments"]
        assert arguments[1:3] == ["serve", str(model)]
        assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
        # the key reaches the engine, but never its command line
        assert seen["environment"]["VLLM_API_KEY"] == server.api_key
        assert server.api_key not in " ".join(arguments)
        port = server.port
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)


def test_an_engine_that_dies_at_start_shows_its_log(model: Path, engine: MakeEngine, settings: ServerSettings) -> None:
    with pytest.raises(ServeError) as caught, Server(model, engine("die"), settings):
        pass
    assert "the engine ended, got exit code 1" in str(caught.value)
    assert "child: no memory for the cache" in str(caught.value)


def test_an_engine_that_is_never_ready_is_stopped(model: Path, engine: MakeEngine, settings: ServerSettings) -> None:
    server = Server(model, engine("slow"), replace(settings, start_timeout_seconds=1))
    with pytest.raises(ServeError, match="was not ready within 1 s"), server:
        pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.root_url}/health", trust_env=False)


def test_a_taken_port_is_refused_before_anything_starts(
    model: Path, engine: MakeEngine, settings: ServerSettings
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BusyError, match=f"the port is in use, got {port}"):
            Server(model, engine(""), replace(settings, port=port)).start()
    assert not settings.log.exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path, engine: MakeEngine, settings: ServerSettings) -> None:
    with pytest.raises(InputError, match="is not a model folder"):
        Server(tmp_path / "nothing", engine(""), settings)


def test_stop_takes_the_engines_workers_along(model: Path, engine: MakeEngine, settings: ServerSettings) -> None:
    with pytest.raises(RuntimeError, match="of ours"), Server(model, engine("worker"), settings):
        worker = worker_pid(settings.log)
        assert alive(worker)
        raise RuntimeError("a failure of ours inside the block")
    # it ignores SIGTERM and has a session of its own
    assert not alive(worker)


def test_an_unanswered_request_names_the_engines_end(model: Path, engine: MakeEngine, settings: ServerSettings) -> None:
    with Server(model, engine("worker"), settings) as server:
        head = server.get("/seen")["environment"]
        assert head["CHILD_MODE"] == "worker"
        stat = Path(f"/proc/{worker_pid(settings.log)}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        with pytest.raises(ServeError, match=r"did not answer|the engine ended"):
            server.get("/v1/models")


@pytest.mark.parametrize("killer", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphan_survives_its_owner(
    model: Path, tmp_path: Path, settings: ServerSettings, killer: signal.Signals
) -> None:
    child = Path(__file__).parent / "engine_child.py"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(model), str(child), str(settings.log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert owner.stdout is not None
    port, guardian = map(int, owner.stdout.readline().split())
    worker = worker_pid(settings.log)
    assert httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success
    owner.send_signal(killer)
    owner.wait()
    assert wait_gone(guardian)
    assert wait_gone(worker)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
