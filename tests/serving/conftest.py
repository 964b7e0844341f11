"""A model folder without weights and an engine that is a real process, small."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.engine import Engine
from serving.server import ServerSettings

CHILD = Path(__file__).parent / "engine_child.py"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a model, with golden ids as the small engine gives them: one a character."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    rows = [
        {"messages": [{"role": "user", "content": text}], "text": text, "ids": [ord(letter) for letter in text]}
        for text in ("What is stated?", "Ünïcode")
    ]
    (folder / "golden.json").write_text(json.dumps({"conversations": rows}))
    return folder


@pytest.fixture
def engine() -> Callable[[str], Engine]:
    """Makes an engine in a given mode."""

    def make(mode: str = "") -> Engine:
        return Engine((sys.executable, str(CHILD)), "0.0", "cpu", "float32", (), {"CHILD_MODE": mode})

    return make


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    """Settings with short limits."""
    return ServerSettings("tiny", 256, tmp_path / "engine.log", start_timeout_seconds=20, stop_grace_seconds=2)
