"""Plain text for continued pretraining and replay: decontaminated, split by document, capped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from contracts.documents import Document
from data_curation.candidates import Book, Candidate
from data_curation.decontamination import Index, Match
from data_curation.splitting import PRETRAINING_HELDOUT_SHARE, entity_key, is_late, position
from recipes.schema import Curation


@dataclass
class Shards:
    """Accepted text of one use, ``pretraining`` or ``replay``."""

    training: list[Document] = field(default_factory=list)
    heldout: list[Document] = field(default_factory=list)

    @property
    def training_chars(self) -> int:
        """Characters that may be trained on."""
        return sum(len(document.text) for document in self.training)


def clean(candidates: list[Candidate], index: Index, book: Book) -> list[Candidate]:
    """Candidates that hold no evaluation text; held-out ones are not looked at."""
    matches = index.find_all(["" if candidate.heldout else candidate.document.text for candidate in candidates])
    for candidate, match in zip(candidates, matches, strict=True):
        if match is not None:
            _reject(candidate, match, book)
    return [candidate for candidate, match in zip(candidates, matches, strict=True) if match is None]


def within_budget(candidates: list[Candidate], max_chars: int, seed: int, book: Book) -> list[Candidate]:
    """A sample of at most ``max_chars``, the same on every run, in reading order; what is over it is written down.

    Its hash is not that of the held-out side: with the same one a small sample would be held out whole.
    """
    chars, chosen = 0, set()
    for candidate in sorted(candidates, key=lambda one: position(seed, f"room/{one.document.id}")):
        if chars + len(candidate.document.text) <= max_chars:
            chars += len(candidate.document.text)
            chosen.add(candidate.document.id)
        else:
            book.reject(candidate, "size", "over_max_pretraining_chars", f"this source's share is {max_chars}")
    return [candidate for candidate in candidates if candidate.document.id in chosen]


def assemble(
    sources: dict[str, list[Candidate]], held: set[str], index: Index, curation: Curation, book: Book
) -> Shards:
    """Shards from the candidates of every source of one use.

    Text about a held-out entity, or dated too late, is never trained on: it joins the held-out side. Of the rest, about
    5 % of the original documents (all parts of one together), at least one where there are two, are held out to measure
    on.
    """
    seen: dict[bytes, str] = {}
    everything = [candidate for candidates in sources.values() for candidate in candidates]
    held_documents = _held_documents(everything, held, curation.seed)
    shards = Shards()
    sides = [bool({c.document.id, _origin(c.document)} & held_documents) or is_late(c.document.date, curation)
             for c in everything]  # fmt: skip
    matches = index.find_all(["" if side else c.document.text for c, side in zip(everything, sides, strict=True)])
    for candidate, heldout, match in zip(everything, sides, matches, strict=True):
        document = candidate.document
        key = hashlib.sha256(document.text.casefold().encode()).digest()
        if key in seen:
            book.reject(candidate, "duplicates", "exact_duplicate", f"of {seen[key]}")
            continue
        if match is not None:
            _reject(candidate, match, book)
            continue
        seen[key] = document.id
        (shards.heldout if heldout else shards.training).append(document)
    return shards


def _reject(candidate: Candidate, match: Match, book: Book) -> None:
    book.reject(candidate, "decontamination", "contaminated", told_of(match))


def told_of(match: Match) -> str:
    """A match in words."""
    return f"{match.coverage:.0%} of {match.item} ({match.ngrams} n-grams): {match.span}"


def _origin(document: Document) -> str:
    """The id of the document that this is a part of."""
    return document.id.partition("@")[0]


def _held_documents(candidates: list[Candidate], held: set[str], seed: int) -> set[str]:
    """Ids (of origins; of parts where there is one origin only) on the held-out side; entities and hashes decide."""
    fixed = {_origin(c.document) for c in candidates if c.named_entity and entity_key(c.document.entity) in held}
    origins = {_origin(c.document) for c in candidates} - fixed
    if len(origins) == 1:
        origins = {c.document.id for c in candidates if _origin(c.document) in origins}
    free = sorted(origins, key=lambda origin: position(seed, origin))
    share = [origin for origin in free if position(seed, origin) < PRETRAINING_HELDOUT_SHARE]
    if not share and len(free) > 1:
        share = free[:1]
    return fixed | set(share[: max(1, len(free) - 1)])
