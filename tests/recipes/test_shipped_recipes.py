"""Recipes: every shipped one loads at every scale; what is wrong is all said at once, with a way out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.errors import InputError, RecipeError
from recipes.catalogue import models
from recipes.fingerprint import changes, fingerprint, identity
from recipes.load import FOLDER, load, scales, validate, verticals

SHIPPED = [(vertical, scale) for vertical in verticals() for scale in scales()]


def _plain(vertical: str = "finance") -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / vertical / "recipe.yaml").read_text()))


def test_three_verticals_at_five_scales() -> None:
    assert verticals() == ["corporate_intelligence", "finance", "real_estate"]
    assert scales() == ["local", "local-long", "production", "single-gpu", "smoke"]


@pytest.mark.parametrize(("vertical", "scale"), SHIPPED, ids=lambda value: str(value))
def test_shipped_recipe_is_valid(vertical: str, scale: str) -> None:
    recipe = load(vertical, scale)
    assert recipe.vertical == vertical
    assert {student.stands_for for student in recipe.students.values()} == {"7B", "14B"}


@pytest.mark.parametrize("vertical", verticals())
def test_production_names_real_models_with_students_of_the_teachers_family(vertical: str) -> None:
    recipe = load(vertical, "production")
    teacher = models()[recipe.selection.candidates[0]]
    assert teacher.params_b > 30
    for student in recipe.students.values():
        row = models()[student.model]
        assert row.family == teacher.family
        assert abs(row.params_b - float(student.stands_for.removesuffix("B"))) < 1.5


def test_misspelt_keys_at_any_depth_are_all_named_with_the_key_that_was_meant() -> None:
    data = _plain()
    data["sft"]["optimiser"]["learning_rte"] = 1e-4
    data["sft"]["beta"] = 0.1
    data["tokenize"] = {}
    with pytest.raises(RecipeError) as caught:
        validate(data, "recipe.yaml")
    told = str(caught.value)
    assert "recipe.yaml: sft.optimiser.learning_rte: no such key\n\nhint: did you mean learning_rate?" in told
    assert "recipe.yaml: sft.beta: no such key\n\nhint: beta is a key of dpo" in told
    assert "recipe.yaml: tokenize: no such key\n\nhint: did you mean tokenise?" in told


def test_out_of_range_value_is_shown_with_what_is_usual() -> None:
    data = _plain()
    data["sft"]["optimiser"]["learning_rate"] = -0.0001
    with pytest.raises(RecipeError) as caught:
        validate(data, "recipe.yaml")
    assert "recipe.yaml: sft.optimiser.learning_rate: must be > 0, got -0.0001" in str(caught.value)
    assert "hint: 1e-4" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("selection.candidates", ["No-Such-Model"], "selection.candidates.0"),
        ("sft.lora", {"target_modules": ["lm_head"]}, "sft.lora.target_modules"),
        ("serving.max_model_len", 200, "serving.max_model_len"),
        ("tokenise.pack_tokens", 64, "tokenise.pack_tokens"),
    ],
)
def test_settings_that_exclude_each_other_name_the_way_out(path: str, value: object, key: str) -> None:
    data = copy.deepcopy(_plain())
    section, name = path.split(".")
    data.setdefault(section, {})[name] = value
    with pytest.raises(RecipeError) as caught:
        validate(data, "recipe.yaml")
    assert f"recipe.yaml: {key}: " in str(caught.value)
    assert "hint: " in str(caught.value)


def test_overrides_are_typed_and_checked() -> None:
    assert load("finance", "local", ("sft.optimiser.learning_rate=1e-4",)).sft.optimiser.learning_rate == 1e-4
    with pytest.raises(RecipeError, match=r"did you mean max_tokens\?"):
        load("finance", "local", ("sft.max_token=5",))
    with pytest.raises(InputError, match=r"must be section\.key=value"):
        load("finance", "local", ("sft.max_tokens",))


def test_scale_may_not_change_the_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    import recipes.load

    folder = tmp_path / "recipes"
    shutil.copytree(FOLDER, folder)
    (folder / "scales" / "bold.yaml").write_text("dpo: {beta: 0.5, samples: 3}\n")
    monkeypatch.setattr(recipes.load, "FOLDER", folder)
    with pytest.raises(RecipeError, match=r"dpo\.beta: is no size or model"):
        load("finance", "bold")


def test_unknown_vertical_and_scale_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="finance"):
        load("finanse")
    with pytest.raises(InputError, match="production"):
        load("finance", "huge")


def test_fingerprint_follows_meaning_not_place() -> None:
    recipe = load("finance")
    same = recipe.model_copy(
        update={"serving": recipe.serving.model_copy(update={"start_timeout_seconds": 5, "extra_flags": ("--x",)})}
    )
    other = load("finance", "local", ("dpo.beta=0.2",))
    elsewhere = load("finance", "local", ("curation.engine=ray", "curation.ray_address=ray://head:10001"))
    assert fingerprint(identity(recipe)) == fingerprint(identity(same)) == fingerprint(identity(elsewhere))
    assert fingerprint(identity(recipe)) != fingerprint(identity(other))
    assert changes(identity(recipe), identity(other)) == ["dpo.beta: 0.1 -> 0.2"]


@pytest.mark.parametrize("row", sorted(models()))
def test_catalogue_rows_are_plausible(row: str) -> None:
    model = models()[row]
    assert model.hub or model.package
    assert (model.active_b or 0) < model.params_b
