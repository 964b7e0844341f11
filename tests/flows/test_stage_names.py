"""Names of stages: what people may call them, and what is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import InputError
from flows.plan import plan
from flows.settings import Settings
from flows.stage_names import refuse_unknown_stages, stage_names
from flows.why import why
from recipes.load import load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_the_names_are_those_of_the_plan(settings: Settings) -> None:
    recipe = load("finance", "production")
    assert stage_names(recipe, settings, None) == [one.stage for one in plan(recipe, settings, None).stages]


@pytest.mark.parametrize("word", ["serve", "serving", "distill", "student", "student:student-7b", "evaluation", "sft"])
def test_a_stage_goes_by_its_name_its_kind_or_its_room(settings: Settings, word: str) -> None:
    refuse_unknown_stages(load("finance"), settings, None, word, word)


@pytest.mark.parametrize(("word", "hint"), [("evaluat", "did you mean evaluate?"), ("xyzzy", "its stages: write, ")])
def test_a_name_of_none_is_refused_with_the_nearest(settings: Settings, word: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"--only: is not in this chain, got '{word}'") as raised:
        refuse_unknown_stages(load("finance"), settings, None, "", word)
    assert hint.rstrip("?") in raised.value.hint


def test_why_speaks_of_every_stage_that_a_name_means(settings: Settings) -> None:
    assert why(load("finance"), settings, None, "distill") == ["has never been built"]
    lines = why(load("finance"), settings, None, "student")
    assert lines == [f"student:{name}: has never been built" for name in ("student-14b", "student-7b")]
