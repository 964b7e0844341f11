"""The dashboard served on a free port of loopback, in a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from pydantic import SecretStr

from flows.dashboard.serve import application
from flows.dashboard.source import Source
from flows.settings import NO_KEY, Settings


@contextmanager
def dashboard_of(settings: Settings, key: SecretStr = NO_KEY, *, loopback: bool = True) -> Iterator[str]:
    """Its address, without a slash at the end."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(Source(settings), key, loopback), log_level="warning", lifespan="off", timeout_keep_alive=3600
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [held]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        held.close()
