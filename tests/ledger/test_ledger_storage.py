"""A disk that fills up, a file that may not be written, a server that is left: each told, and nothing lost."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from contracts.errors import LedgerError
from ledger import Ledger, build_lines
from tests.ledger.conftest import asking
from tests.ledger.postgres import Server
from tests.ledger.test_ledger_crashes import FORK

CHECKOUT = Path(__file__).parent.parent.parent
NOBODY = 65534
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)

FILE_LIMIT = """
import json, resource, signal, sys
from datetime import timedelta
from contracts.errors import LedgerError
from ledger import Ledger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger.open(sys.argv[1])
ledger.start_build("b1", "finance", "local", "r")
lease = ledger.hold("b1", "sft", "fp", "cpu")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
said, started = "", 0
try:
    for number in range(2_000):
        ledger.hold("b1", "stage" * 200, f"fp{number}", "cpu")
        started += 1
except LedgerError as error:
    said = str(error)
beats = [ledger.beat(lease.id, lease.opened_at + timedelta(seconds=n)) for n in range(1, 31)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
closed = ledger.close(lease.id, 0, at=lease.opened_at + timedelta(seconds=40))
print(json.dumps({"said": said, "started": started, "beats": beats, "closed": closed}))
"""


def test_a_file_that_may_not_grow_starts_nothing_and_loses_no_beat(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    told = _run(FILE_LIMIT, url)
    assert "cannot be written: the disk" in told["said"] and "\n\nhint: " in told["said"]
    assert "spooled" in told["beats"] and told["closed"] == "written"
    assert asking(url)("SELECT count(*) FROM lease_event WHERE kind = 'beat'") == [(30,)]
    assert asking(url)("SELECT count(*) FROM lease") == [(told["started"] + 1,)]
    assert asking(url)("PRAGMA integrity_check") == [("ok",)]
    ledger = Ledger.open(url)
    assert not ledger._spool.waiting
    assert next(line for line in build_lines(ledger, "b1") if line.stage == "sft").device_seconds == 40.0


FULL_DISK = """
import json, os, sys
from datetime import timedelta
from pathlib import Path
from contracts.errors import LedgerError
from ledger import Heartbeat, Ledger
folder = Path(sys.argv[1])
ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
ledger.start_build("b1", "finance", "local", "r")
lease = ledger.hold("b1", "sft", "fp", "cpu")
filler = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY)
try:
    while True:
        os.write(filler, b"x" * 4096)
except OSError as error:
    full = error.strerror
said = {}
for what, work in {
    "hold": lambda: [ledger.hold("b1", "stage" * 500, f"fp{n}", "cpu") for n in range(50)],
    "beat": lambda: [ledger.beat(lease.id, lease.opened_at + timedelta(seconds=n)) for n in range(200)],
}.items():
    try:
        work()
        said[what] = ""
    except LedgerError as error:
        said[what] = str(error)
with Heartbeat(ledger, lease.id, every_seconds=0.01) as beats:
    while not beats.missed:
        pass
os.unlink(folder / "filler")
os.close(filler)
closed = ledger.close(lease.id, 0, at=lease.opened_at + timedelta(seconds=400))
with ledger.reading() as connection:
    sound = connection.exec_driver_sql("PRAGMA integrity_check").scalar()
from ledger import build_lines
[line] = [line for line in build_lines(ledger, "b1") if line.stage == "sft"]
print(json.dumps({"full": full, "said": said, "missed": beats.missed, "closed": closed, "sound": sound,
                  "seconds": line.device_seconds, "status": line.status}))
"""


def test_a_full_disk_is_told_and_the_close_says_all(tmp_path: Path) -> None:
    """A file system of its own, one MiB large, in a mount namespace of its own."""
    place = tmp_path / "small"
    place.mkdir()
    unshare = shutil.which("unshare")
    mount = f"mount -t tmpfs -o size=1m none {place}"
    probe = [str(unshare), "--mount", "--map-root-user", "sh", "-c", mount]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system may be mounted here")
    command = f'{mount} && exec "$0" -c "$1" {place}'
    inside = [*probe[:-1], command, sys.executable, FULL_DISK]
    env = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(inside, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["full"] == "No space left on device"
    assert "cannot be written: the disk is full" in told["said"]["hold"]
    assert "cannot keep an event, got No space left on device" in told["said"]["beat"]
    assert all("\n\nhint: " in said for said in told["said"].values())
    assert told["missed"] > 0
    assert (told["closed"], told["sound"], told["status"], told["seconds"]) == ("written", "ok", "done", 400.0)


def _run(script: str, *arguments: str) -> dict[str, object]:
    env = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can look into."""
    folder = Path(tempfile.mkdtemp(prefix="stillroom-ledger-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_written_is_told_and_its_beats_wait(open_folder: Path, migrated: Path) -> None:
    books, spool = open_folder / "books", open_folder / "spool"
    books.mkdir()
    spool.mkdir()
    spool.chmod(0o777)
    shutil.copy(migrated, books / "ledger.db")
    url = f"sqlite:///{books}/ledger.db"
    ledger = Ledger.open(url, spool=spool)
    ledger.start_build("b1", "finance", "local", "r")
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    for path in (*books.iterdir(), books):
        path.chmod(0o555 if path.is_dir() else 0o444)

    def unprivileged() -> None:
        if os.getuid() == 0:  # root may write everywhere
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        said = []
        for work in (lambda: Ledger.open(url, spool=spool), lambda: ledger.hold("b1", "dpo", "fp", "cpu")):
            try:
                work()
            except LedgerError as error:
                said.append(str(error))
        out.send((said, ledger.beat(lease.id, lease.opened_at + timedelta(seconds=30))))

    ours, out = FORK.Pipe(duplex=False)
    child = FORK.Process(target=unprivileged)
    child.start()
    said, beat = ours.recv()
    child.join()
    assert len(said) == 2 and beat == "spooled"
    for error in said:
        assert "cannot be written: it is read-only" in error or "cannot be opened" in error
        assert "\n\nhint: " in error
    for path in (books, *books.iterdir()):
        path.chmod(0o755)
    assert ledger.replay() == 1
    assert build_lines(ledger, "b1")[0].device_seconds == 30.0


def test_a_ledger_that_is_let_go_gives_its_connection_back(
    postgres: Server, migrated_postgres: str, tmp_path: Path
) -> None:
    url = postgres.new_database(like=migrated_postgres)
    for _ in range(12):
        assert Ledger.open(url, spool=tmp_path).open_leases() == []
    gc.collect()
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'stillroom-ledger'"
    with psycopg.connect(postgres.dsn("postgres")) as connection:
        [count] = connection.execute(query, (url.rpartition("/")[2],)).fetchone() or [None]
    assert count == 0
