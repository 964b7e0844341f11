"""The demo does not wait for a build that nobody can bring to its end any more."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from contracts.errors import StageError
from flows import platform
from flows.demo import _state
from flows.settings import Settings
from ledger.processes import start_ticks

RUN = "00000000-0000-0000-0000-000000000001"


class Client:
    """Prefect's client, as far as the demo asks it: its server's answers are what is varied here."""

    def __init__(self, state: str | None) -> None:
        self.state = state

    def read_flow_run(self, _: Any) -> Any:
        if self.state is None:
            raise httpx.ConnectError("connection refused")
        return SimpleNamespace(state=SimpleNamespace(type=SimpleNamespace(value=self.state), message=""))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def alive(settings: Settings) -> None:
    """This process stands for the worker."""
    told = f'{{"worker": {{"pid": {os.getpid()}, "started": {start_ticks(os.getpid())}}}}}'
    (settings.home / "pids.json").write_text(told, encoding="utf-8")


def test_a_worker_that_is_gone_is_named(settings: Settings) -> None:
    assert not platform.works(settings)
    with pytest.raises(StageError, match="Prefect worker: ended before the build did"):
        _state(Client("RUNNING"), RUN, settings)
    alive(settings)
    assert _state(Client("RUNNING"), RUN, settings).type.value == "RUNNING"


def test_a_build_that_has_ended_needs_no_worker(settings: Settings) -> None:
    assert _state(Client("COMPLETED"), RUN, settings).type.value == "COMPLETED"


def test_a_server_that_is_gone_is_named(settings: Settings) -> None:
    alive(settings)
    with pytest.raises(StageError, match="Prefect server: answers no more, got ConnectError"):
        _state(Client(None), RUN, settings)
