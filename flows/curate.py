"""The flow of the data team: a corpus, or an inbox, to a curated corpus and its card, without training anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.runtime import flow_run

from contracts.artifacts import Artifact
from contracts.errors import BusyError
from flows import chain
from flows.build import opened
from flows.curation_summary import markdown
from flows.inbox import Records, View, refuse_changed, view
from flows.settings import Settings
from flows.step import steps
from flows.surroundings import surroundings
from recipes.load import load, verticals
from recipes.schema import Recipe


@flow(name="curate", persist_result=False)
def curate(
    vertical: str = "finance",
    scale: str = "local",
    corpus: str | None = None,
    overrides: list[str] | None = None,
    inbox: str | None = None,
) -> str:
    """Curate a corpus; returns the card's path.

    ``inbox`` is a folder of inboxes, one a vertical (empty: the setting's): complete drops are read, and where nothing
    is new nothing runs. With an empty ``vertical`` every inbox there is looked at; the cards' paths come a line each.
    """
    settings = Settings()
    chosen = tuple(overrides or ())
    if inbox is None:
        documents = Path(corpus).expanduser().resolve() if corpus else settings.corpus
        recipe = load(vertical, scale, chosen)
        return _told(vertical, _curated(recipe, settings, documents, None))
    folder = Path(inbox).expanduser().resolve() if inbox else settings.inbox
    wanted = [vertical] if vertical else [name for name in verticals() if (folder / name).is_dir()]
    return "\n".join(_inbox(folder / name, load(name, scale, chosen), settings) for name in wanted)


def _inbox(folder: Path, recipe: Recipe, settings: Settings) -> str:
    """The card of one vertical's inbox, made anew only where something has changed."""
    log, records = get_run_logger(), Records(settings)
    seen = view(folder, recipe, settings)
    for drop in seen.drops:
        if drop.status != "complete":
            log.warning("%s is %s: %s", drop.name, drop.status, drop.reason)
    card = records.card(seen, recipe.scale)
    if card:
        log.info("%s: nothing has changed; card %s", folder, card)
        return card
    if not seen.inbox.drops and not seen.inbox.quarantined:
        log.info("%s: no complete drop", folder)
        return ""
    artifact = _curated(seen.recipe, settings, folder, seen, records)
    try:
        refuse_changed(seen, recipe, settings)
    except BusyError:
        shutil.rmtree(artifact.path)  # made from bytes that are no longer there: no fingerprint is true of it
        raise
    card = _told(recipe.vertical, artifact)
    records.note(recipe.vertical, curated=f"{recipe.scale}/{seen.state}", folder=str(folder), card=card)
    return card


def _curated(
    recipe: Recipe, settings: Settings, documents: Path | None, seen: View | None, records: Records | None = None
) -> Artifact:
    run = f"{flow_run.id or 'by-hand'}" + (f"-{recipe.vertical}" if seen else "")
    with opened(run, recipe, settings, documents, "", "") as running:
        if records and seen:
            records.note(recipe.vertical, attempted=seen.state)
        running.logger = get_run_logger()
        around = surroundings(running, inbox=seen.inbox if seen else None)
        return chain.curate(steps(running), recipe, around)


def _told(vertical: str, artifact: Artifact) -> str:
    """The card as Prefect artifacts; returns the page's path."""
    page = artifact.path / "card.html"
    key = f"curation-{vertical}".replace("_", "-")
    told: dict[str, Any] = {"key": key, "description": f"Curated {vertical}: {artifact.fingerprint}"}
    create_markdown_artifact(markdown(vertical, artifact), **told)
    create_link_artifact(page.as_uri(), link_text="card.html", key=f"{key}-page")
    return str(page)
