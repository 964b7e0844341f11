"""A ledger of its own, with one build entered, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from ledger import Ledger
from tests.ledger.postgres import Server, start_or_skip

Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    server = start_or_skip()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger to copy: migrating takes longer than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "ledger.db"
    Ledger.open(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same on PostgreSQL; the connection the ledger keeps is closed, or the database could not be copied."""
    url = postgres.new_database()
    Ledger.open(url, spool=tmp_path_factory.mktemp("spool"))._database._engine.dispose()
    return url


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a table; a test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty/ledger.db"
    server: Server = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger without a row; a test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        folder = tmp_path / "books"
        folder.mkdir()
        shutil.copy(request.getfixturevalue("migrated"), folder / "ledger.db")
        return f"sqlite:///{folder}/ledger.db"
    server: Server = request.getfixturevalue("postgres")
    return server.new_database(like=request.getfixturevalue("migrated_postgres"))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def ledger(url: str, spool: Path, noon: datetime) -> Ledger:
    book = Ledger.open(url, spool=spool, busy_seconds=20)
    book.start_build("b1", "finance", "local", "recipe-1", at=noon)
    return book


def engine_of(url: str) -> Any:
    """An engine that is not the ledger's own, as another client would open it."""
    parsed = make_url(url)
    driver = "postgresql+psycopg" if parsed.get_backend_name() == "postgresql" else "sqlite"
    return create_engine(parsed.set(drivername=driver), poolclass=NullPool)


def asking(url: str) -> Rows:
    """Asks the database, not the ledger."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        with engine_of(url).begin() as connection:
            found = connection.execute(text(query))
            return [tuple(row) for row in found] if found.returns_rows else []

    return ask


@pytest.fixture
def rows(url: str) -> Rows:
    return asking(url)
