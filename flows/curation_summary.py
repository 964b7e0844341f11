"""The curation card in short, as markdown: for a run's artifact and the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.artifacts import Artifact
from contracts.reports import CurationCard

MOST = 12


def markdown(vertical: str, artifact: Artifact) -> str:
    """What came in, what stayed, what went and why, what is covered and what is missing."""
    card = CurationCard.model_validate_json(artifact.file("card.json").read_text(encoding="utf-8"))
    return "\n".join(_lines(vertical, artifact, card)) + "\n"


def _lines(vertical: str, artifact: Artifact, card: CurationCard) -> Iterator[str]:
    read, accepted = sum(one.read for one in card.sources), sum(one.accepted for one in card.sources)
    yield f"# Curated: {_cell(vertical)}\n"
    yield f"{read:,} documents read = {accepted:,} accepted + {read - accepted:,} rejected.\n"
    if len(card.layers) > 1:
        last = card.layers[-1]
        yield f"The last drops, {_cell(', '.join(last.drops))}, brought {last.read:,}: {last.accepted:,} accepted.\n"
    yield f"Card: `{artifact.path}/card.html`\n"
    yield "| source | read | accepted | tokens kept | most frequent reason |"
    yield "|---|---|---|---|---|"
    for one in card.sources:
        reason, count = max(one.rejected.items(), key=lambda item: item[1], default=("", 0))
        told = f"{reason} ({count:,})" if reason else ""
        yield f"| {_cell(one.source)} | {one.read:,} | {one.accepted:,} | {one.accepted_tokens:,} | {_cell(told)} |"
    if card.quarantined:
        yield f"\n**In quarantine: {len(card.quarantined):,}**\n"
        for file, error in list(card.quarantined.items())[:MOST]:
            yield f"- {_cell(file)}: {_cell(error)}"
    missing = [one.name for one in card.coverage if not one.documents]
    if card.coverage:
        covered = len(card.coverage) - len(missing)
        yield f"\nCovers {covered} of {len(card.coverage)} names of the ontology."
        yield f"Missing: {_cell(', '.join(missing)) or 'none'}."


def _cell(text: str) -> str:
    """Text that markdown reads as text."""
    told = " ".join(text.split())
    for sign in "\\`*_[]<>|":
        told = told.replace(sign, f"\\{sign}")
    return told
