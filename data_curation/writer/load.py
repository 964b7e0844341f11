"""Reading a writer file: includes, tables, and every fault at once before a document is written."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from contracts.errors import RecipeError
from data_curation.writer.checks import reference_faults
from data_curation.writer.engine import Table
from data_curation.writer.schema import Draw, SourceSpec, WriterSpec
from recipes import yaml_text
from recipes.faults import faults_of

RECIPES = Path(__file__).parent.parent.parent / "recipes"


class Grammar(NamedTuple):
    """A writer file with its includes and tables read."""

    spec: WriterSpec
    tables: dict[str, Table]
    files: tuple[Path, ...]
    """All files it was made of: their bytes are part of what the documents are."""


def writer_path(vertical: str, file: str) -> Path:
    """Where a recipe's writer file lies: beside the recipe, or where an absolute path says."""
    return RECIPES / vertical / file


def load(path: Path) -> Grammar:
    """The grammar of a writer file. Raises RecipeError with every fault found."""
    files: list[Path] = []
    faults: list[RecipeError] = []
    spec, tables = _joined(path, files, faults, ())
    if not faults:
        faults = list(reference_faults(_subject(path), spec, tables))
    if faults:
        raise RecipeError(_subject(path), f"{len(faults)} faults", faults=faults)
    return Grammar(spec, tables, tuple(files))


def _subject(path: Path) -> str:
    return str(path.relative_to(RECIPES.parent)) if path.is_relative_to(RECIPES.parent) else str(path)


def _joined(
    path: Path, files: list[Path], faults: list[RecipeError], above: tuple[Path, ...]
) -> tuple[WriterSpec, dict[str, Table]]:
    own = _parsed(path, faults)
    files.append(path)
    tables: dict[str, Table] = {}
    slots: dict[str, Draw] = {}
    phrases: dict[str, Draw] = {}
    sources: dict[str, SourceSpec] = {}
    for name in own.include:
        other = (path.parent / name).resolve()
        if other in above or other == path.resolve():
            faults.append(RecipeError(f"{_subject(path)}: include", "includes itself", got=name, hint="leave it out"))
            continue
        spec, below = _joined(other, files, faults, (*above, path.resolve()))
        tables |= below
        slots |= spec.slots
        phrases |= spec.phrases
        sources |= spec.sources
    tables |= {name: _table(path, name, value, files, faults) for name, value in own.tables.items()}
    merged = WriterSpec(slots=slots | own.slots, phrases=phrases | own.phrases, sources=sources | own.sources)
    return merged, tables


def _parsed(path: Path, faults: list[RecipeError]) -> WriterSpec:
    subject = _subject(path)
    try:
        return WriterSpec.model_validate(yaml_text.read(path) or {})
    except OSError as error:
        hint = "name a file beside the recipe in writer.file"
        faults.append(RecipeError(subject, "cannot be read", got=error.strerror, hint=hint))
    except yaml_text.NotYaml as error:
        faults.append(RecipeError(subject, "is not YAML", got=error, hint="mend the line"))
    except ValidationError as error:
        faults += faults_of(subject, error, WriterSpec, "see data_curation/writer/schema.py")
    return WriterSpec()


def _table(
    path: Path, name: str, value: str | list[dict[str, Any]], files: list[Path], faults: list[RecipeError]
) -> Table:
    where = f"{_subject(path)}: tables.{name}"
    if not isinstance(value, str):
        rows: Table = value
    else:
        try:
            with (path.parent / value).open(encoding="utf-8", newline="") as lines:
                rows = list(csv.DictReader(lines))
        except OSError as error:
            faults.append(RecipeError(where, "cannot be read", got=value, hint=str(error.strerror)))
            return []
        files.append(path.parent / value)
    broken = [i for i, row in enumerate(rows, 1) if row.keys() != rows[0].keys() or None in row.values()]
    if not rows or broken:
        got = f"row {broken[0]}" if broken else "no rows"
        faults.append(RecipeError(where, "needs rows with the same columns", got=got, hint="mend the table"))
    return rows
