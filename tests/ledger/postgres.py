"""A real PostgreSQL from the machine's own package, on loopback, in a temporary folder, as an unprivileged user."""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

SETTINGS = {
    "fsync": "off", "shared_buffers": "16MB", "max_connections": "60", "autovacuum": "off",
}  # fmt: skip
STARTS = 20


def binaries() -> Path | None:
    """The folder of the newest server that Debian's packages have put here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Server:
    """One server; ``kill`` ends it as a power cut of its processes would, ``start`` brings it back."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="stillroom-postgres-"))
        self.password = secrets.token_hex(16)
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._init()
        self.start()

    def _as_user(self) -> dict[str, object]:
        """The server refuses to run as root."""
        if os.getuid() != 0:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _init(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        if os.getuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, self.user)
        command = [
            self.programs / "initdb", "-D", self.folder / "data", "--username=stillroom", f"--pwfile={secret}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as_user())  # type: ignore[call-overload]

    def start(self) -> None:
        """Start and wait until it answers. After a kill the old processes may hold their memory for a moment yet."""
        for _ in range(STARTS):
            if self._started():
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text())

    def _started(self) -> bool:
        told = SETTINGS | {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        options = [word for name, value in told.items() for word in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", self.folder / "data", *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                command, cwd=self.folder, stdout=log, stderr=log, preexec_fn=_end_with_us, **self._as_user()
            )
        for _ in range(600):
            if self._process.poll() is not None:
                return False
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise AssertionError("PostgreSQL does not answer")

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children end themselves when they see it gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database: str) -> str:
        """For psycopg and, as a URL, for the ledger."""
        return f"postgresql://stillroom:{self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, like: str = "template0") -> str:
        """A URL of an empty database, or of a copy of another one that nobody is connected to."""
        self._databases += 1
        name = f"ledger_{self._databases}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {like.rpartition('/')[2]}")
        return self.dsn(name)


def _end_with_us() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def start_or_skip() -> Server:
    """A running server; skips where the machine has none."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine: infra/install-postgresql.sh installs Debian's")
    return Server(programs)
