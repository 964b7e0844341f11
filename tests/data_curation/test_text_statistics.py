"""The counts that quality rules are made of, on texts small enough to count by hand."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_curation.kernel import counts_of, texts_of
from data_curation.text_statistics import NAMES, ROW, TextStatistics, rows_of, statistics_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" \n\t ", {"characters": 4, "newlines": 1}),
        (
            "The rent | 12 | due",
            {"tokens": 6, "words": 4, "word_characters": 12, "alphabetic_words": 3, "stop_words": 1},
        ),
        ("(The) the THE, of.", {"words": 4, "stop_words": 2}),
        ("# a ## b", {"hashes": 3, "tokens": 4, "words": 2}),
        ("so on... and on.... and on…", {"ellipses": 3, "ellipsis_lines": 1, "lines": 1}),
        ("• one\n- two\nthree\n\n", {"lines": 3, "bullet_lines": 2, "newlines": 4, "short_lines": 3}),
        ("same line\nother\n Same Line \n\nsame line", {"duplicate_lines": 2, "duplicate_line_characters": 18}),
        ("a b\n\nc\n\n\n\na b", {"paragraphs": 3, "duplicate_paragraphs": 1, "duplicate_paragraph_characters": 3}),
        ("He left. She stayed! Why?", {"c4_sentences": 3, "terminal_lines": 1}),
        ("Too short.\nno end mark here\nIt goes on and on...", {"c4_sentences": 0, "terminal_lines": 2}),
        ("We show it with JavaScript here.\nRead our Privacy Policy now.", {"c4_sentences": 0}),
        ("One line of 3.5 percent is kept.", {"c4_sentences": 1}),
        ("x {y} {z} Lorem Ipsum", {"curly_brackets": 2, "lorem_ipsum": 1}),
        ("red ink red ink red pen", {"top_2gram_characters": 14, "top_3gram_characters": 22}),
        ("A B a b", {"top_2gram_characters": 6, "top_3gram_characters": 0}),
        ("no word twice", {"top_2gram_characters": 0}),
        ("a b c d e f a b c d e f", {"duplicate_5gram_characters": 5, "duplicate_6gram_characters": 6}),
        ("x x x x x x x x x x x x", {"duplicate_5gram_characters": 10, "top_2gram_characters": 33}),
        ("Größe — größer", {"words": 2, "word_characters": 11, "symbol_characters": 1, "visible_characters": 12}),
    ],
)  # fmt: skip
def test_counts(text: str, expected: dict[str, int]) -> None:
    found = statistics_of(text)
    assert {name: getattr(found, name) for name in expected} == expected


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(alphabet='abTHE be\n.#•…-1{é"’)', max_size=120), min_size=1, max_size=6))
def test_the_kernel_counts_as_the_definitions_say(texts: list[str]) -> None:
    assert counts_of(texts_of(texts)).tolist() == rows_of([statistics_of(text) for text in texts]).tolist()


@pytest.mark.shared
@pytest.mark.parametrize("file", ["finance/sec_finance_filings", "real_estate/uk_approved_documents"])
def test_the_kernel_counts_real_documents_as_the_definitions_say(shared_data: Path, file: str) -> None:
    with (shared_data / file / "data.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"][:60_000] for line in islice(lines, 3)]
    assert counts_of(texts_of(texts)).tolist() == rows_of([statistics_of(text) for text in texts]).tolist()


def test_an_empty_text_counts_nothing() -> None:
    assert statistics_of("") == TextStatistics()


def test_the_row_has_the_records_fields() -> None:
    one = statistics_of("He left. She stayed.\n\nHe left.")
    row = rows_of([one])[0]
    assert ROW.names == NAMES
    assert {name: int(row[name]) for name in NAMES} == {name: getattr(one, name) for name in NAMES}


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet='ab \n.|-•…#é\t"', max_size=80))
def test_parts_never_exceed_their_whole(text: str) -> None:
    found = statistics_of(text)
    assert found.alphabetic_words <= found.words <= found.tokens
    assert found.word_characters <= found.visible_characters <= found.characters
    assert found.duplicate_lines < max(1, found.lines) and found.duplicate_paragraphs < max(1, found.paragraphs)
    for kind in ("bullet_lines", "ellipsis_lines", "terminal_lines", "short_lines"):
        assert getattr(found, kind) <= found.lines
    for size in range(5, 11):
        assert getattr(found, f"duplicate_{size}gram_characters") <= found.word_characters
