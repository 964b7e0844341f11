"""Scores on answers made by hand."""

from __future__ import annotations

import json

import pytest

from contracts.documents import ChatExample, ModelAnswer
from contracts.errors import InputError
from evaluation.choices import answer_opening, gold_letter, letters, named_letter
from evaluation.scoring import ItemScore, columns, numeric_atoms, score_fields, suite_score
from tests.evaluation.tiny import example, general_example

GOLD = {"name": "Acme Inc.", "shares": "54,318", "tickers": ["ACM", "ACMB"]}
CONTEXT = "Acme Inc. has 54,318 shares in 2023, listed as ACM and ACMB."


def scored(answer: object, finish: str = "stop", gold: dict[str, object] | None = None) -> ItemScore:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    item: ChatExample = example(0, gold=gold or GOLD, context=CONTEXT)
    given = ModelAnswer(example_id=item.id, text=text, finish=finish, prompt_tokens=3, completion_tokens=4)
    return score_fields(item, given)


def test_a_right_answer_in_other_words_is_exact() -> None:
    one = scored({"tickers": ["acmb", "ACM"], "name": "ACME INC", "shares": "54,318"})
    assert one.right and (one.true_positive, one.false_positive, one.false_negative) == (4, 0, 0)
    assert one.numeric == one.numeric_right == 1 and one.invented_numbers == []


def test_a_wrong_digit_costs_a_field_a_number_and_is_invented() -> None:
    one = scored({"name": "Acme Inc.", "shares": "54,381", "tickers": ["ACM"]})
    assert not one.right and (one.true_positive, one.false_positive, one.false_negative) == (2, 1, 2)
    assert (one.numeric, one.numeric_right) == (1, 0)
    assert one.invented_numbers == ["54381"]


def test_a_number_written_otherwise_is_the_same_number() -> None:
    one = scored({"name": "Acme Inc.", "shares": 54318, "tickers": ["ACM", "ACMB"]})
    assert one.numeric_right == 1 and one.invented_numbers == []
    assert numeric_atoms({"a": "$1,000.50", "b": "12 %", "c": "1-5231", "d": None}) == numeric_atoms(
        {"a": 1000.5, "b": 12}
    )


def test_broken_json_scores_nothing_but_is_looked_through_for_numbers() -> None:
    one = scored('{"name": "Acme Inc.", "shares": 77', finish="length")
    assert not one.valid_json and not one.stopped and not one.right
    assert (one.true_positive, one.false_negative) == (0, 4)
    assert one.invented_numbers == ["77"]


def test_an_item_without_gold_is_refused() -> None:
    item = example(0, gold=None, completion="free text")
    given = ModelAnswer(example_id=item.id, text="", finish="stop", prompt_tokens=1, completion_tokens=1)
    with pytest.raises(InputError, match="has no gold answer"):
        score_fields(item, given)


def test_the_suite_is_micro_averaged() -> None:
    gold = {"a": "1", "b": "2"}
    items = [scored({"a": "1", "b": "2"}, gold=gold), scored({"a": "9"}, gold=gold), scored("no", gold=gold)]
    scores = suite_score("task", items, 200, 7).scores
    assert scores["field_f1"].value == pytest.approx(2 * 2 / (2 * 2 + 1 + 4))
    assert scores["exact_match"].value == pytest.approx(1 / 3)
    assert scores["valid_json"].value == pytest.approx(2 / 3)
    assert scores["numeric_match"].value == pytest.approx(2 / 6)
    assert scores["invented_number_rate"].value == pytest.approx(2 / 3)
    assert scores["stopped"].value == 1.0
    assert all(one.low <= one.value <= one.high and one.n == 3 for one in scores.values())


def test_without_numbers_in_gold_there_is_no_numeric_match() -> None:
    assert "numeric_match" not in suite_score("task", [scored({}, gold={"name": "Acme"})], 100, 7).scores


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(InputError, match="got rouge"):
        columns([], "rouge")


def test_letters_of_a_question() -> None:
    item = general_example(1)
    assert (letters(item), gold_letter(item), answer_opening(item)) == (["A", "B", "C", "D"], "B", '{"answer": "')
    five = item.model_copy(update={"prompt": [{"role": "user", "content": "x?\n(A) 1\n(B) 2\n(C) 3\n(D) 4\n(E) 5"}]})
    assert letters(five) == ["A", "B", "C", "D", "E"]
    with pytest.raises(InputError, match="no letter"):
        gold_letter(example(0))


@pytest.mark.parametrize(
    ("text", "letter"), [('{"answer": "C"}', "C"), ("B", "B"), ("The answer is (D).", "D"), ("none", ""), ("{}", "")]
)
def test_the_letter_a_text_names(text: str, letter: str) -> None:
    assert named_letter(text) == letter
