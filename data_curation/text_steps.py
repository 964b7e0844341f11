"""What is done to every text of a source after it is read: personal data out, language, quality.

Personal data goes first, though the other two cost less: what they reject is kept readable, and must not hold any.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.curation_report import TextCounts
from data_curation.english_loop import NO, YES, plainly_english
from data_curation.field_paths import lookup, text_of
from data_curation.kernel import counts_of
from data_curation.language import UNDETERMINED, language_of
from data_curation.normal_loop import rare_blanks, with_others
from data_curation.personal_data import AllowList, Cleaned, allow_list, cleaned
from data_curation.quality import PASSES, detail, first_broken, for_house_rules, house_rules, rules_of
from data_curation.quality_bins import binned, bins_of
from data_curation.sign_loop import looks_of
from recipes.schema import Curation, PersonalDataAction, Source, Task
from recipes.stage_sections import CurateSection
from recipes.text_rules import QualityRule

SUSPECT = re.compile(r"@|\d(?:[ ().\-/]{0,2}\d){6}")
"""A short value of a row without this holds no personal data but names."""
Reason = tuple[str, str, str]
"""Step, reason, detail."""


@dataclass
class TextTally:
    """What was found in the texts of one source. Values are never kept."""

    personal_data: Counter[str] = field(default_factory=Counter)
    """Kind to places."""
    kept: Counter[str] = field(default_factory=Counter)
    """What looked like personal data and stays, by identifier."""
    languages: Counter[str] = field(default_factory=Counter)
    numbers_before: int = 0
    numbers_after: int = 0
    quality: Counter[str] = field(default_factory=Counter)
    """``quality_bins.binned``."""

    def count_numbers(self, numbers: int) -> None:
        """Count those of documents without personal data."""
        self.numbers_before += numbers
        self.numbers_after += numbers

    def add(self, result: Cleaned) -> None:
        """Count one document's personal data."""
        if result.found or result.kept:
            self.personal_data.update(result.found)
            self.kept.update(result.kept)
        self.numbers_before += result.numbers_before
        self.numbers_after += result.numbers_after

    def merge(self, other: TextTally) -> None:
        """Count another batch's."""
        self.personal_data.update(other.personal_data)
        self.kept.update(other.kept)
        self.languages.update(other.languages)
        self.numbers_before += other.numbers_before
        self.numbers_after += other.numbers_after
        self.quality.update(other.quality)

    @classmethod
    def from_json(cls, told: str) -> TextTally:
        """What ``json.dumps(vars(tally))`` told."""
        tally = cls()
        for name, value in json.loads(told).items():
            setattr(tally, name, Counter(value) if isinstance(value, dict) else value)
        return tally


@dataclass(frozen=True)
class TextSteps:
    """The steps as one source wants them."""

    curation: Curation
    languages: frozenset[str]
    """Empty: all."""
    rules: Mapping[str, QualityRule]
    personal_data: PersonalDataAction
    allowed: AllowList
    tasks: tuple[Task, ...]
    person_fields: tuple[str, ...]

    def without_personal_data(
        self, texts: pa.Array, rows: Sequence[dict[str, Any]], tally: TextTally
    ) -> tuple[pa.Array, dict[int, Cleaned]]:
        """The texts with placeholders, and what was found in those of them that hold any, by number.

        Values that a task asks for or shows stay. ``keep``: the texts as they are.
        """
        if self.personal_data == "keep":
            return texts, {}
        looks = looks_of(texts)
        looked_at = looks.worth_it | bool(self.person_fields)
        tally.count_numbers(int(looks.numbers[~looked_at].sum()))
        numbers = np.flatnonzero(looked_at)
        found: dict[int, Cleaned] = {}
        for number, text in zip(numbers.tolist(), texts.take(pa.array(numbers)).to_pylist(), strict=True):
            row = rows[number]
            result = cleaned(text, self.allowed, self._asked(row), self._people(row), looks.at(number, text))
            tally.add(result)
            if result.found:
                found[number] = result
        return with_others(texts, {number: result.text for number, result in found.items()}), found

    def metadata(self, row: dict[str, Any]) -> dict[str, Any]:
        """Short scalars of a row, enough to find it again; the text itself is not repeated, nor personal data."""
        short = {
            key: value
            for key, value in row.items()
            if isinstance(value, (str, int, float)) and len(value if isinstance(value, str) else str(value)) <= 120
        }
        if self.personal_data == "keep":
            return short
        return {key: self._clean_value(key, value) for key, value in short.items()}

    def judged(
        self, texts: pa.Array, early: Sequence[Reason | None], tally: TextTally
    ) -> tuple[list[Reason | None], NDArray[np.int64]]:
        """Why each text falls, None for those that may stay, and the texts' tokens.

        First the reason that is there ``early``, then the house's rules, language, published rules.
        """
        rows = counts_of(texts)
        tokens = rows["tokens"].astype(np.int64)
        house = _broken(for_house_rules(rows), house_rules(self.curation))
        published = _broken(rows, self.rules)
        for number in np.flatnonzero(rare_blanks(texts)).tolist():
            tokens[number] = len(texts[number].as_py().split())  # they divide, too
        english = plainly_english(texts).tolist()
        reasons: list[Reason | None] = []
        for number in range(len(texts)):
            reason = early[number] or house[number]
            if early[number] is None and house[number] is None:
                reason = self._other_language(texts, number, english[number], tally)
            reasons.append(reason or published[number])
        if self.languages or self.rules:
            fell = np.array([reason is not None and reason[0] == "quality" for reason in reasons], np.bool_)
            tally.quality.update(binned(rows, fell))
        return reasons, tokens

    def _other_language(self, texts: pa.Array, number: int, english: int, tally: TextTally) -> Reason | None:
        if not self.languages:
            return None
        language = "en"
        if english != YES:
            language = language_of(texts[number].as_py(), self.languages, False if english == NO else None)
        tally.languages[language] += 1
        if language in self.languages or language == UNDETERMINED:
            return None
        return "language", "other_language", f"{language}, wanted {', '.join(sorted(self.languages))}"

    @cached_property
    def _without_any(self) -> Callable[[str, str], str]:
        """A short value of a row, cleaned as its name says; such values repeat (days, places)."""

        @lru_cache(maxsize=4_096)
        def without_any(key: str, value: str) -> str:
            head = f"{key.replace('_', ' ')}: "
            found = cleaned(head + value, self.allowed)
            return found.text.removeprefix(head) if found.found else value

        return without_any

    def _clean_value(self, key: str, value: Any) -> Any:
        if key in self.person_fields:
            return "[NAME]"
        if not isinstance(value, str) or not (SUSPECT.search(value) or "name" in key or "contact" in key):
            return value
        return self._without_any(key, value)

    def _people(self, row: dict[str, Any]) -> Iterator[str]:
        return filter(None, (text_of(lookup(row, path)).strip() for path in self.person_fields))

    def _asked(self, row: dict[str, Any]) -> Iterator[str]:
        """Values that stand in an answer or a prompt of the source's tasks."""
        for task in self.tasks:
            window = [task.window.around] if task.window else []
            for path in (*task.fields.values(), *task.values.values(), *window, *filter(None, [task.choices])):
                yield from _texts(lookup(row, path))
                if task.each:
                    inner = path.removeprefix("each").lstrip(".")
                    yield from _texts(lookup(row, f"{task.each}[].{inner}" if inner else task.each))


def _broken(rows: NDArray[Any], rules: Mapping[str, QualityRule]) -> list[Reason | None]:
    places, values = first_broken(rows, rules)
    named = list(rules.items())
    return [
        None if place == PASSES else ("quality", named[place][0], detail(named[place][1], float(value)))
        for place, value in zip(places.tolist(), values, strict=True)
    ]


def text_steps(name: str, section: CurateSection, allowed: AllowList | None = None) -> TextSteps:
    """The steps of one source. The texts of a general suite are questions: they are measured with as they are."""
    source, curation = section.sources[name], section.curation
    tasks = tuple(task for task in section.tasks.values() if task.source == name)
    if any(task.suite == "general" for task in tasks):
        return TextSteps(curation, frozenset(), {}, "keep", AllowList(()), tasks, ())
    return TextSteps(
        curation=curation,
        languages=frozenset(_chosen(source, curation)),
        rules=rules_of(source, curation, section.quality_rules),
        personal_data=source.personal_data or curation.personal_data,
        allowed=allowed or allow_list(section.identifiers),
        tasks=tasks,
        person_fields=source.person_fields,
    )


def text_counts(tally: TextTally, action: PersonalDataAction) -> TextCounts:
    """A tally for the card; ``action`` is what is done to personal data."""
    return TextCounts(
        personal_data=dict(sorted(tally.personal_data.items())),
        kept=dict(sorted(tally.kept.items())),
        languages=dict(sorted(tally.languages.items())),
        numbers_before=tally.numbers_before,
        numbers_after=tally.numbers_after,
        action=action,
        quality=bins_of(tally.quality),
    )


def _chosen(source: Source, curation: Curation) -> tuple[str, ...]:
    return curation.languages if source.languages is None else source.languages


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif value is not None:
        yield str(value)
