"""Opening, events, triggers, the spool and errors, on real SQLite files."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event

from contracts.errors import LedgerError
from contracts.usage import Usage
from ledger import Heartbeat, Ledger, build_lines, processes
from ledger.database import MIGRATIONS, REVISIONS
from ledger.events import beat_event
from ledger.schema import metadata


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(6000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never happened")


def rows(url: str, query: str) -> list[tuple]:
    with closing(sqlite3.connect(file_of(url))) as connection:
        return connection.execute(query).fetchall()


def test_migrations_make_the_declared_schema(ledger: Ledger, url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    known = ScriptDirectory.from_config(config)
    assert tuple(reversed([one.revision for one in known.walk_revisions()])) == REVISIONS


def test_opening_again_changes_nothing(ledger: Ledger, url: str) -> None:
    before = rows(url, "SELECT type, name, sql FROM sqlite_master ORDER BY name")
    Ledger.open(url).start_build("b1", "finance", "local", "recipe-1")
    assert rows(url, "SELECT type, name, sql FROM sqlite_master ORDER BY name") == before
    assert rows(url, "SELECT id FROM build") == [("b1",)]
    assert rows(url, "PRAGMA journal_mode") == [("wal",)]
    with ledger.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_every_table_refuses_update_and_delete(ledger: Ledger, url: str, noon: datetime) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    ledger.beat(lease.id)
    ledger.load_prices({"cpu": [(noon, "0.05", "list")]})
    ledger.record_estimate("b1", "sft", "cpu", 10.0, None)
    for table in metadata.tables:
        column = rows(url, f"PRAGMA table_info({table})")[0][1]
        with closing(sqlite3.connect(file_of(url))) as connection:
            for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
                with pytest.raises(sqlite3.IntegrityError, match="insert-only"):
                    connection.execute(statement)


def test_a_row_is_not_replaced_through_our_connections(ledger: Ledger) -> None:
    replace = "INSERT OR REPLACE INTO build SELECT id, 'other', scale, recipe_fingerprint, started_at FROM build"
    with pytest.raises(LedgerError, match="refused a change"), ledger._database.writing() as connection:
        connection.exec_driver_sql(replace)


def test_second_close_and_repeated_beat_change_nothing(ledger: Ledger, url: str, noon: datetime) -> None:
    lease = ledger.open_lease("b1", "sft", "fp", "cpu", 2, **processes.this_process(), at=noon)
    at = noon + timedelta(seconds=30)
    assert [ledger.beat(lease.id, at), ledger.beat(lease.id, at)] == ["written", "known"]
    usage = Usage(wall_seconds=60, tokens_in=5)
    assert ledger.close(lease.id, 0, usage, at=noon + timedelta(seconds=60)) == "written"
    assert ledger.close(lease.id, 9, None, at=noon + timedelta(seconds=900)) == "known"
    [line] = build_lines(ledger, "b1")
    assert (line.device_seconds, line.status) == (120.0, "done")
    assert '"tokens_in": 5' in rows(url, "SELECT detail FROM lease_event WHERE kind = 'close'")[0][0]


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


def test_beats_and_close_wait_in_the_spool_while_the_database_is_locked(url: str, ledger: Ledger) -> None:
    impatient = Ledger.open(url, busy_seconds=0.01)
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


@pytest.mark.parametrize("replacement", ["missing", "folder", "garbage", "other ledger"])
def test_events_survive_a_database_that_was_replaced(
    replacement: str, ledger: Ledger, url: str, tmp_path: Path
) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    file, aside = file_of(url), tmp_path / "aside"
    spool = Path(f"{file}.spool")
    aside.mkdir()
    for part in file.parent.glob(f"{file.name}*"):
        if part != spool:
            shutil.move(part, aside)
    match replacement:
        case "folder":
            file.mkdir()
        case "garbage":
            file.write_bytes(b"not a database " * 200)
        case "other ledger":
            Ledger.open(url)
    assert ledger.beat(lease.id, lease.opened_at + timedelta(seconds=40)) == "spooled"
    assert ledger.close(lease.id, 0, at=lease.opened_at + timedelta(seconds=50)) == "spooled"
    assert replacement != "missing" or not file.exists(), "an empty ledger was begun in its place"
    if file.is_dir():
        file.rmdir()
    for part in file.parent.glob(f"{file.name}*"):
        if part != spool:
            part.unlink()
    for part in aside.iterdir():
        shutil.move(part, file.parent)
    again = Ledger.open(url)
    assert build_lines(again, "b1")[0].device_seconds == 50
    assert not (spool / "events.jsonl").exists()


def test_a_torn_line_of_the_spool_costs_no_other_event(ledger: Ledger, url: str) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    spool = ledger._spool
    spool.folder.mkdir()
    spool.file.write_text('{"idempotency_key": "torn by a power c')
    for seconds in (1, 2):
        spool.append(beat_event(lease.id, lease.opened_at + timedelta(seconds=seconds)))
    assert ledger.replay() == 2
    assert "torn by" in (spool.folder / "unreadable.jsonl").read_text()
    assert rows(url, "SELECT count(*) FROM lease_event WHERE kind = 'beat'") == [(2,)]


def test_spooled_events_of_an_unknown_lease_are_kept(ledger: Ledger, tmp_path: Path) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    elsewhere = Ledger.open(f"sqlite:///{tmp_path}/other.db", spool=ledger._spool.folder)
    ledger._spool.append(beat_event(lease.id, lease.opened_at))
    assert elsewhere.replay() == 0
    assert ledger.replay() == 1


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
