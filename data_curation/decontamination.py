"""Keeping evaluation texts out of training: n-grams counted by evaluation item, not flagged one by one.

A single shared 13-gram flags half of the text of these fields (form wording). So an item's own n-grams count, those
that many items share do not; a share of them must be found; and where the item has gold values, half of them must
stand in or near the matching span. The kernel finds the n-grams; only texts with some are looked at here.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.answers import atoms, normalise
from contracts.documents import ChatExample
from data_curation.kernel import Wanted, ngrams_of, scan_all, texts_of
from data_curation.ngram_table import ngram_table, slots_of
from recipes.schema import Curation

WORD = re.compile(r"\w+")
SHORT_NGRAM = 8
"""For items shorter than twice the n-gram; items shorter than this many words are not looked for."""
SHARED_ITEMS = 3
"""An n-gram of more items than this (and of more than a tenth of them) is form wording."""
NEAR_WORDS = 50
"""An answer may stand this many words before or behind the span that matches: it often follows its question."""
SHOWN_CHARS = 300
BATCH_DOCUMENTS = 1_024


@dataclass(frozen=True)
class Item:
    """One evaluation text: how many n-grams are its own, and its gold values."""

    identity: str
    ngrams: int
    gold: frozenset[str]


@dataclass(frozen=True)
class Match:
    """Why a document is held to contain an evaluation text."""

    item: str
    coverage: float
    """Share of the item's own n-grams that stand in the document."""
    ngrams: int
    """How many of them."""
    span: str
    """From the first to the last n-gram that matches, cut to 300 characters."""


class Index:
    """The evaluation items, ready to be looked for."""

    def __init__(self, examples: Sequence[ChatExample], curation: Curation) -> None:
        self.coverage = curation.decontamination_coverage
        self.size = curation.decontamination_words
        texts = {example.document_id: example for example in examples}
        raw = [(example, self._ngrams_of_item(example.context)) for example in texts.values()]
        spread = Counter(ngram for _, ngrams in raw for ngram in ngrams)
        shared = {one for one, count in spread.items() if count > max(SHARED_ITEMS, 0.1 * len(raw))}
        own = [(example, ngrams - shared) for example, ngrams in raw if ngrams - shared]
        self.items = [Item(example.id, len(ngrams), _gold(example)) for example, ngrams in own]
        distinct = np.array(sorted({ngram for _, ngrams in own for ngram in ngrams}), np.uint64)
        table = ngram_table(distinct, (self.size, SHORT_NGRAM))
        self.owners: dict[int, list[int]] = {}
        for number, (_, ngrams) in enumerate(own):
            for slot in slots_of(table.keys, np.array(list(ngrams), np.uint64)).tolist():
                self.owners.setdefault(slot, []).append(number)
        self._wanted = Wanted(shingle_words=0, bands=0, rows=0, ngrams=table, figures=False)

    def find(self, text: str) -> Match | None:
        """The evaluation item that a training text contains, None for a clean text."""
        return self.find_all([text])[0]

    def find_all(self, texts: Sequence[str], workers: int = 1) -> list[Match | None]:
        """``find`` for every text, a batch at a time."""
        if not self.items:
            return [None] * len(texts)
        starts = range(0, len(texts), BATCH_DOCUMENTS)
        found: list[Match | None] = [None] * len(texts)
        for number, match in self.find_in((texts_of(texts[one : one + BATCH_DOCUMENTS]) for one in starts), workers):
            found[number] = match
        return found

    def find_in(self, batches: Iterable[pa.Array], workers: int = 1) -> Iterator[tuple[int, Match]]:
        """``find`` for texts in batches: the number of each that is not clean, counted over all, and its match."""
        if not self.items:
            return
        ahead: deque[pa.Array] = deque()
        first = 0
        for scanned in scan_all(_noted(batches, ahead), self._wanted, workers):
            texts = ahead.popleft()
            documents, starts = np.unique(scanned.hits["document"], return_index=True)
            ends = [*starts.tolist(), len(scanned.hits)][1:]
            for document, start, end in zip(documents.tolist(), starts.tolist(), ends, strict=True):
                match = self._judged(texts[document].as_py(), scanned.hits[start:end])
                if match is not None:
                    yield first + document, match
            first += len(texts)

    def _judged(self, text: str, hits: NDArray[Any]) -> Match | None:
        """The item of which most n-grams are found, if it is enough of them and its answer is there."""
        counts: Counter[int] = Counter()
        spans: dict[int, tuple[int, int]] = {}
        seen: set[int] = set()
        for _, word, size, slot in hits.tolist():
            for number in self.owners[slot]:
                counts[number] += slot not in seen
                begin, end = spans.get(number, (word, 0))
                spans[number] = begin, max(end, word + size - 1)
            seen.add(slot)
        likely = [number for number, count in counts.items() if count >= self.coverage * self.items[number].ngrams]
        if not likely:
            return None
        words = [word.span() for word in WORD.finditer(text)]
        last = len(words) - 1
        for number in sorted(likely, key=lambda one: (-counts[one] / self.items[one].ngrams, one)):
            item, (begin, end) = self.items[number], spans[number]
            near = text[words[max(0, begin - NEAR_WORDS)][0] : words[min(last, end + NEAR_WORDS)][1]]
            if _answers(item, near):
                span = text[words[begin][0] : words[min(last, end)][1]][:SHOWN_CHARS]
                return Match(item.identity, counts[number] / item.ngrams, counts[number], span)
        return None

    def _ngrams_of_item(self, text: str) -> set[int]:
        size = self.size if len(WORD.findall(text)) >= 2 * self.size else SHORT_NGRAM
        return set(ngrams_of(text, size).tolist())


def _noted(batches: Iterable[pa.Array], into: deque[pa.Array]) -> Iterator[pa.Array]:
    for batch in batches:
        into.append(batch)
        yield batch


def _gold(example: ChatExample) -> frozenset[str]:
    values = {value for _, value in atoms(example.gold or {})}
    return frozenset(value for value in values if len(value) > 1)


def _answers(item: Item, text: str) -> bool:
    folded = normalise(text)
    return 2 * sum(value in folded for value in item.gold) >= len(item.gold)
