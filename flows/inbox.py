"""An inbox as a build reads it: which drops are complete, which source reads which, and whether anything is new."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from contracts.errors import BusyError, InputError
from data_curation.drops import Drop, look, state_of
from flows.code_version import code_version
from flows.removals import requested
from flows.settings import Settings
from recipes import ontology
from recipes.corpus import FILE, Inbox
from recipes.fingerprint import fingerprint, identity
from recipes.load import verticals
from recipes.schema import Recipe, Source


@dataclass(frozen=True)
class View:
    """The inbox of one vertical at one moment."""

    folder: Path
    recipe: Recipe
    """The vertical's recipe, its sources pointed at the drops, with a source for every drop that it does not know."""
    inbox: Inbox
    drops: list[Drop]
    state: str
    """Changes when a settled drop, the recipe, a removal request or the code of curation does."""

    @property
    def waiting(self) -> list[Drop]:
        """Drops that are not complete yet."""
        return [drop for drop in self.drops if drop.status == "waiting"]


def vertical_of(folder: Path) -> str:
    """The vertical whose inbox a folder is, by its name. Raises InputError."""
    name = folder.resolve().name
    if name not in verticals():
        hint = f"an inbox is named after its vertical ({', '.join(verticals())}); any other folder: --corpus FOLDER"
        raise InputError(str(folder), "is the inbox of no vertical", got=name, hint=hint)
    return name


def view(folder: Path, recipe: Recipe, settings: Settings) -> View:
    """What ``folder`` holds now. Raises InputError where it is no folder."""
    drops = look(folder, recipe.curation, time.time(), settings.inbox_rest_seconds)
    inbox = Inbox(
        drops={d.name: d.corpus for d in drops if d.status == "complete" and d.corpus is not None},
        quarantined={d.name: d.reason for d in drops if d.status == "quarantined"},
    )
    inbox = _agreed(recipe, inbox)
    sources = _sources(recipe, inbox)
    known = ontology.load(recipe.vertical)
    parts = {
        "drops": state_of(drops),
        "recipe": identity(recipe),
        "code": code_version("data_curation.curate"),
        "ontology": identity(known) if known else None,
        "removals": list(requested(settings.home, sources)),
    }
    shown = recipe.model_copy(update={"sources": sources})
    return View(folder, shown, inbox, drops, fingerprint(parts))


def as_inbox(documents: Path | None, recipe: Recipe, settings: Settings) -> View | None:
    """The view of a build's documents where they are an inbox: named after the vertical, a corpus.yaml in a folder."""
    if documents is None or documents.name != recipe.vertical or not any(documents.glob(f"*/{FILE}")):
        return None
    return view(documents, recipe, settings)


def refuse_changed(before: View, recipe: Recipe, settings: Settings) -> None:
    """Raises BusyError where a drop that was read is not what it was: half of it may be older than the other half."""
    read = {drop.name: drop.state for drop in before.drops if drop.status == "complete"}
    now = {drop.name: drop.state for drop in look(before.folder, recipe.curation, time.time(), 0)}
    changed = sorted(name for name, state in read.items() if now.get(name) != state)
    if changed:
        hint = "nothing was kept of it; the next run reads what is there once it rests"
        raise BusyError(f"{before.folder}: {', '.join(changed)}", "changed while it was read", hint=hint)


def _agreed(recipe: Recipe, inbox: Inbox) -> Inbox:
    """A drop whose licence is not the one the recipe states for its source goes to quarantine."""
    contradicted = {
        drop: f"licence {inbox.drops[drop].licence}: the recipe's source {name} states {recipe.sources[name].licence}"
        for name, (drop, _) in _matches(recipe, inbox).items()
        if recipe.sources[name].licence != inbox.drops[drop].licence
    }
    kept = {name: told for name, told in inbox.drops.items() if name not in contradicted}
    return Inbox(drops=kept, quarantined=dict(sorted((inbox.quarantined | contradicted).items())))


def _matches(recipe: Recipe, inbox: Inbox) -> dict[str, tuple[str, str]]:
    """Source to the drop that one of its path's folders is named after, and to its path in the inbox."""
    found: dict[str, tuple[str, str]] = {}
    for name, source in recipe.sources.items():
        parts = PurePosixPath(source.path).parts
        place = next((n for n, part in enumerate(parts) if part in inbox.drops), None)
        if place is not None:
            found[name] = parts[place], str(PurePosixPath(*parts[place:]))
    return found


def _sources(recipe: Recipe, inbox: Inbox) -> dict[str, Source]:
    """The recipe's sources where their drops lie, nowhere where there is none, and one for every other drop."""
    matches = _matches(recipe, inbox)
    sources = {
        name: source.model_copy(update={"path": matches[name][1] if name in matches else f".no-drop/{source.path}"})
        for name, source in recipe.sources.items()
    }
    for drop in sorted(set(inbox.drops) - {drop for drop, _ in matches.values()}):
        told = inbox.drops[drop]
        sources[drop if drop not in sources else f"{drop}.drop"] = Source(
            path=drop,
            use=told.use,
            licence=told.licence,
            text=told.fields.text,
            id=told.fields.id,
            entity=told.fields.entity,
            date=told.fields.date,
            max_chars=8_000,
        )
    return sources


class Records:
    """What was done with each vertical's inbox: ``home/inbox/<vertical>.json``."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "inbox"

    def read(self, vertical: str) -> dict[str, Any]:
        """The record, empty where there is none or it is damaged."""
        try:
            return dict(json.loads((self._folder / f"{vertical}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def note(self, vertical: str, **told: str) -> None:
        """Add to the record, in one rename."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{vertical}.part"
        part.write_text(json.dumps(self.read(vertical) | told, indent=1), encoding="utf-8")
        part.rename(self._folder / f"{vertical}.json")

    def card(self, seen: View, scale: str) -> str:
        """The card of an inbox in which nothing has changed since; empty where something has, or the card is gone."""
        record = self.read(seen.recipe.vertical)
        same = record.get("curated") == f"{scale}/{seen.state}" and record.get("folder") == str(seen.folder)
        return str(record["card"]) if same and Path(record["card"]).is_file() else ""
