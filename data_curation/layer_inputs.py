"""How a stage is given the layers of an inbox: as inputs by these names, in the order of the names."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.artifacts import Artifact

LAYER = "layer-"


def layers_of(inputs: Mapping[str, Artifact]) -> list[Artifact]:
    """The layers among a stage's inputs, in order."""
    return [one for name, one in sorted(inputs.items()) if name.startswith(LAYER)]
