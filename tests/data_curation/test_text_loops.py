"""What compiled loops make of a batch of texts is what plain Python makes of each."""

from __future__ import annotations

import hashlib
import json
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_curation.content_loop import content_hashes
from data_curation.english_loop import ASK_PYTHON, YES
from data_curation.english_loop import plainly_english as judged
from data_curation.json_loop import json_lines
from data_curation.language import plainly_english
from data_curation.normal_loop import normalised_texts, rare_blanks
from data_curation.normalising import normalised
from data_curation.phrases import SIGNS, Phrases

PIECES = [
    " ", "  ", "\t", "\n", "\n\n\n", "\r\n", "\r", "\x0c", "\x0b", "\x01", "\x7f", "\x1c", "\x85", "\xa0", "\u2003",
    "\u2028", "\u3000", "\u200b", "\xad", "\ufeff", "a", "Word", "the", "2019", "-", "--", "- - - - - -", "_____",
    ". . . .", ". . . . .", "=\t=\t=\t=\t=", "*****", "~~~~~~", "•", "• • • • •", "•••••", "…", "é", "É", "e\u0301",
    "Å", "\u212b", "µ", "ß", "ſ", "ﬁ", "İ", "Ã©", "â€™", "Â ", "Ä–", "ü’", "\u0345", "中文", "\uac00",
    "\u1100\u1161", "Ω",
    "\u1e9e", "ǅ", "Ⅷ", "ⓐ", "Ａ", "😀", "٣", "²", "Я", "“quoted”", "\\", '"', "/", "\x08", "\x1f",
]  # fmt: skip
BETWEEN = [" ", "-", "  ", "\xa0", "…", "’", "", "\n"]
ROUND = pytest.mark.parametrize("seed", range(3))


def mixtures(seed: int, count: int = 700, most: int = 90) -> list[str]:
    """Texts of pieces; some longer than a vector, some that differ in one place from a plain one."""
    chance = random.Random(seed)
    made = ["", *PIECES, *(f"{'x' * size}{piece}y" for piece in PIECES for size in (62, 63))]
    made += ["".join(chance.choices(PIECES, k=chance.randint(1, most))) for _ in range(count)]
    return made + [f"{'plain words ' * 9}{one}{' more of them' * 9}" for one in PIECES]


def batch(texts: list[str], start: int = 0) -> pa.Array:
    """In Arrow, behind ``start`` other texts that are no part of it."""
    return pa.array([*["before "] * start, *texts], pa.large_string()).slice(start)


@ROUND
def test_normalised(seed: int) -> None:
    texts = mixtures(seed)
    for one, found in zip(texts, normalised_texts(batch(texts, seed)).to_pylist(), strict=True):
        assert found == normalised(one), repr(one)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(alphabet=" \t\n\r\x0c\xa0\u200b_-.•aé’Ã\u0301", max_size=150), min_size=1, max_size=4))
@example(["_" * 64 + " _", " " * 63 + "\n" * 3, "a" * 62 + "- - - - -"])
def test_normalised_at_every_place(texts: list[str]) -> None:
    assert normalised_texts(batch(texts)).to_pylist() == [normalised(one) for one in texts]


@ROUND
def test_content_is_the_hash_without_case(seed: int) -> None:
    texts = mixtures(seed)
    expected = [hashlib.sha256(one.casefold().encode()).digest()[:16] for one in texts]
    assert content_hashes(batch(texts, seed)) == b"".join(expected)


def test_every_character_is_folded_as_casefold_does() -> None:
    every = [chr(code) for code in range(0x11000) if not 0xD800 <= code < 0xE000]
    expected = [hashlib.sha256(one.casefold().encode()).digest()[:16] for one in every]
    assert content_hashes(batch(every)) == b"".join(expected)
    assert normalised_texts(batch(every)).to_pylist() == [normalised(one) for one in every]


@ROUND
def test_lines_are_what_json_writes(seed: int) -> None:
    texts = mixtures(seed)
    rest = [json.dumps({"source": "a", "metadata": {"n": one[:5]}}, ensure_ascii=False)[1:] for one in texts]
    ids = [one[:7] for one in texts]
    encode = json.JSONEncoder(ensure_ascii=False).encode
    expected = "".join(
        f'{{"id": {encode(one)}, "text": {encode(text)}, {more}\n'
        for one, text, more in zip(ids, texts, rest, strict=True)
    )
    assert bytes(json_lines(batch(ids, seed), batch(texts, seed), batch(rest, seed))) == expected.encode()


@ROUND
def test_blanks_past_ascii_are_seen(seed: int) -> None:
    texts = mixtures(seed)
    expected = [any(one.isspace() and not one.isascii() for one in text) for text in texts]
    assert rare_blanks(batch(texts, seed)).tolist() == expected


@ROUND
def test_english_is_told_as_in_python(seed: int) -> None:
    chance = random.Random(seed)
    cases = yaml.safe_load((Path(__file__).parent / "language_cases.yaml").read_text("utf-8"))
    known = [text for kinds in cases.values() for some in kinds.values() for text in some]
    words = [
        "the",
        "THE",
        "of",
        "and",
        "thé",
        "thex",
        "theſe",
        "which",
        "a",
        "haus",
        "x1y",
        "1the2",
        "the_a",
        "\u212aing",
    ]
    texts = known + [
        "".join(chance.choices([*words, *PIECES, " ", " ", " "], k=chance.randint(1, 80))) for _ in range(900)
    ]
    texts += [" ".join(chance.choices(words[:3] + words[7:10], k=50)) for _ in range(90)]
    told = judged(batch(texts, seed)).tolist()
    for one, found in zip(texts, told, strict=True):
        assert found == ASK_PYTHON or (found == YES) == plainly_english(one), repr(one)
    assert np.mean([one == YES for one in told]) > 0.02 and told.count(ASK_PYTHON) < 0.8 * len(told)


def by_pattern(phrase: str, text: str) -> bool:
    """Whether a text prints a phrase in whole words, by the definition in ``phrases``."""

    def plain(told: str) -> bytes:
        lower = re.sub(b"[A-Z]", lambda one: one[0].lower(), SIGNS.sub(" ", told).encode())
        return b" " + re.sub(rb"[^0-9a-z\x80-\xff]+", b" ", lower).strip() + b" "

    return plain(phrase) in plain(text)


@ROUND
def test_phrases_are_found_in_whole_words(seed: int) -> None:
    chance = random.Random(seed)
    words = ["rent", "rental", "monthly", "10-K", "10", "K", "Größe", "tax", "property", "é", "re", "’s", "–"]
    phrases = ["rent", "monthly rent", "10-k", "property tax", "größe", "rental", "the rent’s", "re", "é tax"]
    texts = ["", *phrases]
    texts += [chance.choice(BETWEEN).join(chance.choices([*words, *BETWEEN], k=12)) for _ in range(900)]
    found = Phrases({one: [one] for one in phrases})
    expected = [sum(by_pattern(one, text) for text in texts) for one in phrases]
    assert found.documents_with(batch(texts, seed)).tolist() == expected and min(expected) > 0
