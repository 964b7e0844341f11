"""Decontamination: counted n-grams, form wording left alone, answers near their span, agreement with plain sets."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.documents import ChatExample
from data_curation.decontamination import Index
from recipes.schema import Curation

CURATION = Curation(licences=("CC0-1.0",))
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]


def words(seed: int, count: int) -> str:
    chance = random.Random(seed)
    return " ".join("".join(chance.choices(SYLLABLES, k=3)) for _ in range(count))


def item(identity: str, context: str, **gold: Any) -> ChatExample:
    return ChatExample(id=identity, task="t", source="s", document_id=identity, context=context, gold=gold or None,
                       prompt=[{"role": "user", "content": "?"}], completion="answer")  # fmt: skip


def test_an_item_in_another_case_and_layout_is_found_with_its_span() -> None:
    asked = words(1, 40)
    index = Index([item("a", asked), item("b", words(2, 40))], CURATION)
    match = index.find(f"{words(3, 300)}\n\n{asked.upper().replace(' ', ' ,  ')}\n{words(4, 300)}")
    assert match is not None and match.item == "a" and match.coverage == 1.0 and match.ngrams == 28
    assert match.span.casefold().startswith(asked[:5]) and len(match.span) <= 300
    assert index.find(words(3, 600)) is None


def test_a_short_item_is_looked_for_by_eight_words_and_a_shorter_one_not_at_all() -> None:
    index = Index([item("short", words(5, 10)), item("too short", "what is the rent")], CURATION)
    match = index.find(f"some words before {words(5, 10)} and after")
    assert match is not None and match.item == "short" and match.ngrams == 3
    assert index.find("what is the rent") is None


def test_half_of_an_item_is_enough_and_a_third_is_not() -> None:
    asked = words(6, 60).split()
    index = Index([item("a", " ".join(asked))], CURATION)
    assert index.find(" ".join([*asked[:38], words(7, 50)])) is not None
    assert index.find(" ".join([*asked[:28], words(7, 50)])) is None


def test_form_wording_is_nobodys_leak() -> None:
    form = words(8, 60)
    items = [item(str(n), f"{form} {words(100 + n, 40)}") for n in range(8)]
    index = Index(items, CURATION)
    assert index.find(f"{form} {words(999, 40)}") is None
    match = index.find(f"{form} {words(103, 40)}")
    assert match is not None and match.item == "3"


def test_the_answer_must_stand_near_the_span() -> None:
    asked = words(9, 40)
    index = Index([item("a", asked, rent="1,234", party="Elm Works")], CURATION)
    far = words(10, 200)
    assert index.find(f"{asked} The answer is 1,234.") is not None, "half of the answers, behind the question"
    assert index.find(f"Elm  WORKS, then {asked}") is not None
    assert index.find(f"{asked} {far}") is None
    assert index.find(f"{asked} {far} 1,234 Elm Works") is None, "what stands far away does not answer"


def test_every_batch_size_and_number_of_workers_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item(str(n), words(n, 30)) for n in range(50)]
    texts = [f"{words(5_000 + n, 80)} {words(n % 70, 30)} {words(6_000 + n, 80)}" for n in range(300)]
    index = Index(items, CURATION)
    whole = index.find_all(texts)
    assert sum(match is not None for match in whole) == sum(n % 70 < 50 for n in range(300))
    monkeypatch.setattr("data_curation.decontamination.BATCH_DOCUMENTS", 7)
    assert index.find_all(texts, workers=3) == whole == [index.find(text) for text in texts]
    assert Index([], CURATION).find_all(texts[:2]) == [None, None] and index.find_all([]) == []


def plain_flags(items: list[ChatExample], texts: list[str]) -> list[bool]:
    """The rule with Python sets of word tuples."""

    def ngrams(text: str, size: int) -> set[tuple[str, ...]]:
        found = [word.lower() for word in re.findall(r"\w+", text)]
        return {tuple(found[at : at + size]) for at in range(len(found) - size + 1)}

    raw = [ngrams(one.context, 13 if len(re.findall(r"\w+", one.context)) >= 26 else 8) for one in items]
    spread = Counter(one for own in raw for one in own)
    own = [{one for one in each if spread[one] <= max(3, 0.1 * len(raw))} for each in raw]
    flags = []
    for text in texts:
        present = ngrams(text, 13) | ngrams(text, 8)
        flags.append(any(each and len(each & present) >= 0.5 * len(each) for each in own))
    return flags


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.mark.shared
def test_the_questions_of_the_suites_are_found_in_real_text_and_only_there(shared_data: Path) -> None:
    questions = list(rows(shared_data / "decontam/eval_questions.jsonl"))[::40]
    items = [item(f"{number}", row["text"]) for number, row in enumerate(questions)]
    speeches = [row["text"][:6_000] for row in rows(shared_data / "finance/fed_speeches/data.jsonl")][:60]
    index = Index(items, CURATION)
    planted = [f"{text[:3_000]}\n{asked.context}\n{text[3_000:]}" for text, asked in zip(speeches, items, strict=False)]
    texts = [*speeches, *planted]
    flags = [match is not None for match in index.find_all(texts)]
    assert flags == plain_flags(items, texts)
    long_enough = [len(re.findall(r"\w+", asked.context)) >= 8 for asked in items[: len(planted)]]
    assert sum(long_enough) > 30
    assert [flag for flag, long in zip(flags[len(speeches) :], long_enough, strict=True) if long] == [True] * sum(
        long_enough
    )
