"""What earlier layers of an inbox decide for the documents of a new one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from data_curation.candidates import Book
from data_curation.drop_prints import Batch
from data_curation.duplicates import Pair
from data_curation.earlier import Earlier, verdict
from data_curation.splitting import U64
from data_curation.spool import Spool
from recipes.schema import Curation


def settled(held: U64, spools: Iterable[Spool], earlier: Earlier) -> U64:
    """Places of the held-out entities, sorted: one that was met before keeps its side, whatever its source."""
    named = [spool.facts["entity"][spool.stays & (spool.facts["named"] != 0)] for spool in spools]
    return earlier.settled(held, np.unique(np.concatenate([np.zeros(0, np.uint64), *named])))


def drop_known(spool: Spool, use: str, by_facts: bool, earlier: Earlier, curation: Curation, book: Book) -> list[Pair]:
    """Let the documents fall that an earlier layer has accepted; the near-duplicates among them."""
    numbers = spool.numbers
    known = {int(numbers[at]): seen for at, seen in
             earlier.known(_batches(spool), use, by_facts, curation, book.removed).items()}  # fmt: skip
    pairs = [(seen.document, spool.identity(number), round(seen.jaccard, 4))
             for number, seen in sorted(known.items()) if not seen.exact]  # fmt: skip
    fallen = np.zeros(len(spool), np.bool_)
    fallen[list(known)] = True
    spool.reject(fallen, lambda number, _: verdict(known[number], bool(spool.heldout[number])), book)
    return pairs


def _batches(spool: Spool) -> Iterator[Batch]:
    for numbers, batch in spool.batches("id", "text"):
        yield Batch(batch["id"].to_pylist(), batch["text"], spool.facts["named"][numbers], spool.heldout[numbers])
