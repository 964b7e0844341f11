"""What must hold after kills: the observer's lives beside the ledger's leases, rows, processes and artifacts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from contracts.artifacts import broken_files, load
from ledger import Ledger
from ledger.leases import Span, read_spans
from ledger.schema import lease_event

TICK_SECONDS = 0.01
"""A process's start is told in clock ticks, cut off: it is so much later than told, at most."""


@dataclass
class Life:
    """One stage process, in seconds since boot; ``died`` None while it lives."""

    pid: int
    spec: str
    born: float
    died: float | None = None
    alive_at: float = 0.0
    """When it was last seen alive."""

    @property
    def folder(self) -> str:
        """The stage's work folder, ``STAGE-FINGERPRINT``."""
        return Path(self.spec).parent.name

    @property
    def stage(self) -> str:
        """Its stage."""
        return self.folder.rpartition("-")[0]

    @property
    def fingerprint(self) -> str:
        """Of the artifact it was to make."""
        return self.folder.rpartition("-")[2]

    @property
    def certain(self) -> tuple[float, float]:
        """From when to when it certainly lived."""
        return self.born + TICK_SECONDS, max(self.alive_at, self.born + TICK_SECONDS)

    @property
    def seconds_at_least(self) -> float:
        """How long it lived for certain."""
        start, end = self.certain
        return end - start

    @property
    def seconds_at_most(self) -> float:
        """No longer than so."""
        return 0.0 if self.died is None else self.died - self.born


class Lives:
    """The observer's file, read as it grows."""

    def __init__(self, file: Path) -> None:
        file.touch()
        self._lines = file.open(encoding="utf-8")
        self.all: list[Life] = []
        self.longest_gap_seconds = 0.0
        self._half = ""

    def read(self) -> list[Life]:
        """All lives that are known by now."""
        for line in self._lines:
            self._half += line
            if self._half.endswith("\n"):
                self._take(json.loads(self._half))
                self._half = ""
        return self.all

    def alive(self) -> list[Life]:
        """Those that have not ended."""
        return [one for one in self.read() if one.died is None]

    def _take(self, told: dict[str, Any]) -> None:
        match told["what"]:
            case "birth":
                self.all.append(Life(told["pid"], told["spec"], told["at"]))
            case "death":
                life = next(one for one in self.all if one.died is None and one.pid == told["pid"])
                life.died, life.alive_at = told["at"], told["alive_at"]
            case "gap":
                self.longest_gap_seconds = max(self.longest_gap_seconds, told["seconds"])


def uncovered_seconds(lives: Iterable[Life], spans: Iterable[Span]) -> float:
    """Of what was certainly lived, the seconds in no lease of the artifact: each life must lie within one."""
    held: dict[str, list[tuple[float, float]]] = {}
    for span in spans:
        start = span.lease.opened_boot_seconds
        seconds = (span.billed_until - span.lease.opened_at).total_seconds()
        held.setdefault(span.lease.artifact_fingerprint, []).append((start, start + seconds))
    return sum(_uncovered(life, held.get(life.fingerprint, [])) for life in lives)


def _uncovered(life: Life, held: Iterable[tuple[float, float]]) -> float:
    born, died = life.certain
    covered = (max(0.0, min(died, end) - max(born, start)) for start, end in held)
    return died - born - max(covered, default=0.0)


def corrupt_rows(ledger: Ledger) -> list[str]:
    """What is wrong with the rows: the database's own checks, numbers of attempts, ends, details."""
    with ledger.reading() as connection:
        found = _own_checks(connection)
        attempts: dict[tuple[str, str, str], list[int]] = {}
        for span in read_spans(connection):
            one = span.lease
            attempts.setdefault((one.build_id, one.stage, one.artifact_fingerprint), []).append(one.attempt)
            if span.billed_until < one.opened_at:
                found.append(f"lease {one.id} ends before it begins")
        found += [f"attempts of {key}: {n}" for key, n in attempts.items() if sorted(n) != list(range(1, len(n) + 1))]
        columns = (lease_event.c.idempotency_key, lease_event.c.kind, lease_event.c.lease_id, lease_event.c.detail)
        rows = list(connection.execute(select(*columns)))
    closes = Counter(row.lease_id for row in rows if row.kind == "close")
    found += [f"lease {lease_id} is closed {count} times" for lease_id, count in closes.items() if count > 1]
    found += [f"event {row.idempotency_key} has no detail" for row in rows if not isinstance(row.detail, dict)]
    return found + [key for key, n in Counter(row.idempotency_key for row in rows).items() if n > 1]


def _own_checks(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    told = list(connection.exec_driver_sql("PRAGMA integrity_check").scalars())
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return [line for line in told if line != "ok"] + [f"foreign key: {tuple(row)}" for row in broken]


def broken_artifacts(home: Path) -> list[str]:
    """Published artifacts that are not whole."""
    found = []
    for record in (home / "store").glob("*/*/artifact.json"):
        artifact = load(record.parent)
        if artifact is None or broken_files(artifact):
            found.append(str(record.parent))
    return found
