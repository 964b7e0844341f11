"""Where the ledger's rows lie: opening, migrating, transactions, and errors turned into the house's form.

SQLite runs in WAL with ``synchronous=FULL`` (a commit survives a power cut), PostgreSQL with its own
``synchronous_commit``. On SQLite every transaction has a connection of its own: a file that was moved or replaced is
noticed at the next write. On PostgreSQL, where signing in costs more than a beat, one connection is kept and tried
before each use. A forked process shares none.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from contracts.errors import LedgerError

REVISIONS = ("0001", "0002", "0003")
"""Schema revisions this code knows, oldest first; the last one is what it reads and writes."""
MIGRATIONS = Path(__file__).parent / "migrations"
_pooling: weakref.WeakSet[Engine] = weakref.WeakSet()
"""Engines that keep a connection: a forked process must not use its parent's. Weak, or none would ever be let go."""

HINTS = {
    "lock timeout": ("is locked by another process", "wait for it, or look for it in pg_stat_activity"),
    "database is locked": (
        "is locked by another process",
        "find who holds it with fuser, then run the command again",
    ),
    "disk is full": ("cannot be written: the disk is full", "free disk space, then run the command again"),
    "disk I/O error": (
        "cannot be written: the disk is full or failed",
        "look at its free space, then at the system's log",
    ),
    "readonly database": ("cannot be written: it is read-only", "make the file and its folder writable by this user"),
    "unable to open": ("cannot be opened", "check that the folder exists and is writable by this user"),
    "not a database": ("is not a database", "name another file, or restore the ledger from its backup"),
    "malformed": ("is damaged", "restore the ledger from its backup; `sqlite3 FILE .recover` reads what is left"),
    "no such table": ("has lost its tables", "restore the ledger from its backup, or open an empty file"),
    "No module named": ("needs a database driver that is not installed", "install the driver, or use sqlite:///"),
    "password authentication failed": ("refuses this user", "check user and password in the URL or in ~/.pgpass"),
    "Connection refused": ("does not answer", "start PostgreSQL, or check host and port in the URL"),
    "connection timeout expired": ("does not answer", "is the host right, and does its firewall let this machine in?"),
    "failed to resolve host": ("has a host that is not known", "check the host in the URL"),
    "No such file or directory": ("does not answer", "start PostgreSQL, or check the socket's folder in the URL"),
    "does not exist": ("is not there as named", "createdb NAME makes the database; the tables come by themselves"),
    "permission denied": ("may not be written by this user", "grant the user CREATE on the database's schema"),
    "No space left on device": ("cannot be written: the disk is full", "free disk space, then run it again"),
    "read-only transaction": ("cannot be written: it is read-only", "name the primary server, not a standby"),
    "insert-only": ("refused a change to a booked row", "book a correction as a new row instead"),
}


def _forget_connections() -> None:
    for engine in list(_pooling):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)


class UnreachableError(LedgerError):
    """The database cannot be read or written now; an event that meets this waits in the spool."""


class Database:
    """One ledger's database: ``reading()`` and ``writing()`` give connections inside a transaction."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine, self._writing_engine = engine, engine.execution_options(write=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent snapshot."""
        with _house_errors(self.name), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The one writer (SQLite: ``BEGIN IMMEDIATE``); committed when the block ends without an error."""
        with _house_errors(self.name), self._writing_engine.begin() as connection:
            yield connection


def open_database(url: str, busy_seconds: float) -> Database:
    """Open, create where missing, and migrate to the newest revision. Raises LedgerError."""
    parsed, name = _parsed(url)
    with _house_errors(name):
        file = sqlite_file(url)
        engine = _postgresql_engine(parsed, busy_seconds) if file is None else _sqlite_engine(file, busy_seconds)
    database = Database(engine, name)
    with database.reading() as connection:
        known = _revision(connection, name)
    if known != REVISIONS[-1]:
        with database.writing() as connection:
            # Asked again under the write lock: of several processes that open a new ledger, one migrates.
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('stillroom ledger migration'))"))
            if _revision(connection, name) != REVISIONS[-1]:
                _migrate(connection)
    return database


def open_read_only(url: str, busy_seconds: float) -> Database:
    """Open what is there as it is: nothing is created, migrated or written, and the file itself may be read-only.

    Raises LedgerError, also for a ledger of an earlier schema and for a database without tables.
    """
    parsed, name = _parsed(url)
    with _house_errors(name):
        file = sqlite_file(url)
        engine = (
            _postgresql_engine(parsed, busy_seconds, "-c default_transaction_read_only=on")
            if file is None
            else _reading_engine(file, busy_seconds)
        )
    database = Database(engine, name)
    with database.reading() as connection:
        known = _revision(connection, name)
    if known is None:
        raise LedgerError(name, "holds no ledger yet", hint="stillroom demo finance --scale smoke begins one")
    if known != REVISIONS[-1]:
        hint = "stillroom ledger moves it forward, by a user who may write to it"
        raise LedgerError(name, f"has an earlier schema than {REVISIONS[-1]}", got=known, hint=hint)
    return database


def insert_once(connection: Connection, target: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless its ``idempotency_key`` is there; True when it is new."""
    return connection.execute(_insert_once(connection.dialect.name, target), dict(row)).rowcount == 1


@cache
def _insert_once(dialect: str, target: Table) -> Insert:
    """Made once a table: making and compiling it anew would be a good part of a beat."""
    # Both dialects spell "insert or leave" the same way, each in a construct of its own.
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = make(target).on_conflict_do_nothing(index_elements=["idempotency_key"])
    # Without these two PostgreSQL is asked for the new id, and the count of rows is gone with its cursor.
    return statement.inline().execution_options(preserve_rowcount=True)


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL, None for other databases. Raises LedgerError for a ledger in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise LedgerError(url, "a ledger must be kept in a file", hint="give sqlite:///path/to/ledger.db")
    return Path(parsed.database).absolute()


def _parsed(url: str) -> tuple[URL, str]:
    """A URL of a kind of database that a ledger can be kept in, and how it is shown. Raises LedgerError."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        hint = "for example sqlite:////var/lib/stillroom/ledger.db"
        raise LedgerError(url, "is not a database URL", hint=hint) from error
    name = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        hint = "sqlite:////path/to/ledger.db or postgresql://user@host/database"
        raise LedgerError(name, "is a kind of database that a ledger cannot be kept in", hint=hint)
    return parsed, name


def _postgresql_engine(url: URL, busy_seconds: float, more_options: str = "") -> Engine:
    driven = url.set(drivername="postgresql+psycopg")
    # jit: compiling the reports' views takes longer than running them.
    options = f"-c timezone=UTC -c jit=off -c lock_timeout={int(busy_seconds * 1000)}"
    given = str(driven.query.get("options", ""))
    told = {"application_name": "stillroom-ledger", "connect_timeout": "10"} | dict(driven.query)
    driven = driven.set(query=told | {"options": f"{options} {given} {more_options}".strip()})
    engine = create_engine(driven, pool_size=1, max_overflow=-1, pool_pre_ping=True)
    _pooling.add(engine)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("write", False):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine


def _sqlite_engine(file: Path, busy_seconds: float) -> Engine:
    file.parent.mkdir(parents=True, exist_ok=True)
    _prepare(file, busy_seconds)

    def connect() -> sqlite3.Connection:
        # mode=rw: a ledger that vanished is an error, not a reason to begin an empty one.
        return sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=busy_seconds, isolation_level=None)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # recursive_triggers: INSERT OR REPLACE would otherwise delete a row without asking the triggers.
        for setting in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _reading_engine(file: Path, busy_seconds: float) -> Engine:
    """Every connection opens the file read-only; one in a place that cannot be written is read as it lies."""
    uri = f"{file.as_uri()}?mode=ro"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            log = file.with_name(f"{file.name}-wal")
            if not file.exists() or (log.exists() and log.stat().st_size):
                raise
            # WAL needs a file beside the ledger, also to read; where it cannot be made, nobody here can write either.
            connection = sqlite3.connect(f"{uri}&immutable=1", uri=True, timeout=busy_seconds, isolation_level=None)
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _prepare(file: Path, busy_seconds: float) -> None:
    """Create the file where missing and put it into WAL mode, which it keeps."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            connection = sqlite3.connect(file, timeout=busy_seconds, isolation_level=None)
            try:
                if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    connection.execute("PRAGMA journal_mode=WAL")
                return
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            # Several processes that turn a new file to WAL at once meet "locked" without SQLite's own waiting.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _revision(connection: Connection, name: str) -> str | None:
    """The schema's revision, None for an empty database. Raises LedgerError for a newer or foreign one."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    hint = "update this checkout, or name another database"
    if "alembic_version" not in tables:
        raise LedgerError(
            name, "is a database of something else", got=f"tables {', '.join(sorted(tables)[:5])}", hint=hint
        )
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if len(found) != 1 or found[0] not in REVISIONS:
        raise LedgerError(
            name,
            f"has a schema that is newer than this code or not a ledger's; known is up to {REVISIONS[-1]}",
            got=", ".join(found) or "none",
            hint=hint,
        )
    return str(found[0])


def _migrate(connection: Connection) -> None:
    # Alembic takes 0.3 s to import and is needed once in a ledger's life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _house_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
        raise _ledger_error(name, error) from error


def _ledger_error(name: str, error: Exception) -> LedgerError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    fact, hint = next(
        (answer for sign, answer in HINTS.items() if sign in said),
        ("could not be read or written", "is the database up, and is the URL right?"),
    )
    kind = LedgerError if isinstance(error, IntegrityError | sqlite3.IntegrityError) else UnreachableError
    if kind is LedgerError and "insert-only" not in said:
        fact, hint = "refused a row", "is the build started and the lease opened in this ledger?"
    return kind(name, fact, got=said, hint=hint)
