"""A vertical's YAML beside its recipe: checked all at once, and the JSON schemas by which editors check it."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from pydantic import BaseModel, TypeAdapter

from contracts.errors import RecipeError, StillroomError
from data_curation.writer import schema as writer_schema
from data_curation.writer.load import load as load_writer
from data_curation.writer.load import writer_path
from data_curation.writer.schema import WriterSpec
from recipes import corpus, ontology, schema, text_rules, training_sections
from recipes.corpus import Corpus
from recipes.ontology import Ontology
from recipes.schema import Recipe
from recipes.text_rules import Identifier, QualityRule

SCHEMAS: dict[str, tuple[Any, str]] = {
    "recipe": (Recipe, "recipes/VERTICAL/recipe.yaml: one vertical's build"),
    "ontology": (Ontology, "recipes/VERTICAL/ontology.yaml: what the corpus should cover"),
    "quality_rules": (dict[str, QualityRule], "quality_rules.yaml: what a text must be like, by the rule's name"),
    "identifiers": (dict[str, Identifier], "identifiers.yaml: what looks like personal data and stays, by its name"),
    "writer": (WriterSpec, "writer.yaml: the document writer"),
    "corpus": (Corpus, "corpus.yaml: what a drop in the inbox says of itself"),
}
"""Name to what the file is read as, and its title."""
DOCUMENTED = (schema, training_sections, ontology, text_rules, corpus, writer_schema)


def check_files(recipe: Recipe) -> None:
    """Raises RecipeError with every fault of the files beside a vertical's recipe."""
    checks: list[Callable[[], Any]] = [
        lambda: ontology.require_known(recipe.curation.require_coverage, ontology.load(recipe.vertical)),
        lambda: text_rules.quality_rules(recipe.vertical),
        lambda: text_rules.identifiers(recipe.vertical),
        lambda: load_writer(writer_path(recipe.vertical, recipe.writer.file)),
    ]
    faults = [fault for check in checks for fault in _faults_of(check)]
    if faults:
        raise RecipeError(recipe.vertical, f"{len(faults)} faults in its files", faults=faults)


def _faults_of(check: Callable[[], Any]) -> Iterator[StillroomError]:
    try:
        check()
    except RecipeError as error:
        yield from error.faults or (error,)


def json_schema(name: str) -> str:
    """The JSON schema of a kind of file, with what the source says of every key: editors show it."""
    kind, title = SCHEMAS[name]
    made = TypeAdapter(kind).json_schema(mode="validation")
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": title}
    told = {section: keys for module in DOCUMENTED for section, keys in _docstrings(module).items()}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        _describe(made, told.get(kind.__name__, {}))
    for section, definition in made.get("$defs", {}).items():
        _describe(definition, told.get(section, {}))
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _describe(definition: dict[str, Any], told: dict[str, str]) -> None:
    for key, property_ in definition.get("properties", {}).items():
        property_.pop("title", None)
        if key in told:
            property_["description"] = told[key]


def _docstrings(module: ModuleType) -> dict[str, dict[str, str]]:
    """Class to field to the text below it in the source."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            keys = found.setdefault(node.name, {})
            for field, below in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    text = _text(below)
                    if text:
                        keys[field.target.id] = text
    return found


def _text(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split()).replace("``", "")
    return ""
