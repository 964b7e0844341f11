"""The YAML that people write: schemas that agree with the house, and mistakes named with their way out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from contracts.errors import InputError, RecipeError, StillroomError
from data_curation.writer.load import load as load_writer
from flows.cli import app
from flows.vertical_files import SCHEMAS, check_files, json_schema
from recipes import corpus, ontology, text_rules, yaml_text
from recipes.load import FOLDER, load, validate, verticals
from tests.recipes.test_extending import blocks

SHIPPED = [path for path in sorted(FOLDER.glob("**/*.yaml")) if "yaml-language-server" in path.read_text("utf-8")[:40]]


def plain(value: Any) -> Any:
    """As JSON would have it: a day is text."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def refused(kind: str, data: Any) -> bool:
    return bool(list(jsonschema.Draft202012Validator(json.loads(json_schema(kind))).iter_errors(plain(data))))


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_shipped_schema_is_what_the_house_reads(kind: str) -> None:
    path = FOLDER / "schemas" / f"{kind}.schema.json"
    told = f"stillroom schema {kind} > recipes/schemas/{path.name} makes it anew"
    assert path.read_text(encoding="utf-8") == json_schema(kind), told
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_shipped_file_names_its_schema_and_keeps_it(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    schema = (path.parent / first.partition("$schema=")[2]).resolve()
    assert schema.parent == FOLDER / "schemas"
    told = json.loads(schema.read_text(encoding="utf-8"))
    assert [one.message for one in jsonschema.Draft202012Validator(told).iter_errors(plain(yaml_text.read(path)))] == []


def test_all_files_that_people_write_name_one() -> None:
    assert len(SHIPPED) >= 4 * len(verticals()) + 3
    for vertical in verticals():
        assert {"recipe.yaml", "ontology.yaml", "identifiers.yaml", "writer.yaml"} <= {
            path.name for path in SHIPPED if path.parent.name == vertical
        }


def test_an_editor_shows_what_a_key_means() -> None:
    told = json.loads(json_schema("recipe"))["$defs"]["Curation"]["properties"]
    assert told["removal_ceiling"]["description"].startswith("A source that loses a larger share")
    assert json.loads(json_schema("corpus"))["properties"]["source"]["description"].startswith("Who published")


def test_what_the_pages_show_keeps_its_schema() -> None:
    (drop,) = blocks("inbox.md")
    assert not refused("corpus", drop)
    shown, _, rule, _, identifier = blocks("extending.md")
    assert not refused("ontology", shown)
    assert not refused("quality_rules", rule)
    assert not refused("identifiers", identifier)


def test_the_command_prints_a_schema_and_names_the_kinds_there_are() -> None:
    said = CliRunner().invoke(app, ["schema", "ontology"])
    assert said.exit_code == 0
    assert json.loads(said.stdout)["title"].startswith("recipes/VERTICAL/ontology.yaml")
    with pytest.raises(InputError, match="one of: recipe, ontology"):
        CliRunner().invoke(app, ["schema", "ontolgy"], catch_exceptions=False)


def _ontology(path: Path) -> Any:
    return ontology.read(path)


def _recipe(path: Path) -> Any:
    below = yaml.safe_load((FOLDER / "finance" / "recipe.yaml").read_text(encoding="utf-8"))
    return validate(below | yaml_text.read(path), "finance/recipe.yaml")


def _rules(path: Path) -> Any:
    return text_rules.quality_rules(path.parent.name)


def _identifiers(path: Path) -> Any:
    return text_rules.identifiers(path.parent.name)


def _drop(path: Path) -> Any:
    return corpus.read(path.parent)


DROP = """source: A test
licence: MIT
dates: {first: 2020-01-01, last: 2021-01-01}
jurisdiction: US
language: en
personal_data: false
"""


@pytest.mark.parametrize(
    ("kind", "name", "read", "text", "told", "seen_by_schema"),
    [
        ("ontology", "ontology.yaml", _ontology, "concepts: {a: {phrase: [x], phrases: [y], source: s}}",
         "concepts.a.phrase: no such key\n\nhint: did you mean phrases?", True),
        ("ontology", "ontology.yaml", _ontology,
         "concepts:\n  a: {phrases: [x], source: s}\n  a: {phrases: [y], source: s}",
         "is not YAML, got line 3: a stands in line 2 already", False),
        ("ontology", "ontology.yaml", _ontology, "concepts: {a: {phrases: fair value, source: s}}",
         "concepts.a.phrases: must be a list, got fair value", True),
        ("ontology", "ontology.yaml", _ontology,
         "concepts: {a: {phrases: [x], source: s}}\njurisdictions: {NO: {source: s}}", "YAML reads no, yes, on", False),
        ("ontology", "ontology.yaml", _ontology, "concept: {a: {phrases: [x], source: s}}",
         "did you mean concepts?", True),
        ("ontology", "ontology.yaml", _ontology, "concepts: {a: {phrases: [x]\n  b: {}}",
         "is not YAML, got line 2", False),
        ("quality_rules", "quality_rules.yaml", _rules, "r: {family: house, of: short_line, most: 1}",
         "quality_rules.yaml: r.of: must be 'characters'", True),
        ("quality_rules", "quality_rules.yaml", _rules, "r: {family: house, of: words, at_most: 5}",
         "r.at_most: no such key\n\nhint: did you mean most?", True),
        ("quality_rules", "quality_rules.yaml", _rules, "r: {family: house, of: words}",
         "give either least, or most", False),
        ("identifiers", "identifiers.yaml", _identifiers, "plot: {pattern: '[0-9', near: [plot]}",
         "plot.pattern: must be a regular expression", False),
        ("identifiers", "identifiers.yaml", _identifiers, "plot: {pattern: '[0-9]+', checksum: luhm}",
         "plot.checksum: must be '', 'luhn'", True),
        ("identifiers", "identifiers.yaml", _identifiers, "plot: {pattern: '[0-9]+', near: plot}",
         "plot.near: must be a list, got plot", True),
        ("writer", "writer.yaml", load_writer, "sources: {notes: {text: a, slots: {n: {number: {low: 3, hihg: 4}}}}}",
         "sources.notes.slots.n.number.hihg: no such key\n\nhint: did you mean high?", True),
        ("writer", "writer.yaml", load_writer, "sources: {notes: {text: '{twon}', slots: {town: York}}}",
         "no such slot or phrase, got twon\n\nhint: did you mean town?", False),
        ("recipe", "recipe.yaml", _recipe, "curation: {licences: [MIT], removal_cieling: 0.2}",
         "curation.removal_cieling: no such key\n\nhint: did you mean removal_ceiling?", True),
        ("recipe", "recipe.yaml", _recipe, "curation: {licences: [MIT], quality_families: [gofer]}",
         "is no family of recipes/quality_rules.yaml", False),
        ("recipe", "recipe.yaml", _recipe, "curation: {licences: [MIT], removal_ceiling: 50}",
         "curation.removal_ceiling: must be <= 1, got 50", True),
        ("corpus", "corpus.yaml", _drop, DROP.replace("licence", "license"),
         "license is no key of corpus.yaml (did you mean licence?)", True),
        ("corpus", "corpus.yaml", _drop, DROP.replace("US", "Germany"),
         "jurisdiction must match ^[A-Z]{2}(-[A-Z0-9]{1,3})?$, got str 'Germany'\n\nhint: two letters of ISO", True),
        ("corpus", "corpus.yaml", _drop, DROP.replace("US", "[US, usa]"), "jurisdiction.1 must match", True),
        ("corpus", "corpus.yaml", _drop, DROP.replace("language: en", "language: no"), "quote no", True),
        ("corpus", "corpus.yaml", _drop, DROP + "licence: MIT\n", "line 7: licence stands in line 2 already", False),
        ("corpus", "corpus.yaml", _drop, DROP.replace("false", "'no'"),
         "personal_data must be true or false, got str 'no'", True),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_way_out(
    kind: str, name: str, read: Callable[[Path], Any], text: str, told: str, seen_by_schema: bool,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = tmp_path / "harbours" / name
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    if kind in ("quality_rules", "identifiers"):
        monkeypatch.setattr(text_rules, "FOLDER", tmp_path)
    with pytest.raises(StillroomError) as raised:
        read(path)
    assert told in str(raised.value)
    assert "hint: " in str(raised.value)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    if kind == "recipe":
        data = yaml.safe_load((FOLDER / "finance" / "recipe.yaml").read_text(encoding="utf-8")) | data
    assert refused(kind, data) == seen_by_schema


def test_validate_looks_at_every_file_beside_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FOLDER, tmp_path / "recipes")
    place = tmp_path / "recipes"
    for name, text in (
        ("ontology.yaml", "concepts: {a: {phrases: [], source: s}}"),
        ("identifiers.yaml", "plot: {pattern: '('}"),
        ("writer.yaml", "sources: {notes: {text: '{nobody}'}}"),
    ):
        (place / "finance" / name).write_text(text, encoding="utf-8")
    recipe = load("finance")
    check_files(recipe)
    for module in ("recipes.ontology.FOLDER", "recipes.text_rules.FOLDER", "data_curation.writer.load.RECIPES"):
        monkeypatch.setattr(module, place)
    with pytest.raises(RecipeError) as raised:
        check_files(recipe)
    told = str(raised.value)
    for part in ("concepts.a.phrases: needs at least 1", "plot.pattern", "no such slot or phrase, got nobody"):
        assert part in told


def test_a_required_name_must_stand_in_the_ontology() -> None:
    with pytest.raises(RecipeError, match=r"require_coverage: names what is not there, got fair_valeu"):
        check_files(load("finance", "local", ("curation.require_coverage.fair_valeu=3",)))


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("a: 1", {"a": 1}), ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
     ("a: &x {b: 1}\nc: {<<: *x, b: 2}", {"a": {"b": 1}, "c": {"b": 2}}),
     ("[1, {a: 1}, {a: 2}]", [1, {"a": 1}, {"a": 2}])],
)  # fmt: skip
def test_yaml_is_read_as_safe_load_reads_it(text: str, value: Any) -> None:
    assert yaml_text.parsed(text) == value == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "x: {y: [{b: 1, b: 1}]}", "a: [", "\x00", "!!python/name:os.system", "a: " + "[" * 5_000]
)
def test_yaml_that_is_none_or_says_two_things_is_refused(text: str) -> None:
    with pytest.raises(yaml_text.NotYaml):
        yaml_text.parsed(text)
