"""Which stages a chain has, and what people may call them: a name that means none is refused before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from contracts.artifacts import Artifact
from contracts.errors import InputError
from flows.build import meant
from flows.chain import build
from flows.inbox import as_inbox
from flows.settings import Settings
from flows.stage_call import StageCall, Step
from flows.surroundings import planned
from recipes.schema import Recipe


def stage_names(recipe: Recipe, settings: Settings, corpus: Path | None) -> list[str]:
    """The stages of a recipe's chain in their order; nothing runs and no document is read."""
    seen = as_inbox(corpus, recipe, settings)
    recipe = seen.recipe if seen else recipe
    found: list[str] = []

    def look(call: StageCall) -> Artifact:
        found.append(call.name)
        return Artifact(kind="planned", path=settings.home / "store" / call.name)

    build(Step(look), recipe, planned(recipe, settings, corpus, seen.layers if seen else ()), lambda _: None)
    return list(dict.fromkeys(found))


def require_stage(asked: str, word: str, known: Sequence[str]) -> None:
    """Raise InputError where ``word`` means none of the ``known`` stages; an empty word asks for nothing."""
    if not word or any(meant(word, one) for one in known):
        return
    kinds = list(dict.fromkeys(one.split(":")[0] for one in known))
    near = difflib.get_close_matches(word, [*known, *kinds], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"its stages: {', '.join(known)}"
    raise InputError(asked, "is not in this chain", got=repr(word), hint=hint)


def refuse_unknown_stages(recipe: Recipe, settings: Settings, corpus: Path | None, from_stage: str, only: str) -> None:
    """Raise InputError where ``--from`` or ``--only`` means no stage of the chain."""
    if from_stage or only:
        known = stage_names(recipe, settings, corpus)
        require_stage("--from", from_stage, known)
        require_stage("--only", only, known)
