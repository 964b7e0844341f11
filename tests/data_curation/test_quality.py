"""The published quality rules against texts made to break one each, and against each other's forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.errors import RecipeError
from data_curation.field_paths import lookup, text_of
from data_curation.kernel import counts_of, texts_of
from data_curation.normalising import normalised, parts
from data_curation.quality import PASSES, broken, first_broken, rules_of
from data_curation.text_statistics import NAMES, TextStatistics, rows_of, statistics_of
from recipes import text_rules
from recipes.load import load, validate, verticals
from recipes.schema import Curation, Source
from recipes.text_rules import QualityRule, Statistic, quality_rules

RULES = quality_rules()
PUBLISHED = {name: rule for name, rule in RULES.items() if rule.family != "form_text"}
SENTENCES = [
    "The roof of the mill was mended in spring, and the bill came to less than the owner had feared.",
    "A barge that carries gravel needs two metres of water, which the upper canal does not have in August.",
    "Because the school lies on a hill, its cellar has never been wet, not even in the year of the flood.",
    "She bought the shop with money from her aunt, who had kept it in a tin behind the oven.",
    "Of the nine bidders three withdrew when the council asked to see their accounts.",
    "The bridge will be closed to lorries until new bearings have arrived from the foundry.",
    "Nobody remembers who planted the limes along the quay, but everybody has an opinion on cutting them.",
    "Rents in the harbour rose faster than wages, so that most of the old tenants moved up the valley.",
    "With the second lock out of order, boats wait for half a day and skippers play cards.",
    "It was decided to be patient: the bank would get its interest in June, the builders theirs in May.",
    "An inspector came twice, measured every stair, and wrote down that one of them was too steep.",
    "To have a market at all, the town must pay for straw, lamps and a man who sweeps.",
]
SOUND = "\n".join(SENTENCES)


def names_broken(text: str) -> set[str]:
    rows = counts_of(texts_of([text]))
    return {name for name, rule in PUBLISHED.items() if first_broken(rows, {name: rule})[0][0] != PASSES}


def test_sound_prose_breaks_no_rule() -> None:
    assert names_broken(SOUND) == set()


LINES = [
    "Grain sold well.", "The mill turned.", "Rain fell on Monday.", "A barge came late.", "Two men were hired.",
    "Nobody paid in coin.", "Bread was cheap.", "The clerk wrote it down.",
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("gopher_min_words", "The roof was mended and that will have to be enough."),
        ("gopher_max_words", SOUND * 500),
        ("gopher_min_word_length", "to be or of a we it is at in an on " * 20 + "and that with have"),
        ("gopher_max_word_length", SOUND + " Nichtnutzungsentschädigungsvereinbarung." * 90),
        ("gopher_hashes", SOUND.replace(" the ", " # the # ")),
        ("gopher_ellipses", SOUND.replace(", ", "... ").replace(" the ", "... the... ")),
        ("gopher_bullet_lines", "\n".join(f"- {line}" for line in SENTENCES)),
        ("gopher_ellipsis_lines", SOUND.replace(".", "...")),
        ("gopher_alphabetic_words", SOUND + " 12 345 6,789 0.5" * 30),
        ("gopher_stop_words", "Grain, wheat, barley, oats, rye: sold, bought, weighed, stored, milled today. " * 8),
        ("gopher_duplicate_lines", "\n".join([*SENTENCES, *LINES * 3])),
        ("gopher_duplicate_paragraphs", "\n\n".join([*SENTENCES[:6], *LINES[:4] * 3])),
        ("gopher_duplicate_line_characters", "\n".join([*SENTENCES[:8], *SENTENCES[:4]])),
        ("gopher_duplicate_paragraph_characters", "\n\n".join([*SENTENCES[:8], *SENTENCES[:4]])),
        ("gopher_top_2gram", "harbour authority " * 40 + SOUND[:600]),
        ("gopher_top_3gram", "harbour authority decision " * 40 + SOUND[:600]),
        ("gopher_top_4gram", "harbour authority decision today " * 40 + SOUND[:600]),
        *((f"gopher_duplicate_{size}grams", SOUND[:700] * 2) for size in range(5, 11)),
        ("c4_sentences", SOUND.replace(".", ",")),
        ("c4_curly_brackets", SOUND + " {"),
        ("c4_lorem_ipsum", SOUND + " Lorem ipsum."),
        ("fineweb_line_punctuation", SOUND.replace(".", "")),
        ("fineweb_short_lines", "\n".join([*SENTENCES[:3], *LINES, *(line.upper() for line in LINES)])),
        ("fineweb_duplicate_line_characters", "\n".join([*SENTENCES, SENTENCES[0]])),
        ("fineweb_newlines", "\n".join(line[:12] for line in SENTENCES)),
    ],
)
def test_each_rule_falls_where_it_was_made_for(rule: str, text: str) -> None:
    assert rule in names_broken(text)


def test_every_published_rule_has_such_a_text() -> None:
    marks = [mark for mark in test_each_rule_falls_where_it_was_made_for.pytestmark if mark.name == "parametrize"]
    assert {case[0] for case in marks[0].args[1]} == set(PUBLISHED)


def test_a_threshold_is_itself_still_sound() -> None:
    rule = QualityRule(family="x", of="short_lines", per="lines", most=0.5)
    assert broken(TextStatistics(short_lines=1, lines=2), {"r": rule}) is None
    assert broken(TextStatistics(short_lines=2, lines=2), {"r": rule}) == ("r", "short_lines / lines 1, most 0.5")
    assert broken(TextStatistics(), {"r": rule}) is None, "a share of nothing is 0"
    assert broken(TextStatistics(words=4), {"r": QualityRule(family="x", of="words", least=5)}) is not None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet="ab THE\n.#•…-1{", max_size=120), min_size=1, max_size=8))
def test_a_column_is_judged_as_its_texts_are(texts: list[str]) -> None:
    counts = [statistics_of(text) for text in texts]
    places, _ = first_broken(rows_of(counts), RULES)
    names = list(RULES)
    one_by_one = [broken(one, RULES) for one in counts]
    assert [None if place == PASSES else names[place] for place in places] == [one and one[0] for one in one_by_one]


def test_counts_of_the_schema_are_those_of_the_record() -> None:
    assert set(Statistic.__args__) == set(NAMES)


def test_sources_choose_families_and_thresholds() -> None:
    plain = Curation(licences=("MIT",), quality={"gopher_min_words": 7})
    source = Source(path="x", use="pretraining", licence="MIT")
    chosen = rules_of(source, plain, RULES)
    assert set(chosen) == set(PUBLISHED) and chosen["gopher_min_words"].least == 7
    own = source.model_copy(update={"quality_families": ("c4",), "quality": {"c4_lorem_ipsum": None}})
    assert set(rules_of(own, plain, RULES)) == {"c4_sentences", "c4_curly_brackets"}
    assert rules_of(source.model_copy(update={"use": "tasks"}), plain, RULES) == {}


def test_a_vertical_adds_rules_and_identifiers_in_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rules, "FOLDER", tmp_path)
    (tmp_path / "mills").mkdir()
    (tmp_path / "quality_rules.yaml").write_text("old: {family: f, of: words, least: 5}")
    (tmp_path / "mills" / "quality_rules.yaml").write_text("new: {family: f, of: hashes, per: lines, most: 2}")
    assert set(text_rules.quality_rules("mills")) == {"old", "new"} and set(text_rules.quality_rules()) == {"old"}
    (tmp_path / "mills" / "identifiers.yaml").write_text("wheel: {pattern: 'W-[0-9]+', near: [wheel]}")
    assert text_rules.identifiers("mills")["wheel"].near == ("wheel",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("r: {family: f, of: wrods, least: 5}", "of"),
        ("r: {family: f, of: words}", "give either least, or most"),
        ("r: {family: f, of: words, least: 1, most: 2}", "give either least, or most"),
        ("r: {family: f, of: words, least: 5, colour: red}", "colour"),
        ("[1, 2]", "must map names to entries"),
        ("r: {", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    monkeypatch.setattr(text_rules, "FOLDER", tmp_path)
    (tmp_path / "quality_rules.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"quality_rules\.yaml(.|\n)*" + complaint):
        quality_rules()


def test_a_pattern_must_compile() -> None:
    with pytest.raises(ValidationError, match="must be a regular expression"):
        text_rules.Identifier(pattern="(")


def test_a_recipe_with_an_unknown_rule_is_refused_with_the_near_ones() -> None:
    data = load("finance").model_dump(mode="json")
    data["curation"]["quality"] = {"gopher_min_word": 3}
    data["sources"]["sec_filings"]["quality_families"] = ["gofer"]
    with pytest.raises(RecipeError, match=r"gopher_min_word(.|\n)*gopher_min_words") as raised:
        validate(data, "finance")
    assert "sec_filings.quality_families" in str(raised.value)


@pytest.mark.shared
@pytest.mark.parametrize("vertical", verticals())
def test_the_recipes_rules_do_not_eat_their_corpora(shared_data: Path, vertical: str) -> None:
    """Of every source at most one part in twenty falls: what falls was looked at (docs/log.md)."""
    recipe = load(vertical)
    for name, source in recipe.sources.items():
        rules = rules_of(source, recipe.curation, quality_rules(vertical))
        if not rules:
            continue
        lines = (shared_data / source.path).read_text("utf-8").splitlines()
        texts = (normalised(text_of(lookup(json.loads(line), source.text))) for line in lines[::3])
        pieces = [piece for text in texts for piece in parts(text, source.max_chars)]
        places, _ = first_broken(counts_of(texts_of(pieces)), rules)
        assert np.mean(places != PASSES) <= 0.05, name
