"""Plain text for continued pretraining and replay: decontaminated, split by document, capped."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data_curation.candidates import Book
from data_curation.decontamination import Index, Match
from data_curation.splitting import PRETRAINING_HELDOUT_SHARE, U64, place, position, positions
from data_curation.spool import Mask, Spool
from recipes.schema import Curation


def clean(spool: Spool, index: Index, book: Book, workers: int = 1) -> None:
    """Let the documents fall that hold evaluation text; held-out ones are not looked at."""
    looked_at = spool.stays & ~spool.heldout
    _reject(spool, _matches(spool, looked_at, index, workers), book)


def within_budget(spool: Spool, max_chars: int, seed: int, book: Book) -> None:
    """A sample of at most ``max_chars``, the same on every run; what is over it is written down.

    Its hash is not that of the held-out side: with the same one a small sample would be held out whole.
    """
    chars, numbers = spool.facts["chars"], spool.numbers
    if chars[numbers].sum() <= max_chars:
        return
    rooms = np.concatenate(
        [[position(seed, f"room/{one}") for one in batch["id"].to_pylist()] for _, batch in spool.batches("id")]
    )
    room = max_chars
    over = spool.stays.copy()
    for number in numbers[np.argsort(rooms, kind="stable")]:
        if chars[number] <= room:
            room -= int(chars[number])
            over[number] = False
    why = "size", "over_max_pretraining_chars", f"this source's share is {max_chars}"
    spool.reject(over, lambda *_: why, book)


def assemble(
    sources: Mapping[str, Spool], held: U64, index: Index, curation: Curation, book: Book, workers: int = 1
) -> None:
    """Put every document of the sources of one use on its side of the split, or let it fall.

    Text about a held-out entity, or dated too late, is never trained on: it joins the held-out side. Of the rest, about
    5 % of the original documents (all parts of one together), at least one where there are two, are held out to measure
    on. Training text that holds evaluation text falls.
    """
    if sources:
        _hold_out(list(sources.values()), held, curation.seed)
    for spool in sources.values():
        spool.heldout |= spool.facts["late"]
        _reject(spool, _matches(spool, spool.stays & ~spool.heldout, index, workers), book)


def _matches(spool: Spool, looked_at: Mask, index: Index, workers: int) -> dict[int, Match]:
    """Number of a document to the evaluation text in it."""
    numbers = np.flatnonzero(looked_at)
    return {int(numbers[at]): match for at, match in index.find_in(spool.texts(looked_at), workers)}


def _reject(spool: Spool, matches: Mapping[int, Match], book: Book) -> None:
    fallen = np.zeros(len(spool), np.bool_)
    fallen[list(matches)] = True
    spool.reject(fallen, lambda number, _: ("decontamination", "contaminated", told_of(matches[number])), book)


def told_of(match: Match) -> str:
    """A match in words."""
    return f"{match.coverage:.0%} of {match.item} ({match.ngrams} n-grams): {match.span}"


def _hold_out(spools: list[Spool], held: U64, seed: int) -> None:
    """Set the held-out side by the entities in ``held`` and by the hashes of origins.

    Where there is one free origin only, by those of its parts.
    """
    of_held = [spool.stays & (spool.facts["named"] != 0) & np.isin(spool.facts["entity"], held) for spool in spools]
    origins = [spool.facts["origin"] for spool in spools]
    fixed = np.unique(np.concatenate([each[mask] for each, mask in zip(origins, of_held, strict=True)]))
    free = [spool.stays & ~np.isin(each, fixed) for spool, each in zip(spools, origins, strict=True)]
    places = np.unique(np.concatenate([each[mask] for each, mask in zip(origins, free, strict=True)]))
    if len(places) == 1:
        origins = [_parts(spool, seed) for spool in spools]
        places = np.unique(np.concatenate([each[mask] for each, mask in zip(origins, free, strict=True)]))
    count = int(np.count_nonzero(positions(places) < PRETRAINING_HELDOUT_SHARE))
    if not count and len(places) > 1:
        count = 1
    chosen = places[: min(count, max(1, len(places) - 1))]
    for spool, mask, each in zip(spools, free, origins, strict=True):
        spool.heldout = (spool.stays & ~mask) | (mask & np.isin(each, chosen))


def _parts(spool: Spool, seed: int) -> U64:
    """The places of the documents' own ids."""
    found = np.zeros(len(spool), np.uint64)
    for numbers, batch in spool.batches("id"):
        found[numbers] = [place(seed, one) for one in batch["id"].to_pylist()]
    return found
