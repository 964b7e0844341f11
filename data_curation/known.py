"""What earlier layers of an inbox decide for the candidates of a new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from data_curation.candidates import Book, Candidate
from data_curation.drop_prints import batches_of
from data_curation.duplicates import Pair
from data_curation.earlier import Earlier, verdict
from data_curation.splitting import entity_key, place
from recipes.schema import Curation


def settled(held: set[str], found: Mapping[str, Iterable[Candidate]], earlier: Earlier, curation: Curation) -> set[str]:
    """Keys of the held-out entities: one that was met before keeps its side, whatever its source."""
    named = {entity_key(c.document.entity) for members in found.values() for c in members if c.named_entity}
    keys = {place(curation.seed, key): key for key in named | held}
    places = (np.array([place(curation.seed, key) for key in sorted(each)], np.uint64) for each in (held, named))
    return {keys[one] for one in earlier.settled(*places).tolist()}


def without_known(
    members: list[Candidate], use: str, by_facts: bool, earlier: Earlier, curation: Curation, book: Book
) -> tuple[list[Candidate], list[Pair]]:
    """Candidates of one source that no earlier layer has accepted; the near-duplicates that fell."""
    known = earlier.known(batches_of(members), use, by_facts, curation)
    for number, seen in sorted(known.items()):
        book.reject(members[number], *verdict(seen, members[number].heldout))
    pairs = [(seen.document, members[number].document.id, round(seen.jaccard, 4))
             for number, seen in sorted(known.items()) if not seen.exact]  # fmt: skip
    return [one for number, one in enumerate(members) if number not in known], pairs
