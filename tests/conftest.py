"""Fixtures for every room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import chromium, missing


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real documents beside the checkout; a machine without them skips the test."""
    folder = Path(__file__).parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no documents beside the checkout")
    return folder


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A real headless Chromium, where the machine has one."""
    if missing():
        pytest.skip("no chromium on this machine")
    with chromium(tmp_path / "profile") as driven:
        yield driven
