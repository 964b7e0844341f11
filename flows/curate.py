"""The flow of the data team: an inbox to a curated corpus and its card, without training anything."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from flows import chain
from flows.build import opened
from flows.settings import Settings
from flows.step import steps
from flows.surroundings import surroundings
from recipes.load import load


@flow(name="curate", persist_result=False)
def curate(
    vertical: str = "finance", scale: str = "local", corpus: str | None = None, overrides: list[str] | None = None
) -> str:
    """Curate a corpus; returns the card's path."""
    settings = Settings()
    recipe = load(vertical, scale, tuple(overrides or ()))
    documents = Path(corpus).expanduser().resolve() if corpus else settings.corpus
    with opened(str(flow_run.id or "by-hand"), recipe, settings, documents, "", "") as running:
        running.logger = get_run_logger()
        artifact = chain.curate(steps(running), recipe, surroundings(running))
    card = artifact.path / "card.html"
    create_markdown_artifact(
        f"Curated {vertical}: {artifact.metrics}\n\nCard: `{card}`", key=f"curation-{vertical}".replace("_", "-")
    )
    return str(card)
