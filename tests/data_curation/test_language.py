"""Language identification on texts of known language; the share that is told right may not fall."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from data_curation import language
from data_curation.language import UNDETERMINED, language_of

CASES: dict[str, dict[str, list[str]]] = yaml.safe_load(
    (Path(__file__).parent / "language_cases.yaml").read_text("utf-8")
)
ITEMS = [(code, text) for code, kinds in CASES.items() for texts in kinds.values() for text in texts]


def test_the_cases_are_many_and_of_many_languages() -> None:
    assert len(ITEMS) >= 100 and len(CASES) >= 20


@pytest.mark.parametrize(("code", "text"), ITEMS, ids=[f"{code} {text[:30]!r}" for code, text in ITEMS])
def test_every_case_is_told(code: str, text: str) -> None:
    assert language_of(text) == code


def test_what_may_be_wanted_is_not_told_to_be_another() -> None:
    text = "Cassa Rurale delle Valli Orientali acquired a minority interest in the bank for the late Banca del Ponte."
    assert language_of(text, {"en"}) in ("en", UNDETERMINED)
    for code, foreign in ITEMS:
        if code not in ("en", UNDETERMINED) and len(foreign) > 100:
            assert language_of(foreign, {"en"}) == code


def test_figures_around_them_do_not_change_the_language_of_words() -> None:
    figures = "\n".join(f"{n} | {n * 37:,} | {n / 7:.2f}" for n in range(60))
    for code, text in ITEMS:
        if code != UNDETERMINED and len(text) > 100:
            assert language_of(f"{text}\n{figures}\n{text}\n{figures}\n{text}") == code


def test_a_long_text_is_read_in_three_places() -> None:
    german, english = CASES["de"]["long"][0], CASES["en"]["long"][0]
    assert language_of(english + "\n" + german * 30) == "de"


@pytest.mark.parametrize("text", ["\x00" * 500, "a" * 100_000, "\n" * 1000, "\ud800 lone", "😀" * 300, "ab " * 50_000])
def test_what_is_no_text_ends_in_a_code(text: str) -> None:
    assert language_of(text)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("real_estate/airbnb_listings", "description"),
        ("corporate/core_company_relations", "context"),
        ("finance/sec_xbrl_facts", "text_first_page"),
        ("real_estate/cfpb_mortgage_regs", "text"),
    ],
)
def test_no_real_document_is_taken_for_another_language(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, file: str, key: str
) -> None:
    texts = []
    for line in (shared_data / file / "data.jsonl").read_text(encoding="utf-8").splitlines()[:400]:
        value = json.loads(line).get(key) or ""
        texts.append(" ".join(value) if isinstance(value, list) else value)
    told = [language_of(text) for text in texts]
    assert set(told) <= {"en", UNDETERMINED} and told.count("en") > 0.9 * len(told)
    monkeypatch.setattr(language, "plainly_english", lambda text: False)
    assert [language_of(text) for text in texts] == told, "the model says of plain English what it is"
