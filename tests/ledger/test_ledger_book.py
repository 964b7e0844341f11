"""Opening, events, triggers and the spool, on both databases."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, select
from sqlalchemy.exc import DBAPIError

from contracts.errors import LedgerError
from contracts.usage import Usage
from ledger import Heartbeat, Ledger, build_lines, processes
from ledger.budgets import set_budget
from ledger.charges import Adjustment, Expense, adjust, book_expense
from ledger.database import MIGRATIONS, REVISIONS
from ledger.events import beat_event
from ledger.invoices import InvoiceLine, import_invoice
from ledger.promotions import promote
from ledger.schema import lease_event, metadata
from tests.ledger.conftest import Rows, engine_of
from tests.ledger.postgres import Server


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(6000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never happened")


def fill(ledger: Ledger, noon: datetime) -> None:
    """At least one row in every table."""
    set_budget(ledger, "all", 100)
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    ledger.beat(lease.id)
    ledger.load_prices({"cpu": [(noon, "0.05", "list")]})
    ledger.record_estimate("b1", "sft", "cpu", 10.0, None)
    proof = {"period_start": noon, "period_end": noon, "micro_usd": 5, "evidence": "contract 7"}
    book_expense(ledger, Expense(category="people", provider="labels", **proof))
    adjust(ledger, Adjustment(reason="a credit", **proof))
    line = {"provider": "cloud", "invoice": "1", "line": "1", "device": "cpu", "device_hours": 1.0, "micro_usd": 5}
    day = {"period_start": noon, "period_end": noon + timedelta(days=1), "description": "", "source_sha256": ""}
    import_invoice(ledger, [InvoiceLine(**line, **day)])
    promote(ledger, "b1", "production", by="ann", reason="review 12")


def ledger_details(ledger: Ledger) -> list[object]:
    with ledger.reading() as connection:
        return list(connection.execute(select(lease_event.c.detail)).scalars())


ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


def test_migrations_make_the_declared_schema(ledger: Ledger, url: str) -> None:
    with engine_of(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    known = ScriptDirectory.from_config(config)
    assert tuple(reversed([one.revision for one in known.walk_revisions()])) == REVISIONS


def test_opening_again_changes_nothing(ledger: Ledger, url: str, spool: Path, rows: Rows) -> None:
    before = rows("SELECT version_num FROM alembic_version"), rows("SELECT * FROM build")
    Ledger.open(url, spool=spool).start_build("b1", "finance", "local", "recipe-1")
    assert (rows("SELECT version_num FROM alembic_version"), rows("SELECT * FROM build")) == before


@ON_SQLITE
def test_sqlite_is_durable(ledger: Ledger, rows: Rows) -> None:
    assert rows("PRAGMA journal_mode") == [("wal",)]
    with ledger.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_every_table_refuses_every_change(ledger: Ledger, url: str, noon: datetime, rows: Rows) -> None:
    fill(ledger, noon)
    sqlite = url.startswith("sqlite")
    for name, table in metadata.tables.items():
        column, before = table.columns.keys()[0], rows(f"SELECT * FROM {name}")
        assert before, f"{name} has no row to try"
        for statement in (f"UPDATE {name} SET {column} = {column}", f"DELETE FROM {name}"):
            with pytest.raises(DBAPIError, match="insert-only"):
                rows(statement)
        with suppress(DBAPIError):  # a known event is passed over in silence
            rows(f"INSERT OR REPLACE INTO {name} SELECT * FROM {name}" if sqlite else f"TRUNCATE {name} CASCADE")
        assert rows(f"SELECT * FROM {name}") == before


def test_second_close_and_repeated_beat_change_nothing(ledger: Ledger, rows: Rows, noon: datetime) -> None:
    lease = ledger.open_lease("b1", "sft", "fp", "cpu", 2, **processes.this_process(), at=noon)
    at = noon + timedelta(seconds=30)
    assert [ledger.beat(lease.id, at), ledger.beat(lease.id, at)] == ["written", "known"]
    usage = Usage(wall_seconds=60, tokens_in=5)
    assert ledger.close(lease.id, 0, usage, at=noon + timedelta(seconds=60)) == "written"
    assert ledger.close(lease.id, 9, None, at=noon + timedelta(seconds=900)) == "known"
    [line] = build_lines(ledger, "b1")
    assert (line.device_seconds, line.status) == (120.0, "done")
    assert "'tokens_in': 5" in str(ledger_details(ledger))


def test_an_attempt_is_numbered_per_build_stage_and_artifact(ledger: Ledger) -> None:
    assert [ledger.hold("b1", "sft", "fp", "cpu").attempt for _ in range(3)] == [1, 2, 3]
    assert ledger.hold("b1", "sft", "other", "cpu").attempt == 1


def test_a_step_of_the_wall_clock_does_not_shorten_a_lease(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    boot_seconds = processes.boot_seconds()
    monkeypatch.setattr(processes, "boot_seconds", lambda: boot_seconds + 600)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    monkeypatch.setattr("ledger.leases.now", lambda: yesterday)
    monkeypatch.setattr("ledger.book.now", lambda: yesterday)
    ledger.close(lease.id, 0)
    assert build_lines(ledger, "b1")[0].device_seconds == pytest.approx(600, abs=60)


@ON_SQLITE
def test_beats_and_close_wait_in_the_spool_while_the_database_is_locked(url: str, ledger: Ledger) -> None:
    impatient = Ledger.open(url, spool=ledger._spool.folder, busy_seconds=0.01)
    lease = impatient.hold("b1", "sft", "fp", "cpu")
    with closing(sqlite3.connect(file_of(url), isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="is locked by another process"):
            impatient.hold("b1", "dpo", "fp", "cpu")
        assert impatient.beat(lease.id) == "spooled"
        assert impatient.close(lease.id, 0) == "spooled"
        blocker.execute("ROLLBACK")
    assert [span.lease.id for span in ledger.open_leases()] == [lease.id]
    assert ledger.replay() == 2
    assert (ledger.open_leases(), ledger.replay()) == ([], 0)


@ON_SQLITE
@pytest.mark.parametrize("replacement", ["missing", "folder", "garbage", "other ledger"])
def test_events_survive_a_database_that_was_replaced(
    replacement: str, ledger: Ledger, url: str, tmp_path: Path
) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    file, aside, spool = file_of(url), tmp_path / "aside", ledger._spool.folder
    aside.mkdir()
    for part in file.parent.glob(f"{file.name}*"):
        shutil.move(part, aside)
    match replacement:
        case "folder":
            file.mkdir()
        case "garbage":
            file.write_bytes(b"not a database " * 200)
        case "other ledger":
            Ledger.open(url, spool=tmp_path / "other spool")
    assert ledger.beat(lease.id, lease.opened_at + timedelta(seconds=40)) == "spooled"
    assert ledger.close(lease.id, 0, at=lease.opened_at + timedelta(seconds=50)) == "spooled"
    assert replacement != "missing" or not file.exists(), "an empty ledger was begun in its place"
    if file.is_dir():
        file.rmdir()
    for part in file.parent.glob(f"{file.name}*"):
        part.rmdir() if part.is_dir() else part.unlink()
    for part in aside.iterdir():
        shutil.move(part, file.parent)
    again = Ledger.open(url, spool=spool)
    assert build_lines(again, "b1")[0].device_seconds == 50
    assert not (spool / "events.jsonl").exists()


def test_a_torn_line_of_the_spool_costs_no_other_event(ledger: Ledger, rows: Rows) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    spool = ledger._spool
    spool.folder.mkdir()
    spool.file.write_text('{"idempotency_key": "torn by a power c')
    for seconds in (1, 2):
        spool.append(beat_event(lease.id, lease.opened_at + timedelta(seconds=seconds)))
    assert ledger.replay() == 2
    assert "torn by" in (spool.folder / "unreadable.jsonl").read_text()
    assert rows("SELECT count(*) FROM lease_event WHERE kind = 'beat'") == [(2,)]


def test_spooled_events_of_an_unknown_lease_are_kept(ledger: Ledger, tmp_path: Path) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    elsewhere = Ledger.open(f"sqlite:///{tmp_path}/other.db", spool=ledger._spool.folder)
    ledger._spool.append(beat_event(lease.id, lease.opened_at))
    assert elsewhere.replay() == 0
    assert ledger.replay() == 1


@ON_SQLITE
def test_heartbeat_never_raises_and_counts_what_it_could_not_keep(ledger: Ledger, url: str) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    file_of(url).write_bytes(b"garbage")
    Path(f"{file_of(url)}-wal").unlink(missing_ok=True)
    with Heartbeat(ledger, lease.id, every_seconds=0.01) as to_spool:
        wait_until(lambda: to_spool.spooled > 0)
    shutil.rmtree(ledger._spool.folder)
    ledger._spool.folder.write_text("a file where the spool's folder should be")
    with Heartbeat(ledger, lease.id, every_seconds=0.01) as to_nowhere:
        wait_until(lambda: to_nowhere.missed > 1)
    assert not to_spool._thread.is_alive()


def test_a_lease_of_an_unknown_build_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="build nope: is not in the ledger"):
        ledger.hold("nope", "sft", "fp", "cpu")
    with pytest.raises(LedgerError, match="refused a row"):
        ledger.beat("no such lease")
    with pytest.raises(LedgerError, match="was another build, got scale local"):
        ledger.start_build("b1", "finance", "production", "recipe-1")
    with pytest.raises(LedgerError, match="must carry its time zone"):
        ledger.start_build("b2", "finance", "local", "r", at=datetime(2026, 1, 1))


@ON_SQLITE
def test_newer_foreign_and_broken_databases_are_refused(ledger: Ledger, url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file_of(url))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match=r"newer than this code.*got 9999"):
        Ledger.open(url)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    with pytest.raises(LedgerError, match=r"something else, got tables orders"):
        Ledger.open(f"sqlite:///{tmp_path}/shop.db")
    (tmp_path / "text.db").write_text("hello " * 500)
    with pytest.raises(LedgerError, match="is not a database"):
        Ledger.open(f"sqlite:///{tmp_path}/text.db")
    (tmp_path / "plain").write_text("")
    for bad in ("sqlite://", "no url", f"sqlite:///{tmp_path}/plain/l.db", f"sqlite:///{tmp_path}"):
        with pytest.raises(LedgerError):
            Ledger.open(bad)


@ON_SQLITE
@pytest.mark.parametrize(
    ("setting", "said"), [("max_page_count = 1", "the disk is full"), ("query_only = ON", "it is read-only")]
)
def test_a_full_or_read_only_database_starts_nothing_and_loses_no_beat(setting: str, said: str, ledger: Ledger) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    engine = ledger._database._engine

    def restrict(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA {setting}")

    event.listen(engine, "connect", restrict)
    with pytest.raises(LedgerError, match=f"{said}") as caught:
        for number in range(200):
            ledger.hold("b1", "stage" * 500, f"fp{number}", "cpu")
    assert "hint: " in str(caught.value)
    assert not said.endswith("read-only") or ledger.beat(lease.id) == "spooled"
    event.remove(engine, "connect", restrict)
    ledger.replay()
    assert not ledger._spool.waiting


@ON_POSTGRESQL
def test_a_killed_server_costs_no_event(ledger: Ledger, postgres: Server) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    postgres.kill()
    try:
        with pytest.raises(LedgerError, match="hint: "):
            ledger.hold("b1", "dpo", "fp", "cpu")
        assert ledger.beat(lease.id, lease.opened_at + timedelta(seconds=40)) == "spooled"
    finally:
        postgres.start()
    assert ledger.close(lease.id, 0, at=lease.opened_at + timedelta(seconds=50)) == "written"
    assert not ledger._spool.waiting
    assert (build_lines(ledger, "b1")[0].device_seconds, ledger.open_leases()) == (50.0, [])


def test_a_wrong_url_is_told_without_its_password(postgres: Server, spool: Path) -> None:
    good = postgres.dsn("postgres")
    for url, told in (
        (good.replace(postgres.password, "wrong-word"), "refuses this user"),
        (good.replace("/postgres", "/nowhere"), "is not there as named"),
        (good.replace(f":{postgres.port}/", ":1/"), "does not answer"),
        ("mysql://me:wrong-word@localhost/x", "is a kind of database that a ledger cannot be kept in"),
    ):
        with pytest.raises(LedgerError) as caught:
            Ledger.open(url, spool=spool)
        assert told in str(caught.value)
        assert postgres.password not in str(caught.value) and "wrong-word" not in str(caught.value)
    with pytest.raises(LedgerError, match="needs a folder for its spool"):
        Ledger.open(good)
