"""One document out of the grammar: slots drawn once, phrases drawn anew, gold collected where it is printed."""

from __future__ import annotations

import calendar
import datetime
import math
import random
from typing import Any

from data_curation.writer.faults import wrong_values
from data_curation.writer.schema import Day, Draw, Number, Option, Repeat, SourceSpec, Wrong
from data_curation.writer.templates import FILTERS, Reference, parsed

Table = list[dict[str, Any]]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Writing:
    """The state of one document: its random numbers, the slots drawn so far, the gold printed so far."""

    def __init__(self, tables: dict[str, Table], slots: dict[str, Draw], phrases: dict[str, Draw], seed: str) -> None:
        self.tables, self.slots, self.phrases = tables, slots, phrases
        self.random = random.Random(seed)
        self.drawn: dict[str, Any] = {}
        self.collected: dict[str, list[Any]] = {}
        self.collecting = True
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.used: dict[str, list[int]] = {}
        self.pending: list[tuple[dict[str, Any], dict[str, Wrong]]] = []

    def fill(self, template: str) -> str:
        """The template with every reference replaced, as text."""
        return "".join(part if isinstance(part, str) else _shown(self.resolve(part)) for part in parsed(template))

    def value(self, template: str) -> Any:
        """As ``fill``, but a template that is one reference keeps its type (a figure stays a figure)."""
        parts = parsed(template)
        if len(parts) == 1 and isinstance(parts[0], Reference):
            return self.resolve(parts[0])
        return self.fill(template)

    def resolve(self, reference: Reference) -> Any:
        """The value of one reference after its filters."""
        name, column, filters = reference
        if name in self.drawn:
            value = self.drawn[name]
        elif name in self.slots:
            value = self.drawn[name] = self.draw(name, self.slots[name])
        else:
            value = self.draw(name, self.phrases[name])
        if column:
            value = self._cell(name, value, column)
        if self.collecting and name in self.collected:
            self.collected[name].append(value)
        for filter_name, argument in filters:
            if argument and not argument[0].isdigit():
                argument = str(self.resolve(Reference(*argument.partition(".")[::2], ())))
            value = FILTERS[filter_name](value, argument) if argument else FILTERS[filter_name](value)
        return value

    def _cell(self, name: str, row: dict[str, Any], column: str) -> Any:
        """A row's cell; where the row is drawn once, so is what its cells' templates give."""
        value = row[column]
        if isinstance(value, str) and "{" in value:
            value = self.value(value)
            if name in self.drawn:
                row[column] = value
        return value

    def draw(self, name: str, draw: Draw) -> Any:
        """A new value."""
        if draw.one_of:
            if len(draw.one_of) == 1:
                return self.value(draw.one_of[0].text)
            return self.value(self._choose(name, draw).text)
        if draw.row:
            rows = self.tables[draw.row]
            for column, template in draw.where.items():
                wanted = self.fill(template)
                rows = [row for row in rows if str(row[column]) == wanted]
            return dict(self.random.choice(rows or self.tables[draw.row]))
        if draw.number:
            return _number(self.random, draw.number)
        if draw.digits:
            return _digits(self.random, self.fill(draw.digits))
        if draw.date:
            return _day(self.random, draw.date)
        assert draw.repeat is not None
        return self._lines(name, draw.repeat)

    def _choose(self, name: str, draw: Draw) -> Option:
        """One phrasing, none twice before all have been used."""
        used = self.used.setdefault(name, [])
        if len(used) >= len(draw.one_of):
            del used[:-1]
        options = [(i, option) for i, option in enumerate(draw.one_of) if i not in used]
        index, chosen = self.random.choices(options, [option.weight for _, option in options])[0]
        used.append(index)
        return chosen

    def _lines(self, name: str, repeat: Repeat) -> str:
        count = self.random.randint(*repeat.times)
        items: list[dict[str, Any]] = [{} for _ in range(count)]
        if repeat.table:
            rows = self.tables[repeat.table]
            kept = self.random.sample(range(len(rows)), min(count, len(rows)))
            items = [dict(rows[i]) for i in (kept if repeat.shuffle else sorted(kept))]
        outer_slots, outer_drawn = self.slots, self.drawn
        lines, records = [], []
        for index, item in enumerate(items, 1):
            self.slots, self.drawn = outer_slots | repeat.slots, dict(outer_drawn) | {"item": item, "index": index}
            lines.append(self.fill(repeat.text))
            for record in repeat.records if self.fill(repeat.records_if) else ():
                made = self.plain(record)
                records.append(made)
                if repeat.wrong:
                    self.pending.append((made, repeat.wrong))
            # slots of the document that a line drew first stay drawn for the rest of it
            outer_drawn |= {key: value for key, value in self.drawn.items() if key in outer_slots}
        self.slots, self.drawn = outer_slots, outer_drawn
        self.records[name] = records
        return repeat.join.join(lines)

    def plain(self, value: Any) -> Any:
        """A row's value from its description in the writer file."""
        if isinstance(value, str):
            return self.value(value)
        if isinstance(value, list | tuple):
            return [self.plain(one) for one in value]
        if isinstance(value, dict):
            if "collected" in value:
                names = value["collected"]
                names = [names] if isinstance(names, str) else names
                found = list(dict.fromkeys(one for name in names for one in self.collected[name]))
                return [self._as(value["as"], one) for one in found] if "as" in value else found
            if value.keys() == {"rows_of"}:
                names = value["rows_of"]
                names = [names] if isinstance(names, str) else names
                return [record for name in names for record in self.records.get(name, [])]
            return {key: self.plain(one) for key, one in value.items()}
        return value

    def _as(self, shape: Any, item: Any) -> Any:
        self.drawn["item"] = item
        return self.plain(shape)


def compose(writing: Writing, spec: SourceSpec) -> tuple[str, dict[str, Any], str, str]:
    """Text, row, entity and date of one document of a source."""
    writing.collected = {name: [] for name in spec.collect}
    text = writing.fill(spec.text)
    writing.collecting = False  # what the row mentions is not printed
    writing.drawn["text"] = text
    row = {key: writing.plain(value) for key, value in spec.row.items()}
    for record, rules in writing.pending:
        record["wrong"] = wrong_values(writing, record, rules, text)
    if spec.wrong:
        row["wrong"] = wrong_values(writing, row, spec.wrong, text)
    return text, row, writing.fill(spec.entity), writing.fill(spec.date)


def _shown(value: Any) -> str:
    if isinstance(value, datetime.date):
        return str(FILTERS["long"](value))
    return value if isinstance(value, str) else str(FILTERS["plain"](value))


def _number(source: random.Random, number: Number) -> int | float:
    if number.log:
        drawn = math.exp(source.uniform(math.log(number.low), math.log(number.high)))
    elif number.decimals == 0:
        return source.randint(math.ceil(number.low), math.floor(number.high))
    else:
        drawn = source.uniform(number.low, number.high)
    return round(drawn, number.decimals) if number.decimals else round(drawn)


def _digits(source: random.Random, pattern: str) -> str:
    made = []
    for sign in pattern:
        if sign == "#":
            made.append(str(source.randrange(10)))
        elif sign == "+":
            made.append(str(source.randrange(1, 10)))
        else:
            made.append(source.choice(LETTERS) if sign == "@" else sign)
    return "".join(made)


def _day(source: random.Random, day: Day) -> datetime.date:
    year, month = source.randint(day.first, day.last), source.randint(1, 12)
    last = calendar.monthrange(year, month)[1]
    return datetime.date(year, month, last if day.month_end else source.randint(1, last))
