"""The kernel against plain Python: words, content, figures, n-grams and counts; any batch and worker count."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.answers import numbers
from data_curation import compiled
from data_curation.kernel import Scan, Wanted, ngrams_of, scan, scan_all, texts_of
from data_curation.minhash import band_keys, common_table, hash_parameters
from data_curation.ngram_table import ngram_table
from data_curation.text_statistics import NAMES, statistics_of

WORD = re.compile(r"\w+")
EVERYTHING = Wanted(statistics=True)
SEEN_OFTEN = "aAbB zZ09_  \n\n\t.,!?'\"#{}()-*•…“”’\xa0\u2003ÄäßſİΣΩДд語😀"
TEXTS = st.text(st.one_of(st.characters(exclude_categories=("Cs",)), st.sampled_from(SEEN_OFTEN)), max_size=300)


def scanned(*texts: str, what: Wanted = EVERYTHING) -> Scan:
    return scan(pa.array(texts, pa.large_string()), what)


def folded(text: str) -> str:
    """What equal content means, for texts of ASCII letters."""
    return " ".join(text.lower().split())


@settings(max_examples=150, deadline=None)
@given(TEXTS)
@example("word " * 9_000)
@example("x" * 70_000 + " " + "é" * 70_000)
def test_words_are_those_of_the_expression(text: str) -> None:
    runs = WORD.findall(text)
    if max(map(len, text.split() or [""])) < 8_000:
        assert scanned(text).words[0] == len(runs)
    else:
        assert scanned(text).words[0] >= len(runs), "a run longer than a piece is cut"


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
@example(["... a.... b", "a.b", "the. (and) THE", "lorem ipsum Lorem Ipsum", "Use cookies now. The privacy policy."])
@example(["one two three\n" * 40, "same same same same same", "a\n\na\n\nb\nc\n\nb\nc", 'I said. "No!" he said.\x0b'])
def test_counts_are_those_of_the_reference(texts: list[str]) -> None:
    found = scanned(*texts).statistics
    for text, row in zip(texts, found, strict=True):
        expected = statistics_of(text)
        assert {name: int(row[name]) for name in NAMES} == {name: getattr(expected, name) for name in NAMES}


@settings(max_examples=200, deadline=None)
@given(st.text("aB \n\t.,x", max_size=40), st.text("aB \n\t.,x", max_size=40))
@example("a b", "A\n\n B ")
@example("x" * 33_000 + " b", "x" * 33_000 + "  b")
@example("a" * 16, "a" * 16 + " ")
def test_content_is_equal_where_folded_texts_are(one: str, other: str) -> None:
    found = scanned(one, other).content
    assert (found[0] == found[1]).all() == (folded(one) == folded(other))


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789,. a$%", max_size=30), st.text("0123456789,. a$%", max_size=30))
@example("rent 1,200.50 due", "due 1200.50")
@example("1.2.3 4", "4 3 1.2")
def test_figures_are_equal_where_the_sets_of_numbers_are(one: str, other: str) -> None:
    found = scanned(one, other).figures
    assert (found[0] == found[1]) == (numbers(one) == numbers(other))


def sample(count: int) -> list[str]:
    """Texts of every length from none to some pieces, with letters of one to four bytes."""
    chance = random.Random(5)

    def word() -> str:
        return "".join(chance.choices("abcdefgé語Σ😀1", k=chance.randrange(1, 12)))

    lengths = [chance.randrange(0, 120) * chance.choice((1, 1, 1, 1, 60)) for _ in range(count)]
    return [" ".join(word() for _ in range(length)) for length in lengths]


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (7, 1), (64, 3), (50, 8), (1_000, 2)])
def test_every_cut_into_batches_and_every_number_of_workers_gives_the_same(batch: int, workers: int) -> None:
    texts = pa.array(sample(120), pa.large_string())
    table = ngram_table(ngrams_of(texts[3].as_py() + texts[9].as_py(), 8), (8, 13))
    what = Wanted(ngrams=table, statistics=True, common=common_table(scanned(texts[5].as_py()).shingles[:9]))
    whole = scan(texts, what)
    parts = list(scan_all((texts.slice(at, batch) for at in range(0, 120, batch)), what, workers))
    for name in ("content", "words", "bands", "shingles", "figures", "statistics"):
        together = np.concatenate([getattr(part, name) for part in parts])
        assert (together == getattr(whole, name)).all(), name
    hits = [part.hits.copy() for part in parts]
    for number, one in enumerate(hits):
        one["document"] += number * batch
    assert (np.concatenate(hits) == whole.hits).all() and len(whole.hits)


def test_every_arrow_form_of_a_text_is_read_alike() -> None:
    texts = ["one two three four five six", None, "", "sieben acht neun zehn elf zwölf"]
    plain = pa.array(["", *texts, ""], pa.large_string())
    forms = [
        pa.array(texts), pa.array(texts, pa.large_string()), plain.slice(1, 4), pa.array(texts, pa.string_view()),
        pa.chunked_array([texts[:2], texts[2:]], pa.string()), pa.array(texts).dictionary_encode(),
    ]  # fmt: skip
    contents = [scan(form, Wanted()) for form in forms]
    assert all((one.bands == contents[0].bands).all() and one.words.tolist() == [6, 0, 0, 6] for one in contents)
    assert len(scan(pa.array([], pa.string()), Wanted()).words) == 0
    assert len(scan(pa.chunked_array([], pa.string()), Wanted()).words) == 0


def test_half_a_surrogate_pair_is_no_reason_to_stop() -> None:
    assert texts_of(["fine", "lone \ud800 half"]).to_pylist() == ["fine", "lone ? half"]


def test_bytes_that_are_no_text_are_taken_as_symbols() -> None:
    broken = [
        b"ok \xff\xfe word",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xc3",
        b"\x80" * 200,
        b"\xed\xa0\x80 lone",
        b"\xe2" * 64,
    ]
    texts = pa.array(broken, pa.large_binary()).view(pa.large_string())
    found = scan(texts, EVERYTHING)
    assert found.words.tolist() == [2, 0, 0, 0, 0, 1, 0]
    assert (found.statistics["words"] == [2, 0, 0, 0, 0, 1, 0]).all()


def test_band_keys_are_minima_of_the_stated_hashes() -> None:
    text = " ".join(f"word{number}" for number in range(300))
    found = scanned(text)
    factors, addends = hash_parameters(112)
    shingles = found.shingles_of(0).astype(np.uint64)
    least = [
        int(((shingles * int(factor) + int(addend)) % 2**32).min())
        for factor, addend in zip(factors, addends, strict=True)
    ]
    low, keys = np.zeros(112, np.uint32), np.zeros(14, np.uint64)
    band_keys(found.shingles_of(0), factors, addends, 8, low, keys)
    assert low.tolist() == least and (keys == found.bands[0]).all()
    assert len(found.shingles) == 296 and len(scanned("three words only").shingles) == 1


def test_n_grams_of_the_table_are_found_where_they_stand() -> None:
    item = "the quick brown fox jumps over the lazy dog near the river bank at noon today"
    table = ngram_table(ngrams_of(item, 8), (8, 13))
    found = scanned("nothing here", f"Before all. {item.upper()}! After.", item, what=Wanted(ngrams=table)).hits
    assert found["document"].tolist() == [1] * 9 + [2] * 9
    assert found["word"].tolist() == [*range(2, 11), *range(9)] and set(found["size"]) == {8}
    many = scanned(*[item + " " + item] * 600, what=Wanted(ngrams=table)).hits
    assert len(many) == 600 * 18, "more hits than there is room for at first"


def test_a_change_in_any_loop_changes_the_folder_of_compiled_code(tmp_path: Path) -> None:
    here = Path(compiled.__file__).parent
    loops = {
        path.name for path in here.glob("*.py") if re.search("^@(loop|entry)", path.read_text(encoding="utf-8"), re.M)
    }
    assert loops <= set(compiled.LOOPS), "a file with loops that the cache does not watch"
    code = "from data_curation.compiled import cache_folder; print(cache_folder())"
    home = tmp_path / "home"
    home.mkdir()
    told = subprocess.run(
        [sys.executable, "-c", code], env={"NUMBA_CACHE_DIR": str(tmp_path / "x"), "HOME": str(home)}, cwd=here.parent,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == str(tmp_path / "x" / compiled.cache_folder().name)
