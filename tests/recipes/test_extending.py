"""A vertical is extended in YAML alone, as docs/extending.md and docs/inbox.md say; a mistake is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from contracts.errors import RecipeError
from data_curation.coverage import coverage, seen
from recipes import ontology, text_rules
from recipes.corpus import Corpus, Inbox
from recipes.load import verticals
from recipes.ontology import Ontology
from recipes.schema import Curation
from recipes.text_rules import Identifier, QualityRule

DOCS = Path(__file__).parent.parent.parent / "docs"


def blocks(page: str) -> list[dict[str, Any]]:
    """The YAML shown on a page."""
    return [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)]


def test_what_the_pages_show_is_valid() -> None:
    (corpus,) = blocks("inbox.md")
    assert Corpus.model_validate(corpus).jurisdictions == ("US",)
    shown, required, rule, thresholds, identifier = blocks("extending.md")
    known = Ontology.model_validate(shown)
    assert {"fair_value", "pandemic"} <= set(known.names)
    assert set(required["curation"]["require_coverage"]) <= set(known.names)
    for settings in (required, thresholds):
        Curation.model_validate(settings["curation"] | {"licences": ["MIT"]})
    assert set(rule["house_short_lines"]) == set(QualityRule.model_fields) - {"least"}
    QualityRule.model_validate(rule["house_short_lines"])
    assert set(identifier["parcel_number"]) == set(Identifier.model_fields)
    Identifier.model_validate(identifier["parcel_number"])


@pytest.mark.parametrize("vertical", verticals())
def test_shipped_ontologies_name_their_sources(vertical: str) -> None:
    known = ontology.load(vertical)
    assert known is not None
    assert len(known.concepts) >= 15
    assert known.regulations and known.jurisdictions and known.periods
    phrases = [phrase.casefold() for listed in known.phrases.values() for phrase in listed]
    for one in (*known.concepts.values(), *known.regulations.values(), *known.jurisdictions.values()):
        assert len(one.source) > 5
    assert all(phrase.strip() == phrase for phrase in phrases)


def test_a_concept_in_a_file_is_counted_without_a_line_of_python(tmp_path: Path) -> None:
    path = tmp_path / "ontology.yaml"
    path.write_text("concepts: {tidal_rent: {phrases: [tidal rent, rent of the tide], source: a test}}")
    known = ontology.read(path)
    texts = ["A Tidal\nRent was due.", "tidal rents", "the rent-of-the-tide", "tidal rent"]
    nothing = pa.nulls(4, pa.string())
    synthetic = [False, False, False, True]
    batch = pa.record_batch({"text": texts, "file": nothing, "date": nothing, "synthetic": synthetic})
    (line,) = coverage(seen([batch], known, Inbox()), known, {"tidal_rent": 2})
    assert (line.documents, line.required, line.source) == (2, 2, "a test"), "a written document covers nothing"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("concepts: {a: {phrases: [x], source: s, phrase: y}}", "ontology.yaml: concepts.a.phrase: no such key"),
        ("concepts: {a: {phrases: [], source: s}}", "concepts.a.phrases: needs at least 1 of them"),
        ("concepts: {a: {phrases: ['--'], source: s}}", "a phrase must hold a letter or digit, in a"),
        ("concepts: {a: {phrases: [x], source: s}}\nregulations: {a: {phrases: [y], source: s}}", "got a twice"),
        ("concepts: {a: {phrases: [x]}}", "concepts.a.source: is missing"),
        ("concepts: {a: {phrases: [1], source: s}}", "concepts.a.phrases.0: must be text, got 1"),
        ("periods: {p: {first: 2021-01-01, last: 2020-01-01, source: s}}", "periods.p: first must not be after last"),
        ("concepts: [", "is not YAML"),
        ("", "must be a mapping of keys"),
    ],
)
def test_a_mistake_in_an_ontology_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "ontology.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as raised:
        ontology.read(path)
    assert told in str(raised.value)


def test_a_verticals_own_rules_and_identifiers_join_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules of a vertical are files; the folder of recipes is moved so that the shipped ones stay as they are."""
    _, _, rule, _, identifier = blocks("extending.md")
    (tmp_path / "harbours").mkdir()
    (tmp_path / "harbours" / "quality_rules.yaml").write_text(yaml.safe_dump(rule))
    (tmp_path / "harbours" / "identifiers.yaml").write_text(yaml.safe_dump(identifier))
    for name in ("quality_rules.yaml", "identifiers.yaml"):
        (tmp_path / name).write_text((text_rules.FOLDER / name).read_text())
    monkeypatch.setattr(text_rules, "FOLDER", tmp_path)
    rules = text_rules.quality_rules("harbours")
    assert rules["house_short_lines"].most == 0.5
    assert "gopher_min_words" in rules
    assert text_rules.identifiers("harbours")["parcel_number"].near == ("parcel", "apn")
    assert "parcel_number" not in text_rules.identifiers()
