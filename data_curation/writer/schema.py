"""What a ``writer.yaml`` may say. Templates are text with ``{name}``, ``{name.column}`` and ``{name|filter}``.

A *slot* is drawn once a document and keeps its value; a *phrase* is drawn anew at every use. Both are draws.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
RULES = ("swapped_digit", "neighbour_figure", "wrong_scale")


class Part(BaseModel):
    """Base of all parts of a writer file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Option(Part):
    """One of several phrasings; ``weight`` is relative to its neighbours'."""

    text: str
    weight: float = Field(1.0, gt=0)


class Number(Part):
    """A figure between ``low`` and ``high``, both included; ``log`` spreads it evenly over the orders of magnitude."""

    low: float
    high: float
    decimals: int = Field(0, ge=0, le=6)
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Number:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError("needs low <= high, and low > 0 where log is set")
        return self


class Day(Part):
    """A date in the years ``first`` to ``last``; ``month_end`` leaves the last days of months only."""

    first: int = Field(ge=1900, le=2100)
    last: int = Field(ge=1900, le=2100)
    month_end: bool = False


class Rule(Part):
    """How an answer becomes wrong but looks right: a rule of ``RULES``, or values named by templates."""

    fault: str
    values: tuple[str, ...] = ()
    """Templates of wrong values; where none are given, ``fault`` must be one of ``RULES``."""

    @model_validator(mode="after")
    def _known(self) -> Rule:
        if not self.values and self.fault not in RULES:
            raise ValueError(f"needs values, or one of the rules {', '.join(RULES)}")
        return self


def _rule(value: Any) -> Any:
    return {"fault": value} if isinstance(value, str) else value


def _option(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


Options = tuple[Annotated[Option, BeforeValidator(_option, json_schema_input_type=Option | str)], ...]


def _draw(value: Any) -> Any:
    """A text or a list is short for ``one_of``."""
    if isinstance(value, str):
        return {"one_of": [value]}
    return {"one_of": value} if isinstance(value, list) else value


Rules = tuple[Annotated[Rule, BeforeValidator(_rule, json_schema_input_type=Rule | str)], ...]


class Wrong(Part):
    """How one answer field goes wrong."""

    of: str = ""
    """Path of its value in the row (``cover.zip``, ``symbols[0]``); empty: the field's own name."""
    by: Rules


def _wrong(value: Any) -> Any:
    return {"by": value} if isinstance(value, list) else value


AnyWrong = Annotated[Wrong, BeforeValidator(_wrong, json_schema_input_type=Wrong | Rules)]


class Repeat(Part):
    """Lines over the rows of a table, or a number of times; ``{item.column}`` is the row, ``{index}`` counts from 1."""

    table: str = ""
    times: tuple[int, int] = (1, 3)
    """Least and most lines; of a table, rows are drawn without repetition and keep the table's order."""
    shuffle: bool = False
    slots: dict[Name, AnyDraw] = {}
    text: str
    join: str = "\n"
    records: tuple[dict[str, Any], ...] = ()
    """Gold records a line gives; ``{rows_of: slot}`` in ``row`` collects them."""
    records_if: str = "yes"
    """Template; a line where it is empty gives no records."""
    wrong: dict[str, AnyWrong] = {}
    """Answer field to the ways its value in a record goes wrong."""


class Draw(Part):
    """Where a value comes from: exactly one of these."""

    one_of: Options = ()
    row: str = ""
    """A row of the table of that name; its cells are ``{name.column}``."""
    where: dict[str, str] = {}
    """With ``row``: columns that must equal a template's value."""
    number: Number | None = None
    digits: str = ""
    """A pattern: ``#`` a digit, ``+`` a digit that is not 0, ``@`` a capital letter."""
    date: Day | None = None
    repeat: Repeat | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Draw:
        given = [name for name in ("one_of", "row", "number", "digits", "date", "repeat") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("needs exactly one of one_of, row, number, digits, date, repeat")
        if self.where and not self.row:
            raise ValueError("where goes with row")
        return self


AnyDraw = Annotated[Draw, BeforeValidator(_draw, json_schema_input_type=Draw | str | Options)]


class SourceSpec(Part):
    """One source: its text, and the row that the tasks' field paths read."""

    entity: str = ""
    """Template of what a split must not cut through; empty: the document itself."""
    date: str = ""
    share: float = Field(1.0, gt=0)
    """Documents written for each one ordered."""
    slots: dict[Name, AnyDraw] = {}
    phrases: dict[Name, AnyDraw] = {}
    collect: tuple[Name, ...] = ()
    """Phrases whose every printed value is gold; ``{collected: name}`` in ``row`` lists them."""
    text: str
    row: dict[str, Any] = {}
    """The row: templates (``{text}`` too), numbers, nested mappings and lists, ``{collected: phrase}`` or
    ``{collected: [phrase, ...], as: {key: "{item}"}}``, ``{rows_of: slot}``."""
    wrong: dict[str, AnyWrong] = {}
    """Answer field to the ways its value goes wrong."""


class WriterSpec(Part):
    """A whole writer file."""

    include: tuple[str, ...] = ()
    """Other writer files, relative to this one; their tables, phrases and sources are joined to this one's."""
    tables: dict[Name, str | list[dict[str, Any]]] = {}
    """A CSV beside the file, or the rows themselves; cells may be templates."""
    slots: dict[Name, AnyDraw] = {}
    phrases: dict[Name, AnyDraw] = {}
    sources: dict[Name, SourceSpec] = {}
