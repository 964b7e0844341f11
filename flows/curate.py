"""The flow of the data team: a corpus, or an inbox, to a curated corpus and its card, without training anything."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.runtime import flow_run

from contracts.artifacts import Artifact
from contracts.errors import BusyError
from flows import corpus_chain
from flows.build import Build, opened
from flows.curation_summary import markdown
from flows.fetch import fetch_all
from flows.inbox import Records, View, refuse_changed, view
from flows.lifeline import die_with_worker
from flows.publish import if_heard
from flows.refusals import tell_without_stack
from flows.settings import Settings, documents
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
    die_with_worker()
    tell_without_stack()
    settings = Settings()
    chosen = tuple(overrides or ())
    if inbox is None:
        found = documents(Path(corpus) if corpus else None, settings)
        recipe = load(vertical, scale, chosen)
        with opened(f"{flow_run.id or 'by-hand'}", recipe, settings, found, "", "") as running:
            running.logger = get_run_logger()
            return _told(vertical, corpus_chain.curate(steps(running), recipe, surroundings(running)))
    folder = Path(inbox).expanduser().resolve() if inbox else settings.inbox
    if not inbox:
        fetch_all(settings, get_run_logger().info)
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
    with ExitStack() as held:
        try:
            build = opened(f"{flow_run.id or 'by-hand'}-{recipe.vertical}", seen.recipe, settings, folder, "", "")
            running = held.enter_context(build)
        except BusyError:
            if records.read(recipe.vertical).get("attempted") != seen.state:
                raise
            log.info("%s: another run has begun with exactly this", folder)
            return ""
        running.logger = log
        artifact = _in_layers(running, seen, recipe, records)
    card = _told(recipe.vertical, artifact)
    records.note(recipe.vertical, curated=f"{recipe.scale}/{seen.state}", folder=str(folder), card=card)
    return card


def _in_layers(running: Build, seen: View, recipe: Recipe, records: Records) -> Artifact:
    """What is new as a layer of its own, and the card of the whole inbox."""
    records.take(seen, seen.digests, attempted=seen.state)
    running.digests = dict(seen.digests)
    made = corpus_chain.layers(steps(running), surroundings(running, layers=seen.layers))
    try:
        refuse_changed(seen, recipe, running.settings)
    except BusyError:
        new = {line.fingerprint for line in running.lines if not line.cached}
        for artifact in made:
            if artifact.fingerprint in new:
                shutil.rmtree(artifact.path)  # made from bytes that are no longer there: no fingerprint is true of it
        raise
    records.take(seen, running.digests)
    return corpus_chain.inbox_card(steps(running), recipe, made, seen.inbox.quarantined)


def _told(vertical: str, artifact: Artifact) -> str:
    """The card as Prefect artifacts; returns the page's path."""
    page = artifact.path / "card.html"
    key = f"curation-{vertical}".replace("_", "-")
    told: dict[str, Any] = {"key": key, "description": f"Curated {vertical}: {artifact.fingerprint}"}
    with if_heard(get_run_logger(), "the card"):
        create_markdown_artifact(markdown(vertical, artifact), **told)
        create_link_artifact(page.as_uri(), link_text="card.html", key=f"{key}-page")
    return str(page)
