"""``recipes/VERTICAL/ontology.yaml``: what a vertical's corpus should cover. docs/extending.md explains every key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, StrictStr, ValidationError, model_validator

from contracts.errors import RecipeError
from recipes import yaml_text
from recipes.faults import faults_of
from recipes.section import Section

FOLDER = Path(__file__).parent
FILE = "ontology.yaml"
Name = Annotated[StrictStr, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Phrases = Annotated[tuple[StrictStr, ...], Field(min_length=1)]


class Concept(Section):
    """A notion of the trade. A document covers it when it prints one of the phrases, in whole words, in any case."""

    phrases: Phrases
    source: StrictStr = Field(min_length=1)
    """Where the notion is defined, so that a reader can check the phrases."""


class Jurisdiction(Section):
    """A place whose law matters. Covered by a corpus.yaml that names it, or by a phrase."""

    phrases: tuple[StrictStr, ...] = ()
    source: StrictStr = Field(min_length=1)


class Period(Section):
    """A stretch of time. Covered by a document dated in it."""

    first: date
    last: date
    source: StrictStr = Field(min_length=1)
    """Why this stretch matters."""

    @model_validator(mode="after")
    def _in_order(self) -> Period:
        if self.first > self.last:
            raise ValueError(f"first must not be after last, got {self.first} and {self.last}")
        return self


class Ontology(Section):
    """What a corpus of the vertical should cover; names are unique over all four tables."""

    concepts: dict[Name, Concept] = Field(min_length=1)
    regulations: dict[Name, Concept] = Field(default_factory=dict)
    jurisdictions: dict[Name, Jurisdiction] = Field(default_factory=dict)
    periods: dict[Name, Period] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_differ(self) -> Ontology:
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a name must stand once, got {', '.join(twice)} twice")
        empty = [n for n, phrases in self.phrases.items() for one in phrases if not any(c.isalnum() for c in one)]
        if empty:
            raise ValueError(f"a phrase must hold a letter or digit, in {', '.join(empty)}")
        return self

    @property
    def names(self) -> list[str]:
        """Everything that may be required, by kind."""
        return [*self.concepts, *self.regulations, *self.jurisdictions, *self.periods]

    @property
    def phrases(self) -> dict[str, tuple[str, ...]]:
        """Name to phrases, of all that have some."""
        tables = (self.concepts, self.regulations, self.jurisdictions)
        return {name: one.phrases for table in tables for name, one in table.items() if one.phrases}


def load(vertical: str) -> Ontology | None:
    """The vertical's ontology, or None where it has none. Raises RecipeError with every fault of the file."""
    path = FOLDER / vertical / FILE
    return read(path) if path.is_file() else None


def read(path: Path) -> Ontology:
    """The ontology in a file. Raises RecipeError with every fault of it."""
    subject = f"{path.parent.name}/{path.name}"
    try:
        told = yaml_text.read(path)
    except yaml_text.NotYaml as error:
        raise RecipeError(subject, "is not YAML", got=error, hint="mend the line") from None
    try:
        return Ontology.model_validate(told)
    except ValidationError as error:
        faults = faults_of(subject, error, Ontology, "docs/extending.md shows every key")
        raise RecipeError(subject, f"{len(faults)} faults", faults=faults) from None


def require_known(required: Iterable[str], known: Ontology | None) -> None:
    """Raises RecipeError where ``curation.require_coverage`` names what the ontology does not know."""
    unknown = sorted(set(required) - set(known.names if known else ()))
    if unknown:
        hint = "its names stand in the vertical's ontology.yaml" if known else "the vertical has no ontology.yaml"
        raise RecipeError("curation.require_coverage", "names what is not there", got=", ".join(unknown), hint=hint)
