"""How the chain asks for a stage: one call, whoever carries it out (a build, a plan, a test)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contracts.artifacts import Artifact
from recipes.section import Section


@dataclass(frozen=True)
class StageCall:
    """One stage as it is asked for."""

    name: str
    module: str
    section: Section
    inputs: Mapping[str, Artifact]
    device: bool = False
    """Whether it holds the accelerators; else it is leased one cpu."""
    unread: bool = False
    """The artifact is only referred to; its files' times tell whether it is whole, not their bytes."""


@dataclass(frozen=True)
class Step:
    """Runs one stage, or finds it in the store, or (in a plan) only says which it would be."""

    carry_out: Callable[[StageCall], Artifact]

    def __call__(
        self,
        name: str,
        module: str,
        section: Section,
        inputs: Mapping[str, Artifact],
        *,
        device: bool = False,
        unread: bool = False,
    ) -> Artifact:
        """The stage's artifact."""
        return self.carry_out(StageCall(name, module, section, inputs, device, unread))
