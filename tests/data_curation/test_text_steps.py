"""Personal data, language and quality rules inside the stage: what is written, what is counted, what is never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.curation_report import CurationCard
from data_curation.curate import curate
from recipes.stage_sections import CurateSection
from tests.data_curation.corpus_sample import corpus, lease, lines, section, story, write_rows
from tests.data_curation.test_quality import LINES, SENTENCES

PHONE, EMAIL = "(202) 555-0143", "mira.tolland@example.org"
GERMAN = (
    "Die Gesellschaft hat ihren Umsatz im dritten Quartal gesteigert, während die Kosten für Fracht und Energie sanken."
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def card_of(out: Path) -> CurationCard:
    return CurationCard.model_validate_json((out / "card.json").read_text())


def with_source(place: CurateSection, name: str, **changes: Any) -> CurateSection:
    return place.model_copy(update={"sources": place.sources | {name: place.sources[name].model_copy(update=changes)}})


def outputs(out: Path) -> dict[str, str]:
    """Everything that is written, but for the table of what was read."""
    return {
        file.name: file.read_text(encoding="utf-8")
        for file in out.iterdir()
        if file.suffix in (".jsonl", ".json", ".html")
    }


def personal_corpus(folder: Path) -> Path:
    """Leases and stories in which one lease and two stories hold personal data."""
    place = corpus(folder)
    rows = [lease(n) for n in range(40)]
    rows[5]["text"] += f"\nQuestions: {EMAIL} or {PHONE}."
    rows[5]["clerk_contact"] = EMAIL
    write_rows(place / "leases.jsonl", rows)
    stories = [{"id": f"s{n}", "text": story(n)} for n in range(30)]
    stories[3]["text"] += f" Ring {PHONE} at night."
    stories[4] = {"id": "s4", "text": f"Ring {PHONE}."}
    write_rows(place / "stories.jsonl", stories)
    return place


def test_personal_data_stands_in_no_output_and_is_counted(tmp_path: Path, out: Path) -> None:
    curate(section(personal_corpus(tmp_path / "corpus")), {}, out)
    for name, text in outputs(out).items():
        assert PHONE not in text and EMAIL not in text, name
    written = outputs(out)
    assert "[PHONE]" in written["pretraining.jsonl"] + written["pretraining_heldout.jsonl"]
    assert "[EMAIL]" in written["train.jsonl"] + written["eval.jsonl"]
    assert "[PHONE]" in written["rejected.jsonl"], "the story that is too short"
    card = card_of(out)
    assert card.texts["leases"].personal_data == {"email": 1, "phone": 1}
    assert card.texts["stories"].personal_data == {"phone": 2}
    one = card.texts["leases"]
    assert 0 < one.numbers_before - one.numbers_after <= 3
    assert card.texts["replay"].numbers_before == card.texts["replay"].numbers_after > 0


def test_keep_keeps_and_reject_rejects(tmp_path: Path, out: Path) -> None:
    place = personal_corpus(tmp_path / "corpus")
    curate(section(place, personal_data="keep"), {}, out)
    assert EMAIL in "".join(outputs(out).values())
    again = tmp_path / "again"
    again.mkdir()
    curate(with_source(section(place), "stories", personal_data="reject"), {}, again)
    rejected = [one for one in lines(again, "rejected.jsonl") if one["reason"] == "personal_data"]
    assert {one["id"] for one in rejected} == {"stories/s3", "stories/s4"}
    assert all(one["detail"] == "phone 1" and PHONE not in one["text"] for one in rejected)
    assert not any(
        one["reason"] == "personal_data" and one["source"] == "leases" for one in lines(again, "rejected.jsonl")
    )


def test_a_value_that_a_task_asks_for_is_never_masked(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    rows = [lease(n) for n in range(40)]
    for number, row in enumerate(rows):
        row["terms"]["rent"] = f"202-555-01{number:02}"  # looks like a phone
        row["text"] += f"\nReference 202-555-01{number:02}. Call 303-555-01{number:02}."
    write_rows(place / "leases.jsonl", rows)
    artifact, _ = curate(section(place), {}, out)
    examples = [*lines(out, "train.jsonl"), *lines(out, "eval.jsonl")]
    assert examples and all(one["gold"]["rent"] in one["context"] for one in examples)
    assert all("[PHONE]" in one["context"] and "303-555" not in one["context"] for one in examples)
    assert "terms: gold_not_in_text" not in card_of(out).example_rejects
    assert card_of(out).texts["leases"].kept["gold"] == 40
    assert artifact.metrics["train_examples"] > 10


def test_names_of_a_field_go_from_text_and_metadata(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    rows = [
        {"id": f"s{n}", "text": f"{story(n)} Tamsin waits.", "host": "Tamsin Weir", "flat": "Mill flat"}
        for n in range(30)
    ]
    write_rows(place / "stories.jsonl", rows)
    curate(with_source(section(place), "stories", person_fields=("host",)), {}, out)
    assert not any("Tamsin" in text for text in outputs(out).values())
    kept = lines(out, "pretraining.jsonl")[0]
    assert kept["metadata"]["host"] == "[NAME]" and kept["metadata"]["flat"] == "Mill flat"
    assert kept["text"].endswith("[NAME] waits.")


def test_other_languages_fall_with_their_code(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    stories = [{"id": f"s{n}", "text": "\n".join([*SENTENCES[n % 6 :], story(n)])} for n in range(30)]
    write_rows(
        place / "stories.jsonl",
        [*stories, {"id": "german", "text": GERMAN}, {"id": "table", "text": "1,2 | 3.4\n" + "5 | 6\n7 | 8\n9 | 0\n"}],
    )
    curate(section(place, max_symbol_share=1.0), {}, out)
    (rejected,) = (one for one in lines(out, "rejected.jsonl") if one["reason"] == "other_language")
    assert rejected["id"] == "stories/german" and rejected["detail"] == "de, wanted en" and rejected["text"] == GERMAN
    languages = card_of(out).texts["stories"].languages
    assert languages["de"] == 1 and languages["und"] >= 1 and languages["en"] >= 1
    again = tmp_path / "again"
    again.mkdir()
    curate(section(place, max_symbol_share=1.0, languages=("de", "en")), {}, again)
    assert not any(one["reason"] == "other_language" for one in lines(again, "rejected.jsonl"))


def test_published_rules_hold_for_pretraining_text_and_not_for_tasks(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    sound = [{"id": f"s{n}", "text": "\n".join([*SENTENCES, LINES[n % 8], story(n)])} for n in range(20)]
    spam = {"id": "spam", "text": "\n".join([*SENTENCES[:3], *LINES * 9, story(77)])}
    write_rows(place / "stories.jsonl", [*sound, spam])
    wanted = section(place, quality_families=("gopher", "gopher_repetition"))
    curate(wanted, {}, out)
    quality = [one for one in lines(out, "rejected.jsonl") if one["stage"] == "quality"]
    assert {one["id"] for one in quality} == {"stories/spam"}
    assert quality[0]["reason"].startswith("gopher_duplicate") or quality[0]["reason"] == "repeated_lines"
    again = tmp_path / "again"
    again.mkdir()
    spared = with_source(wanted, "stories", quality_families=())
    spared = spared.model_copy(update={"curation": spared.curation.model_copy(update={"max_repeated_line_share": 1.0})})
    curate(spared, {}, again)
    assert not [one for one in lines(again, "rejected.jsonl") if one["stage"] == "quality"]


def test_counts_sum_whatever_the_steps_take(tmp_path: Path, out: Path) -> None:
    place = personal_corpus(tmp_path / "corpus")
    curate(section(place, personal_data="reject", quality_families=("gopher", "c4", "fineweb"), min_words=20), {}, out)
    for one in card_of(out).sources:
        assert one.read == one.accepted + sum(one.rejected.values())
    assert json.loads((out / "card.json").read_text())["texts"]


def test_the_general_suite_is_asked_as_it_is(tmp_path: Path, out: Path) -> None:
    place = corpus(tmp_path / "corpus")
    questions = [
        {
            "id": f"q{n}",
            "question": f"Frage {n}: Wem gehört die Nummer {PHONE} in der Stadt?",
            "choices": ["a", "b"],
            "answer": "A",
        }
        for n in range(4)
    ]
    write_rows(place / "questions.jsonl", questions)
    curate(section(place), {}, out)
    assert sum(PHONE in one["context"] for one in lines(out, "general.jsonl")) == 4
