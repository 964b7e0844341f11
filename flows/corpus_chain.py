"""The chain's first part, documents to a corpus: whole, or in layers as the drops of an inbox come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from contracts.artifacts import Artifact
from data_curation.layer_inputs import LAYER
from data_curation.write import writer_digest
from flows.settings import NO_KEY
from flows.stage_call import Step
from recipes import ontology
from recipes.corpus import Inbox
from recipes.schema import Recipe
from recipes.stage_sections import CurateSection, InboxCardSection, JoinSection, WriteSection
from recipes.text_rules import identifiers, quality_rules


@dataclass(frozen=True)
class Layer:
    """Drops of an inbox that came together. The first one has all sources of the recipe, later ones only their own."""

    recipe: Recipe
    inbox: Inbox
    removals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """What the flow knows and a recipe does not."""

    corpus: Path | None
    engine_python: Path
    usd_per_device_hour: float | None
    allow_downloads: bool
    api_key: SecretStr = NO_KEY
    """Of the teacher behind ``capture.endpoint``; a plan needs none."""
    layers: tuple[Layer, ...] = ()
    """Where ``corpus`` is an inbox: its drops as they came, one layer after the other."""
    removals: tuple[str, ...] = ()
    """What must not enter a corpus of this vertical."""
    ray_python: Path = Path(".venv-ray/bin/python")
    """The interpreter of the environment of Daft and Ray."""


def curate(step: Step, recipe: Recipe, around: Surroundings) -> Artifact:
    """Documents to a curated corpus; the writer fills in where there is no corpus, and augments where there is one."""
    if not around.layers:
        section = _curate_section(recipe, around, None, around.removals)
        return step("curate", "data_curation.curate", section, {"written": _written(step, recipe, around)})
    made = layers(step, around)
    if len(made) == 1 and not recipe.curation.require_coverage:
        return made[0]
    drops = {name: told for layer in around.layers for name, told in layer.inbox.drops.items()}
    join = JoinSection(
        curation=recipe.curation,
        vertical=recipe.vertical,
        ontology=ontology.load(recipe.vertical),
        inbox=Inbox(drops=drops),
        curated_on=datetime.now(UTC).date(),
    )
    return step("join", "data_curation.join", join, _in_order(made))


def layers(step: Step, around: Surroundings) -> list[Artifact]:
    """The layers of an inbox: each is compared with those before it and reads none of their documents."""
    made: list[Artifact] = []
    for layer in around.layers:
        section = _curate_section(layer.recipe, around, layer.inbox, layer.removals)
        inputs = _in_order(made) if made else {"written": _written(step, layer.recipe, around)}
        is_last = layer is around.layers[-1]
        made.append(step("curate", "data_curation.curate", section, inputs, unread=not is_last))
    return made


def inbox_card(step: Step, recipe: Recipe, made: list[Artifact], quarantined: Mapping[str, str]) -> Artifact:
    """The card of a whole inbox."""
    section = InboxCardSection(require_coverage=recipe.curation.require_coverage, quarantined=dict(quarantined))
    return step("card", "data_curation.inbox_card", section, _in_order(made))


def _in_order(made: list[Artifact]) -> dict[str, Artifact]:
    return {f"{LAYER}{number:05d}": one for number, one in enumerate(made, start=1)}


def _written(step: Step, recipe: Recipe, around: Surroundings) -> Artifact:
    orders = WriteSection(
        vertical=recipe.vertical,
        file=recipe.writer.file,
        seed=recipe.writer.seed,
        documents=max(1, _written_for_tuning(recipe, around) + recipe.writer.for_students),
        sources=recipe.sources,
        grammar_digest=writer_digest(recipe.vertical, recipe.writer.file),
    )
    return step("write", "data_curation.write", orders, {})


def _written_for_tuning(recipe: Recipe, around: Surroundings) -> int:
    return recipe.writer.augment if around.corpus else recipe.writer.documents


def _curate_section(
    recipe: Recipe, around: Surroundings, inbox: Inbox | None, removals: tuple[str, ...]
) -> CurateSection:
    return CurateSection(
        curation=recipe.curation,
        sources=recipe.sources,
        tasks=recipe.tasks,
        system_prompt=recipe.system_prompt,
        corpus=around.corpus,
        augment=bool(around.corpus and (recipe.writer.augment or recipe.writer.for_students)),
        tuning_documents=_written_for_tuning(recipe, around),
        vertical=recipe.vertical,
        ontology=ontology.load(recipe.vertical),
        inbox=inbox,
        removals=removals,
        quality_rules=quality_rules(recipe.vertical),
        identifiers=identifiers(recipe.vertical),
        curated_on=datetime.now(UTC).date(),
        ray_python=around.ray_python,
    )
