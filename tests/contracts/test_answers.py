"""Answers: what counts as equal, and which numbers are invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import agrees, atoms, canonical, invented_numbers, normalise, parse


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{"a": "x"}', {"a": "x"}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('  {"a": ["x", "y"]} ', {"a": ["x", "y"]}),
        ('The answer is {"a": 1}', None),
        ('{"a": 1', None),
        ("[1]", None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_parse(text: str, fields: object) -> None:
    assert parse(text) == fields


@given(st.dictionaries(st.text(min_size=1), st.one_of(st.text(), st.integers(), st.lists(st.text()))))
def test_canonical_round_trips_and_agrees_with_itself(fields: dict[str, object]) -> None:
    back = parse(canonical(fields))
    assert back == fields
    assert agrees(back, fields)


@pytest.mark.parametrize(
    ("left", "right"),
    [("Redwood City,", "redwood  city"), ("Ａcme", "acme"), (3.0, "3"), ('"x".', "X")],
)
def test_same_value_however_written(left: object, right: object) -> None:
    assert normalise(left) == normalise(right)


def test_extra_claim_is_no_agreement() -> None:
    assert not agrees({"a": "1", "b": "2"}, {"a": "1"})
    assert not agrees(None, {"a": "1"})
    assert atoms({"a": None, "b": ""}) == set()


def test_a_digit_in_a_field_name_is_no_invented_number() -> None:
    context = "One Coca-Cola Plaza, Atlanta 30313"
    right = '{"address_line1": "One Coca-Cola Plaza", "zip": "30313"}'
    assert invented_numbers(right, context) == set()
    assert invented_numbers(right[:-10] + '"31303', context) == {"31303"}, "cut off, so no JSON"
    assert invented_numbers('{"note": "at 7:30", "zip": "30313"}', context) == {"7", "30"}


def test_invented_numbers_ignore_separators() -> None:
    assert invented_numbers('{"value": "54,318"}', "revenue of 54318 in 2023") == set()
    assert invented_numbers("54,381 and 2.5", "54,318") == {"54381", "2.5"}
