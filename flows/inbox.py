"""An inbox as a build reads it: which drops are complete, which source reads which, and whether anything is new.

Drops that are new at one run become one layer (``flows/corpus_chain.py``); the record keeps which came with which. One
layer and not one a drop: among documents that come together the best of a cluster stays, and the first run, over
whatever is there, is the recipe's whole curation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from contracts.errors import BusyError, InputError
from data_curation.drops import Drop, look, state_of
from flows.code_version import code_version
from flows.corpus_chain import Layer
from flows.removals import requested
from flows.settings import Settings
from recipes import ontology
from recipes.corpus import FILE, Corpus, Inbox
from recipes.fingerprint import fingerprint, identity
from recipes.load import verticals
from recipes.schema import Recipe, Source

NOWHERE = ".no-drop/"
"""Where a source is said to lie of which there is no drop."""


@dataclass(frozen=True)
class View:
    """The inbox of one vertical at one moment."""

    folder: Path
    recipe: Recipe
    """The vertical's recipe, its sources pointed at the drops, with a source for every drop that it does not know."""
    inbox: Inbox
    drops: list[Drop]
    layers: tuple[Layer, ...]
    groups: list[list[str]]
    """Names of all drops ever taken, by layer: one that is away for a while comes back to its place."""
    digests: dict[str, str]
    """Source's path to the digest of its files, of drops that have not changed since they were read."""
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
    record = Records(settings).taken(recipe.vertical, folder)
    groups = grouped(record.get("layers", []), inbox.drops)
    layers = _layers(recipe, inbox, groups, settings)
    sources = {name: one for layer in layers for name, one in layer.recipe.sources.items()}
    known = ontology.load(recipe.vertical)
    parts = {
        "drops": state_of(drops),
        "recipe": identity(recipe),
        "code": [code_version("data_curation.curate"), code_version("data_curation.inbox_card")],
        "ontology": identity(known) if known else None,
        "removals": list(requested(settings.home, sources)),
    }
    shown = recipe.model_copy(update={"sources": sources or _nowhere(recipe.sources)})
    return View(folder, shown, inbox, drops, layers, groups, _digests(drops, record), fingerprint(parts))


def grouped(recorded: list[list[str]], complete: Iterable[str]) -> list[list[str]]:
    """The layers of before, and one more for drops that are in none of them."""
    new = sorted(set(complete) - {name for group in recorded for name in group})
    return [*recorded, new] if new else recorded


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


def _layers(recipe: Recipe, inbox: Inbox, groups: list[list[str]], settings: Settings) -> tuple[Layer, ...]:
    """The drops of each group that are complete now; a group without any is left out."""
    told = [{name: inbox.drops[name] for name in group if name in inbox.drops} for group in groups]
    taken: dict[str, tuple[str, str]] = {}
    made: list[tuple[dict[str, Source], Inbox]] = []
    for drops in filter(None, told):
        matches = {name: one for name, one in _matches(recipe, Inbox(drops=drops)).items() if name not in taken}
        taken |= matches
        own = _described(recipe, drops, matches)
        read = {name: recipe.sources[name].model_copy(update={"path": path}) for name, (_, path) in matches.items()}
        rest = {} if made else _nowhere(recipe.sources)
        made.append((rest | read | own, Inbox(drops=drops, described=tuple(own))))
    return tuple(_layer(recipe, sources, drops, settings, taken) for sources, drops in made)


def _layer(
    recipe: Recipe, sources: dict[str, Source], inbox: Inbox, settings: Settings, taken: Mapping[str, object]
) -> Layer:
    tasks = {name: task for name, task in recipe.tasks.items() if task.source in sources}
    own = {name: one for name, one in sources.items() if name not in taken or not one.path.startswith(NOWHERE)}
    of_layer = recipe.model_copy(update={"sources": sources, "tasks": tasks})
    return Layer(of_layer, inbox, requested(settings.home, own))


def _matches(recipe: Recipe, inbox: Inbox) -> dict[str, tuple[str, str]]:
    """Source to the drop that one of its path's folders is named after, and to its path in the inbox."""
    found: dict[str, tuple[str, str]] = {}
    for name, source in recipe.sources.items():
        parts = PurePosixPath(source.path).parts
        place = next((n for n, part in enumerate(parts) if part in inbox.drops), None)
        if place is not None:
            found[name] = parts[place], str(PurePosixPath(*parts[place:]))
    return found


def _nowhere(sources: Mapping[str, Source]) -> dict[str, Source]:
    """Sources of which there is no drop."""
    return {name: one.model_copy(update={"path": f"{NOWHERE}{one.path}"}) for name, one in sources.items()}


def _described(
    recipe: Recipe, drops: Mapping[str, Corpus], matches: Mapping[str, tuple[str, str]]
) -> dict[str, Source]:
    """A source for every drop that no source of the recipe reads."""
    found: dict[str, Source] = {}
    for drop in sorted(set(drops) - {drop for drop, _ in matches.values()}):
        told = drops[drop]
        found[drop if drop not in recipe.sources else f"{drop}.drop"] = Source(
            path=drop,
            use=told.use,
            licence=told.licence,
            text=told.fields.text,
            id=told.fields.id,
            entity=told.fields.entity,
            date=told.fields.date,
            max_chars=8_000,
            figures_tell_apart=told.figures_tell_apart,
        )
    return found


def _digests(drops: list[Drop], record: Mapping[str, Any]) -> dict[str, str]:
    states = {drop.name: drop.state for drop in drops}
    told: dict[str, list[str]] = record.get("digests", {})
    return {path: digest for path, (state, digest) in told.items() if states.get(_drop_of(path)) == state}


def _drop_of(path: str) -> str:
    return path.partition("/")[0]


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

    def note(self, vertical: str, **told: Any) -> None:
        """Add to the record, in one rename."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{vertical}.part"
        part.write_text(json.dumps(self.read(vertical) | told, indent=1), encoding="utf-8")
        part.rename(self._folder / f"{vertical}.json")

    def taken(self, vertical: str, folder: Path) -> dict[str, Any]:
        """The record as far as it speaks of this folder: layers and digests of another say nothing of it."""
        record = self.read(vertical)
        return record if record.get("taken_from") == str(folder) else {}

    def take(self, seen: View, digests: Mapping[str, str], **told: str) -> None:
        """Keep which drops came together, and the digests of those that were read, each with its drop's state."""
        states = {drop.name: drop.state for drop in seen.drops}
        found = {
            path: [states[_drop_of(path)], one] for path, one in sorted(digests.items()) if _drop_of(path) in states
        }
        kept = {"taken_from": str(seen.folder), "layers": seen.groups, "digests": found}
        self.note(seen.recipe.vertical, **kept, **told)

    def card(self, seen: View, scale: str) -> str:
        """The card of an inbox in which nothing has changed since; empty where something has, or the card is gone."""
        record = self.read(seen.recipe.vertical)
        same = record.get("curated") == f"{scale}/{seen.state}" and record.get("folder") == str(seen.folder)
        return str(record["card"]) if same and Path(record["card"]).is_file() else ""
