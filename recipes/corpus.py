"""``corpus.yaml``: what a drop in the inbox says of itself. Every key is explained in docs/inbox.md."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import AfterValidator, Field, StrictBool, StrictStr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from contracts.errors import InputError
from recipes import yaml_text
from recipes.faults import did_you_mean, fact_of
from recipes.section import Section

FILE = "corpus.yaml"
LIMIT_BYTES = 64 * 1024
FIRST_YEAR, LAST_YEAR = 1000, 2100
HINTS = {
    "licence": "an identifier of https://spdx.org/licenses, or LicenseRef-NAME for a licence of its own",
    "jurisdiction": "two letters of ISO 3166, e.g. US or US-NY; quote NO, which YAML takes for false",
    "language": "two letters of ISO 639, e.g. en; quote no, which YAML takes for false",
    "personal_data": "true or false, without quotes",
    "dates": "dates: {first: 2020-01-01, last: 2024-12-31}",
}
UNION_FORMS = ("constrained-", "tuple[", "function-")
"""How pydantic names, within a fault's place, which form of a key it tried."""


def spdx(licence: str) -> str:
    """The canonical form of an SPDX expression; raises ValueError for one that nobody knows."""
    try:
        return str(canonicalize_license_expression(licence))
    except InvalidLicenseExpression:
        raise ValueError("is no SPDX licence") from None


Licence = Annotated[StrictStr, AfterValidator(spdx)]
Jurisdiction = Annotated[StrictStr, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
Language = Annotated[StrictStr, Field(pattern=r"^[a-z]{2,3}$")]


class Dates(Section):
    """The first and the last day that the documents are about."""

    first: date
    last: date

    @model_validator(mode="after")
    def _in_order(self) -> Dates:
        if self.first > self.last:
            raise ValueError(f"first must not be after last, got {self.first} and {self.last}")
        if self.first.year < FIRST_YEAR or self.last.year > LAST_YEAR:
            raise ValueError(f"must lie between {FIRST_YEAR} and {LAST_YEAR}, got {self.first} and {self.last}")
        return self


class Fields(Section):
    """Field paths, as in a recipe's sources, for a drop that no source of the recipe describes."""

    text: StrictStr = "text"
    id: StrictStr = "id"
    entity: StrictStr = ""
    date: StrictStr = ""


class Corpus(Section):
    """What a drop says of itself."""

    source: StrictStr = Field(min_length=1)
    """Who published the documents and where, for people."""
    licence: Licence
    dates: Dates
    jurisdiction: Jurisdiction | tuple[Jurisdiction, ...]
    language: Language | tuple[Language, ...]
    personal_data: StrictBool
    use: Literal["pretraining", "replay"] = "pretraining"
    """Of a drop that no source of the recipe describes."""
    fields: Fields = Fields()
    figures_tell_apart: StrictBool | None = None
    """Of such a drop: whether documents with different figures are no copies, however alike: forms filled in."""

    @property
    def jurisdictions(self) -> tuple[str, ...]:
        """All of them."""
        return (self.jurisdiction,) if isinstance(self.jurisdiction, str) else self.jurisdiction

    @property
    def languages(self) -> tuple[str, ...]:
        """All of them."""
        return (self.language,) if isinstance(self.language, str) else self.language


class Inbox(Section):
    """What curation is told of the inbox it reads: its complete drops, and those it must not read, with the reason."""

    drops: dict[str, Corpus] = Field(default_factory=dict)
    quarantined: dict[str, str] = Field(default_factory=dict)
    described: tuple[str, ...] = ()
    """Sources that no recipe knows: only their drops say what they are."""


def read(folder: Path) -> Corpus:
    """The ``corpus.yaml`` of a drop. Raises InputError that names every fault of it at once."""
    path = folder / FILE
    subject = f"{folder.name}/{FILE}"
    if path.is_symlink() or not path.is_file():
        raise InputError(subject, "is missing", hint="write one: docs/inbox.md shows its keys")
    if path.stat().st_size > LIMIT_BYTES:
        size = path.stat().st_size
        raise InputError(subject, f"is over {LIMIT_BYTES >> 10} KiB", got=f"{size} bytes", hint="it is a short note")
    try:
        told = yaml_text.read(path)
    except yaml_text.NotYaml as error:
        raise InputError(subject, "is not YAML", got=error, hint="mend the line") from None
    if not isinstance(told, dict):
        hint = "docs/inbox.md shows its keys"
        raise InputError(subject, "must be a mapping of keys", got=type(told).__name__, hint=hint)
    try:
        return Corpus.model_validate(told)
    except ValidationError as error:
        faults: dict[str, str] = {}
        for detail in error.errors(include_url=False):
            if not _is_of_the_other_form(detail):
                faults.setdefault(*_fault(detail))
        first = next(iter(faults)).split(".")[0]
        told_of = "; ".join(f"{key} {fact}" for key, fact in faults.items())
        raise InputError(subject, told_of, hint=HINTS.get(first, "docs/inbox.md shows every key")) from None


def _is_of_the_other_form(detail: ErrorDetails) -> bool:
    """Whether a fault of a key that may be text or a list is one of the form that was not chosen."""
    forms = {str(part) for part in detail["loc"] if str(part).startswith(UNION_FORMS)}
    listed = any(one.startswith("tuple[") for one in forms)
    return bool(forms) and listed != isinstance(detail["input"], list) and len(detail["loc"]) == 2


def _fault(detail: ErrorDetails) -> tuple[str, str]:
    """A fault's key and what is wrong."""
    places = [str(one) for one in detail["loc"] if not str(one).startswith(UNION_FORMS)]
    if detail["type"] == "extra_forbidden":
        meant = did_you_mean(Corpus, tuple(places))
        return ".".join(places), f"is no key of corpus.yaml ({meant})"
    seen = detail["input"]
    got = f", got {type(seen).__name__}" + (f" {str(seen)[:60]!r}" if isinstance(seen, (str, int, float)) else "")
    return ".".join(places) or "it", fact_of(detail) + ("" if detail["type"] == "missing" else got)
