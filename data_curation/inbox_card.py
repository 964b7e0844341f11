"""The card of an inbox: all that was ever curated of it, and what the last drops brought. No document is read."""

from __future__ import annotations

from pathlib import Path

from contracts.artifacts import Artifact, describe
from contracts.stage import stage_main
from contracts.usage import Usage
from data_curation.card_page import render_card
from data_curation.card_sum import card_of_layers, metrics_of
from data_curation.coverage import refuse_gaps
from data_curation.layer_inputs import layers_of
from recipes.stage_sections import InboxCardSection

CODE_VERSION = "1"


def inbox_card(section: InboxCardSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Inputs: the layers, ``layer-...`` in order. Writes card.json and card.html; the samples are of the last layer.

    Raises GateError where the layers together cover less than is required.
    """
    layers = layers_of(inputs)
    card = card_of_layers(layers)
    lines = [one.model_copy(update={"required": section.require_coverage.get(one.name, 0)}) for one in card.coverage]
    card = card.model_copy(update={"quarantined": section.quarantined | card.quarantined, "coverage": lines})
    (out_dir / "card.json").write_text(card.model_dump_json(indent=2), encoding="utf-8")
    (out_dir / "card.html").write_text(render_card(card, layers[-1].path if layers else None), encoding="utf-8")
    if layers:
        refuse_gaps(lines)
    return describe(out_dir, "card", metrics_of(card)), Usage()


if __name__ == "__main__":
    stage_main(inbox_card, InboxCardSection)
