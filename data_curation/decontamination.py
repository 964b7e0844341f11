"""Keeping evaluation texts out of training: n-grams counted by evaluation item, not flagged one by one.

A single shared 13-gram flags half of the text of these fields (form wording). So an item's own n-grams count, those
that many items share do not; a share of them must be found; and where the item has gold values, half of them must
stand in the text as well.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass

from contracts.answers import atoms, normalise
from contracts.documents import ChatExample
from recipes.schema import Curation

WORD = re.compile(r"\w+")
SHORT_NGRAM = 8
"""For items shorter than twice the n-gram; items shorter than this many words are not looked for."""
SHARED_ITEMS = 3
"""An n-gram of more items than this (and of more than a tenth of them) is form wording."""


@dataclass(frozen=True)
class Item:
    """One evaluation text with its n-grams."""

    identity: str
    ngrams: frozenset[int]
    gold: frozenset[str]


@dataclass(frozen=True)
class Match:
    """Why a document is held to contain an evaluation text."""

    item: str
    coverage: float
    span: str


class Index:
    """The evaluation items, ready to be looked for."""

    def __init__(self, examples: list[ChatExample], curation: Curation) -> None:
        self.coverage = curation.decontamination_coverage
        self.size = curation.decontamination_words
        texts = {example.document_id: example for example in examples}
        raw = [(example, self._ngrams_of_item(example.context)) for example in texts.values()]
        spread = Counter(ngram for _, ngrams in raw for ngram in ngrams)
        shared = {one for one, count in spread.items() if count > max(SHARED_ITEMS, 0.1 * len(raw))}
        self.items = [
            Item(example.id, frozenset(ngrams - shared), _gold(example)) for example, ngrams in raw if ngrams - shared
        ]
        self.owners: dict[int, list[int]] = {}
        for number, item in enumerate(self.items):
            for ngram in item.ngrams:
                self.owners.setdefault(ngram, []).append(number)

    def find(self, text: str) -> Match | None:
        """The evaluation item that a training text contains, None for a clean text."""
        spans = list(WORD.finditer(text))
        words = [span.group().casefold() for span in spans]
        hits: Counter[int] = Counter()
        first_last: dict[int, tuple[int, int]] = {}
        seen: set[int] = set()
        for size in {self.size, SHORT_NGRAM}:
            for start in range(len(words) - size + 1):
                ngram = _hash(words[start : start + size])
                for number in self.owners.get(ngram, ()):
                    if ngram not in seen:
                        hits[number] += 1
                    begin, _ = first_last.get(number, (start, start))
                    first_last[number] = (begin, start + size - 1)
                seen.add(ngram)
        for number, count in hits.most_common():
            item = self.items[number]
            coverage = count / len(item.ngrams)
            if coverage >= self.coverage and _answers(item, text):
                begin, end = first_last[number]
                return Match(item.identity, coverage, text[spans[begin].start() : spans[end].end()][:300])
        return None

    def _ngrams_of_item(self, text: str) -> set[int]:
        words = [word.casefold() for word in WORD.findall(text)]
        size = self.size if len(words) >= 2 * self.size else SHORT_NGRAM
        return {_hash(words[start : start + size]) for start in range(len(words) - size + 1)}


def _hash(words: list[str]) -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest(), "big")


def _gold(example: ChatExample) -> frozenset[str]:
    values = {value for _, value in atoms(example.gold or {})}
    return frozenset(value for value in values if len(value) > 1)


def _answers(item: Item, text: str) -> bool:
    folded = normalise(text)
    return 2 * sum(value in folded for value in item.gold) >= len(item.gold)
