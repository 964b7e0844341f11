"""A corpus with known copies: real English sentences put together anew, and some of the documents planted again.

Who is whose copy is written down as the documents are made, by no method that is measured. Sentences come from jsonl
files (any fields with prose in them); without any, from the house's own texts, which are few: their words are then
shuffled into new sentences.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import recipes

HOUSE_TEXTS = Path(recipes.__file__).parent / "general" / "texts.jsonl"
WORD = re.compile(r"\w+")
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
SENTENCE_WORDS = (8, 40)
DOCUMENT_WORDS = (150, 600)
FEW_SENTENCES = 5_000
EXACT, EDITED = 0.05, 0.05
"""Shares of documents that are copies of an earlier one: to the letter, and with 2 % of their words replaced."""
EDITED_WORDS = 0.02
GROUP_ROWS = 4_096
SCHEMA = pa.schema(
    [("text", pa.large_string()), ("copy_of", pa.int64()), ("kind", pa.string()), ("jaccard", pa.float64())]
)  # fmt: skip
SHINGLE_WORDS = 5


def sentences(folder: Path | None, most_bytes: int = 200_000_000) -> list[str]:
    """Distinct sentences of ``folder``'s jsonl files, at most ``most_bytes`` of lines read."""
    files = sorted(folder.rglob("*.jsonl")) if folder else [HOUSE_TEXTS]
    found: dict[str, None] = {}
    read = 0
    for file in files:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                read += len(line)
                for text in _strings(json.loads(line)):
                    for sentence in SENTENCE.split(text):
                        if SENTENCE_WORDS[0] <= len(sentence.split()) <= SENTENCE_WORDS[1] and sentence[0].isupper():
                            found.setdefault(" ".join(sentence.split()))
                if read > most_bytes:
                    return list(found)
    return list(found)


def write_corpus(path: Path, documents: int, pool: list[str], seed: int = 1) -> None:
    """``documents`` rows of SCHEMA as Parquet; ``copy_of`` is the row that a copy was made from, -1 for an original.

    ``jaccard`` is a copy's likeness to that row, 1 for an original.
    """
    chance = random.Random(seed)
    words = [word for sentence in pool for word in sentence.split()]
    if len(pool) < FEW_SENTENCES:
        pool = [" ".join(chance.choices(words, k=chance.randint(*SENTENCE_WORDS))) + "." for _ in range(FEW_SENTENCES)]
    kept: list[tuple[int, str]] = []
    with pq.ParquetWriter(path, SCHEMA) as out:
        rows: list[tuple[str, int, str, float]] = []
        for number in range(documents):
            draw = chance.random()
            if kept and draw < EXACT + EDITED:
                of, text = chance.choice(kept)
                if draw < EXACT:
                    rows.append((text, of, "exact", 1.0))
                else:
                    other = edited(text, words, chance)
                    rows.append((other, of, "edited", jaccard(text, other)))
            else:
                text = _document(pool, chance)
                rows.append((text, -1, "original", 1.0))
                _keep(kept, (number, text), chance)
            if len(rows) == GROUP_ROWS or number == documents - 1:
                out.write_table(pa.table(list(map(list, zip(*rows, strict=True))), schema=SCHEMA))
                rows = []


def edited(text: str, words: list[str], chance: random.Random) -> str:
    """The text with 2 % of its words, at least one, replaced by other words."""
    parts = text.split(" ")
    for place in chance.sample(range(len(parts)), max(1, round(EDITED_WORDS * len(parts)))):
        parts[place] = chance.choice(words)
    return " ".join(parts)


def jaccard(one: str, other: str) -> float:
    """Of the sets of words in a row, by Python's strings alone: truth that no method helped to make."""
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / len(first | second)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = WORD.findall(text.lower())
    return set(zip(*(words[start:] for start in range(SHINGLE_WORDS)), strict=False))


def _document(pool: list[str], chance: random.Random) -> str:
    wanted, chosen, count = chance.randint(*DOCUMENT_WORDS), [], 0
    while count < wanted:
        chosen.append(chance.choice(pool))
        count += chosen[-1].count(" ") + 1
    return " ".join(chosen)


def _keep(kept: list[tuple[int, str]], one: tuple[int, str], chance: random.Random, room: int = 20_000) -> None:
    """A sample of the originals to copy from, so that memory does not grow with the corpus."""
    if len(kept) < room:
        kept.append(one)
    else:
        kept[chance.randrange(room)] = one


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
