"""The card of an inbox: all that was ever curated of it, and what the last drops brought.

No document is read but those beside which near-duplicates of a later drop are shown.
"""

from __future__ import annotations

from pathlib import Path

from contracts.artifacts import Artifact, describe
from contracts.stage import stage_main
from contracts.usage import Usage
from data_curation.card_page import write_card
from data_curation.card_samples import of_layers
from data_curation.card_sum import card_of_layers, metrics_of
from data_curation.coverage import refuse_gaps
from data_curation.layer_inputs import layers_of
from recipes.stage_sections import InboxCardSection

CODE_VERSION = "2"


def inbox_card(section: InboxCardSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Inputs: the layers, ``layer-...`` in order. Writes the card; its samples are of all layers, the newest first.

    Raises GateError where the layers together cover less than is required.
    """
    layers = layers_of(inputs)
    card = card_of_layers(layers)
    lines = [one.model_copy(update={"required": section.require_coverage.get(one.name, 0)}) for one in card.coverage]
    card = card.model_copy(update={"quarantined": section.quarantined | card.quarantined, "coverage": lines})
    write_card(out_dir, card, of_layers([one.path for one in layers]))
    if layers:
        refuse_gaps(lines)
    return describe(out_dir, "card", metrics_of(card)), Usage()


if __name__ == "__main__":
    stage_main(inbox_card, InboxCardSection)
