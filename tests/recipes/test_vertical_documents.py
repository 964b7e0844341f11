"""The shipped recipes against the documents they are written for."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

import recipes
from data_curation.examples import check_prompts
from data_curation.field_paths import is_empty, lookup
from recipes.load import load, verticals
from recipes.schema import Source

GENERAL = Path(recipes.__file__).parent / "general"


@pytest.mark.parametrize("vertical", verticals())
def test_licences_and_prompts_hold_together(vertical: str) -> None:
    recipe = load(vertical)
    check_prompts(recipe.tasks)
    assert {source.licence for source in recipe.sources.values()} <= set(recipe.curation.licences)
    assert "CC0-1.0" in recipe.curation.licences, "the writer's documents"
    assert "Apache-2.0" in recipe.curation.licences, "the house's own texts and questions"
    assert any(task.suite == "general" for task in recipe.tasks.values())
    assert recipe.tasks[recipe.evaluation.primary_task].suite == "vertical"


@pytest.mark.shared
@pytest.mark.parametrize("vertical", verticals())
def test_every_field_path_finds_something_in_the_real_rows(vertical: str, shared_data: Path) -> None:
    recipe = load(vertical)
    for name, source in recipe.sources.items():
        rows = _rows(shared_data, source)
        assert any(not is_empty(lookup(row, source.text)) for row in rows), name
        assert not source.entity or any(not is_empty(lookup(row, source.entity)) for row in rows), name
    for name, task in recipe.tasks.items():
        rows = _rows(shared_data, recipe.sources[task.source])
        if task.each:
            rows = [{**row, "each": one} for row in rows for one in (lookup(row, task.each) or [])[:1]]
        for field, path in (task.fields | task.values).items():
            assert any(not is_empty(lookup(row, path)) for row in rows), f"{name}.{field}"


def test_the_houses_own_questions_and_texts() -> None:
    questions = [json.loads(line) for line in (GENERAL / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(questions) >= 60 and len({one["question"] for one in questions}) == len(questions)
    for one in questions:
        assert len(set(one["choices"])) == 4 and one["answer"] in "ABCD"
    letters = Counter(one["answer"] for one in questions)
    assert max(letters.values()) <= 0.3 * len(questions), "no letter wins by itself"
    texts = [json.loads(line) for line in (GENERAL / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({one["id"] for one in texts}) == len(texts) >= 20


def _rows(shared_data: Path, source: Source) -> list[dict[str, object]]:
    with (shared_data / source.path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in itertools.islice(lines, 400)]
