"""What a page is asked for: the filter as it stands in the URL, and the links that keep it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol
from urllib.parse import quote, urlencode

from contracts.errors import InputError
from ledger.breakdown import Scope
from ledger.moments import moment

FILTERS = ("vertical", "team", "scale", "build", "from", "to")
PAGES = {
    "overview": "Overview",
    "spend": "Spend",
    "budgets": "Budgets",
    "estimates": "Plan against actual",
    "quality": "Quality per hour",
    "lineage": "Lineage",
    "attribution": "Attribution",
    "running": "Running",
}
"""In the order of the menu."""
DAY = timedelta(days=1)
NAME_IN_A_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


@dataclass(frozen=True)
class Query:
    """The filter, and what else the URL says."""

    words: Mapping[str, str] = field(default_factory=dict)
    """The filter's words that are not empty, as they were given."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Words of one page alone."""
    scope: Scope = field(default_factory=Scope)

    @property
    def told(self) -> str:
        """The filter in words; empty where there is none."""
        names = [f"{name} {self.words[name]}" for name in FILTERS if name in self.words]
        return ", ".join(names)


def parse(told: Mapping[str, str]) -> Query:
    """The query of a URL. Raises InputError, LedgerError for a date that is none."""
    words = {name: told[name].strip() for name in FILTERS if told.get(name, "").strip()}
    start = moment("from", words["from"]) if "from" in words else None
    end = moment("to", words["to"]) if "to" in words else None
    if end is not None and len(words["to"]) == len("2026-03-01"):
        try:
            end += DAY  # a day is meant with all its hours
        except OverflowError:
            raise InputError("to", "lies too far ahead", got=words["to"], hint="leave it out for no end") from None
    if start is not None and end is not None and end <= start:
        raise InputError("to", "must not lie before from", got=f"{words['from']} to {words['to']}")
    scope = Scope(
        **{name: words.get(name, "") for name in ("vertical", "team", "scale", "build")}, start=start, end=end
    )
    return Query(words, {name: text for name, text in told.items() if name not in FILTERS}, scope)


class Links(Protocol):
    """Where pages are, as seen from the page that is drawn."""

    def page(self, name: str) -> str:
        """A panel, with the filter kept."""
        ...

    def artifact(self, fingerprint: str) -> str:
        """The page of an artifact."""
        ...

    def build(self, build: str) -> str:
        """The page of a build; empty where there is none."""
        ...

    def only(self, name: str, vertical: str) -> str:
        """A panel for one vertical, or for all of them; empty where there is no such page."""
        ...


@dataclass(frozen=True)
class ServedLinks:
    """Paths of the server; the filter is in the query string."""

    query: Query

    def page(self, name: str) -> str:
        return _with(f"/{'' if name == 'overview' else name}", self.query.words)

    def artifact(self, fingerprint: str) -> str:
        return _with(f"/artifacts/{quote(fingerprint, safe='')}", self.query.words)

    def build(self, build: str) -> str:
        return _with(f"/builds/{quote(build, safe='')}", self.query.words)

    def only(self, name: str, vertical: str) -> str:
        words = {key: word for key, word in self.query.words.items() if key != "vertical"}
        words |= {"vertical": vertical} if vertical else {}
        return ServedLinks(replace(self.query, words=words)).page(name)


@dataclass(frozen=True)
class ExportedLinks:
    """Files beside each other. ``variant`` is the vertical that this page's panels are about; empty: all."""

    verticals: tuple[str, ...] = ()
    variant: str = ""
    builds: frozenset[str] = frozenset()
    """Those that have a page."""

    def page(self, name: str) -> str:
        return self.only(name, self.variant)

    def artifact(self, fingerprint: str) -> str:
        return f"artifact-{slug(fingerprint)}.html"

    def build(self, build: str) -> str:
        return f"build-{slug(build)}.html" if build in self.builds else ""

    def only(self, name: str, vertical: str) -> str:
        stem = "index" if name == "overview" else name
        return f"{stem}-{slug(vertical)}.html" if vertical in self.verticals else f"{stem}.html"


def slug(name: str) -> str:
    """A name that can stand in a file's name; one that cannot is named by its digest."""
    return name if NAME_IN_A_PATH.fullmatch(name) else "x" + hashlib.sha256(name.encode()).hexdigest()[:20]


def _with(path: str, words: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(words)}" if words else path
