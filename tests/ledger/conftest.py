"""A ledger in a folder of its own, with one build entered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger import Ledger


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/books/ledger.db"


@pytest.fixture
def ledger(url: str, noon: datetime) -> Ledger:
    book = Ledger.open(url, busy_seconds=20)
    book.start_build("b1", "finance", "local", "recipe-1", at=noon)
    return book
