"""Rules about text that a data team writes in YAML: quality rules, and the identifiers of the trade that stay.

Both have a catalogue for every vertical (``recipes/quality_rules.yaml``, ``recipes/identifiers.yaml``); a file of the
same name in a vertical's folder adds to it or replaces an entry of the same name.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, StrictStr, TypeAdapter, ValidationError, field_validator, model_validator

from contracts.errors import RecipeError
from recipes import yaml_text
from recipes.faults import faults_of
from recipes.section import Section

FOLDER = Path(__file__).parent
Statistic = Literal[
    "characters", "visible_characters", "symbol_characters", "newlines", "tokens", "words", "word_characters",
    "alphabetic_words", "stop_words", "hashes", "ellipses", "curly_brackets", "lorem_ipsum", "lines", "bullet_lines",
    "ellipsis_lines", "terminal_lines", "short_lines", "duplicate_lines", "duplicate_line_characters", "paragraphs",
    "duplicate_paragraphs", "duplicate_paragraph_characters", "c4_sentences", "top_2gram_characters",
    "top_3gram_characters", "top_4gram_characters", "duplicate_5gram_characters", "duplicate_6gram_characters",
    "duplicate_7gram_characters", "duplicate_8gram_characters", "duplicate_9gram_characters",
    "duplicate_10gram_characters",
]  # fmt: skip
"""What is counted of a text; ``data_curation/text_statistics.py`` says how."""
MOST_PATTERN_CHARS = 500


class QualityRule(Section):
    """A count of the text, or its share of another count, held against one threshold. A share of nothing is 0."""

    family: str
    """Whose rule it is; recipes switch families on and off."""
    of: Statistic
    per: Statistic | None = None
    least: float | None = None
    """A text below it falls."""
    most: float | None = None
    """A text above it falls."""
    source: str = ""
    """Where the threshold was published, or why it is what it is."""

    @model_validator(mode="after")
    def _one_threshold(self) -> QualityRule:
        if (self.least is None) == (self.most is None):
            raise ValueError("give either least, or most")
        return self

    @property
    def threshold(self) -> float:
        """``least`` or ``most``, whichever it is."""
        bound = self.most if self.least is None else self.least
        assert bound is not None
        return bound

    def at(self, threshold: float) -> QualityRule:
        """The same rule with another threshold."""
        return self.model_copy(update={"most" if self.least is None else "least": threshold})


class Identifier(Section):
    """A number of the trade that looks like personal data and is none."""

    pattern: str = Field(max_length=MOST_PATTERN_CHARS)
    """Regular expression of the whole identifier, case folded."""
    checksum: Literal["", "luhn", "mod97", "iban", "isin", "cusip"] = ""
    near: tuple[str, ...] = ()
    """Words of which one must stand within ``near_chars`` of it, case folded; none: it is known by its form alone."""
    near_chars: int = Field(80, ge=1, le=400)
    source: str = ""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"must be a regular expression: {error}") from None
        return pattern


Entry = TypeVar("Entry", QualityRule, Identifier)


def quality_rules(vertical: str = "") -> dict[str, QualityRule]:
    """The published rules and the vertical's own, by name."""
    return _catalogue("quality_rules.yaml", vertical, QualityRule)


def identifiers(vertical: str = "") -> dict[str, Identifier]:
    """The identifiers that every vertical keeps, and the vertical's own, by name."""
    return _catalogue("identifiers.yaml", vertical, Identifier)


def _catalogue(name: str, vertical: str, kind: type[Entry]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for place in [FOLDER / name, *([FOLDER / vertical / name] if vertical else [])]:
        if place.is_file():
            found |= _entries(place, kind)
    return found


@cache
def _entries_of(kind: type[Entry]) -> TypeAdapter[dict[str, Entry]]:
    return TypeAdapter(dict[StrictStr, kind])  # type: ignore[valid-type]


def _entries(place: Path, kind: type[Entry]) -> dict[str, Entry]:
    shown = str(place.relative_to(FOLDER.parent)) if place.is_relative_to(FOLDER.parent) else str(place)
    try:
        data = yaml_text.read(place)
    except yaml_text.NotYaml as error:
        raise RecipeError(shown, "is not YAML", got=error, hint="mend the line") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        hint = "docs/extending.md shows an entry"
        raise RecipeError(shown, "must map names to entries", got=type(data).__name__, hint=hint)
    try:
        return _entries_of(kind).validate_python(data)
    except ValidationError as error:
        faults = faults_of(shown, error, dict[str, kind], "docs/extending.md shows every key")  # type: ignore[valid-type]
        raise RecipeError(shown, f"{len(faults)} faults", faults=faults) from None
