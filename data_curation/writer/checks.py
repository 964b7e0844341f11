"""What can be wrong in a writer file beyond its shape: names, columns, filters, tables and circles."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from contracts.errors import RecipeError
from data_curation.writer.engine import Table
from data_curation.writer.schema import Draw, SourceSpec, WriterSpec
from data_curation.writer.templates import FILTERS, Reference, parsed, stray_braces

RESERVED = {"item", "index", "text"}
"""A repeated line's row and number, and the finished text."""


def reference_faults(subject: str, spec: WriterSpec, tables: dict[str, Table]) -> Iterator[RecipeError]:
    """References to what does not exist, in every template of a writer file; ``subject`` names the file."""
    shared = spec.slots | spec.phrases
    for name, draw in shared.items():
        yield from _draw_faults(f"{subject}: {name}", draw, shared, tables, lenient=True)
    for name, source in spec.sources.items():
        known = shared | source.slots | source.phrases
        made = {"text": Draw(digits="#"), "item": Draw(digits="#")}
        where = f"{subject}: sources.{name}"
        for part, draw in (source.slots | source.phrases).items():
            yield from _draw_faults(f"{where}.{part}", draw, known, tables)
        for part, template in (("text", source.text), ("entity", source.entity), ("date", source.date)):
            yield from _template_faults(f"{where}.{part}", template, known, tables)
        for key, path in _row_templates(source.row, "row"):
            yield from _template_faults(f"{where}.{path}", key, known | made, tables)
        for wrong in source.wrong.values():
            for rule in wrong.by:
                for template in rule.values:
                    yield from _template_faults(f"{where}.wrong", template, known, tables)
        for one in source.collect:
            if one not in known | _inner(known):
                yield RecipeError(f"{where}.collect", "no such phrase or slot", got=one, hint=_near(one, known))
        for path in [wrong.of or field for field, wrong in source.wrong.items()]:
            if not _has_path(source.row, path):
                hint = f"the row has {', '.join(source.row)}"
                yield RecipeError(f"{where}.wrong", "no such path in row", got=path, hint=hint)
        for name in sorted(RESERVED & (known.keys() | _inner(known).keys())):
            yield RecipeError(where, "a slot or phrase has a name of the writer's own", got=name, hint="rename it")
        yield from _endless(where, source, known)


def _draw_faults(
    where: str, draw: Draw, known: dict[str, Draw], tables: dict[str, Table], *, lenient: bool = False
) -> Iterator[RecipeError]:
    """``lenient``: a shared phrase may use slots that only the sources know."""
    for option in draw.one_of:
        if not lenient:
            yield from _template_faults(where, option.text, known, tables)
    table = draw.row or (draw.repeat.table if draw.repeat else "")
    if table and table not in tables:
        yield RecipeError(where, "no such table", got=table, hint=_near(table, tables))
    elif table:
        for column, template in draw.where.items():
            if column not in tables[table][0]:
                yield RecipeError(where, "no such column", got=column, hint=_near(column, tables[table][0]))
            yield from _template_faults(where, template, known, tables)
    if draw.repeat:
        inner = known | draw.repeat.slots | {"index": Draw(digits="#"), "item": Draw(row=table or "?")}
        templates = [draw.repeat.text, draw.repeat.records_if]
        for record in draw.repeat.records:
            templates += [template for template, _ in _row_templates(record, "")]
        for template in templates:
            yield from _template_faults(where, template, inner, tables)
        for name, slot in draw.repeat.slots.items():
            yield from _draw_faults(f"{where}.{name}", slot, inner, tables)


def _template_faults(
    where: str, template: str, known: dict[str, Draw], tables: dict[str, Table]
) -> Iterator[RecipeError]:
    if stray_braces(template):
        hint = "a reference is {name}, {name.column} or {name|filter}, in lower case"
        yield RecipeError(where, "has a brace that is no reference", got=repr(template), hint=hint)
    for part in parsed(template):
        if not isinstance(part, Reference):
            continue
        if part.name not in known:
            yield RecipeError(where, "no such slot or phrase", got=part.name, hint=_near(part.name, known))
        elif part.column:
            table = known[part.name].row
            columns = tables[table][0] if table in tables else {}
            if part.column not in columns:
                got = f"{part.name}.{part.column}"
                yield RecipeError(where, "no such column", got=got, hint=_near(part.column, columns))
        for name, _ in part.filters:
            if name not in FILTERS:
                yield RecipeError(where, "no such filter", got=name, hint=_near(name, FILTERS))


def _near(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known)[:12])}"


def _row_templates(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield value, path
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _row_templates(one, path)
    elif isinstance(value, dict) and "collected" in value:
        yield from _row_templates(value.get("as", ""), path)
    elif isinstance(value, dict) and value.keys() != {"rows_of"}:
        for key, one in value.items():
            yield from _row_templates(one, f"{path}.{key}")


def _inner(known: dict[str, Draw]) -> dict[str, Draw]:
    """The slots of repeated lines."""
    return {name: slot for draw in known.values() if draw.repeat for name, slot in draw.repeat.slots.items()}


def _has_path(row: Any, path: str) -> bool:
    for part in path.partition("[")[0].split("."):
        if not isinstance(row, dict) or part not in row:
            return False
        row = row[part]
    return True


def _endless(where: str, source: SourceSpec, known: dict[str, Draw]) -> Iterator[RecipeError]:
    """Draws that lead back to themselves."""
    uses = {
        name: {part.name for option in draw.one_of for part in parsed(option.text) if isinstance(part, Reference)}
        for name, draw in known.items()
    }
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> Iterator[str]:
        if name in above:
            yield " -> ".join((*above[above.index(name) :], name))
        elif name not in done:
            for inner in sorted(uses.get(name, ())):
                yield from walk(inner, (*above, name))
            done.add(name)

    for name in known:
        for cycle in walk(name, ()):
            yield RecipeError(where, "leads back to itself", got=cycle, hint="break the circle")
