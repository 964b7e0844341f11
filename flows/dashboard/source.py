"""What the pages read: the ledger, opened read-only, and the records of the store and of the builds."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from contracts.artifacts import RECORD, Artifact
from flows.lineage import Lineage, Node
from flows.settings import Settings
from flows.store import Store
from ledger import Ledger
from ledger.database import sqlite_file
from ledger.reading import open_for_reading
from ledger.snapshot import EMPTY, BuildRow, Snapshot, builds, snapshot

LINES, PROGRESS, CARD = "lines.json", "progress.json", "card.json"


class Records:
    """Every artifact whose record or identity the store has, and which build used which."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._licences: dict[str, list[str]] = {}
        lineage = Lineage(Store(home))
        self.lineage, self.artifacts, self.nodes = lineage, lineage.artifacts, lineage.nodes

    @cached_property
    def users(self) -> dict[str, list[str]]:
        """Fingerprint to those of the artifacts that were made from it directly."""
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for behind in dict.fromkeys(node.inputs.values()):
                found.setdefault(behind, []).append(node.fingerprint)
        return found

    @cached_property
    def stages(self) -> dict[str, dict[str, str]]:
        """Build to its stages and their artifacts, in their order, as it recorded them."""
        found = {}
        for file in (self.home / "builds").glob(f"*/{LINES}"):
            rows = read_json(file)
            if isinstance(rows, list):
                told = [row for row in rows if isinstance(row, dict) and "stage" in row and "fingerprint" in row]
                found[file.parent.name] = {str(row["stage"]): str(row["fingerprint"]) for row in told}
        return found

    @cached_property
    def builds_of(self) -> dict[str, list[str]]:
        """Fingerprint to the builds that made or reused it."""
        found: dict[str, list[str]] = {}
        for build, stages in self.stages.items():
            for fingerprint in stages.values():
                found.setdefault(fingerprint, []).append(build)
        return found

    def kind(self, fingerprint: str) -> str:
        """What an artifact is; empty where only its identity is left."""
        one = self.artifacts.get(fingerprint)
        return one.kind if one else ""

    def behind(self, fingerprint: str) -> list[Node]:
        """The artifact and all that it was made from."""
        return self.lineage.behind([fingerprint])

    def licences(self, fingerprint: str) -> list[str]:
        """The artifact's own: what its record, its card or its sources declare."""
        if fingerprint not in self._licences:
            one = self.artifacts.get(fingerprint)
            self._licences[fingerprint] = sorted(_declared(one)) if one else []
        return self._licences[fingerprint]

    def all_licences(self, fingerprint: str) -> list[str]:
        """Those of everything that it was made from: what decides how it may be released."""
        return sorted({licence for node in self.behind(fingerprint) for licence in self.licences(node.fingerprint)})


def _declared(one: Artifact) -> set[str]:
    if one.kind == "corpus":  # the card counts the documents that were really taken
        card = read_json(one.path / CARD)
        counted = card.get("licences") if isinstance(card, dict) else None
        if isinstance(counted, dict) and counted:
            return {str(licence) for licence in counted}
    named = one.metrics.get("licence")
    if isinstance(named, str) and named:
        return {named}
    sources = one.section.get("sources")
    told = sources.values() if isinstance(sources, dict) else []
    return {str(source["licence"]) for source in told if isinstance(source, dict) and source.get("licence")}


class Source:
    """A home as the pages see it. Read again only where something changed; safe to use from threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._told = EMPTY
        self._records: tuple[tuple[tuple[str, int], ...], Records] | None = None

    @property
    def name(self) -> str:
        """The ledger's place, without a password."""
        from sqlalchemy import make_url

        return make_url(self.settings.ledger).render_as_string(hide_password=True)

    def ledger(self) -> Ledger | None:
        """The ledger; None where nothing was booked yet. Raises LedgerError where it cannot be read."""
        if self._ledger is None:
            file = sqlite_file(self.settings.ledger)
            if file is not None and not file.exists():
                return None
            self._ledger = open_for_reading(self.settings.ledger)
        return self._ledger

    def told(self) -> Snapshot:
        """All rows of the ledger as of now. Raises LedgerError."""
        with self._lock:
            books = self.ledger()
            self._told = EMPTY if books is None else snapshot(books, self._told)
            return self._told

    def builds(self) -> Sequence[BuildRow]:
        """The builds alone, without reading all the rest. Raises LedgerError."""
        books = self.ledger()
        return () if books is None else builds(books)

    def records(self) -> Records:
        """The store's records as of now."""
        home = self.settings.home
        files = [*(home / "store").glob(f"*/*/{RECORD}"), *(home / "identities").glob("*/*.json")]
        files += (home / "builds").glob(f"*/{LINES}")
        with self._lock:
            seen = tuple(sorted((str(file), _modified(file)) for file in files))
            if self._records is None or self._records[0] != seen:
                self._records = (seen, Records(home))
            return self._records[1]

    def progress(self, build: str) -> dict[str, Any]:
        """How far a build's running stage says it is; empty where it says nothing."""
        told = read_json(self.settings.home / "builds" / Path(build).name / PROGRESS)
        return told if isinstance(told, dict) else {}

    @staticmethod
    def now() -> datetime:
        """The wall clock, UTC."""
        return datetime.now(UTC)


def read_json(file: Path) -> Any:
    """A JSON file's value, None where there is none or it is broken."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
