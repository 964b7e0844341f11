"""The curation card as markdown, for a run's artifact: what the page says, without its charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contracts.artifacts import Artifact
from contracts.curation_report import CurationCard
from data_curation import card_samples
from data_curation.card_samples import Samples
from data_curation.quarantine import NOTE

MOST = 12
SHOWN_CHARS = 240


def markdown(vertical: str, artifact: Artifact) -> str:
    """What came in, what stayed, what went and why, with samples; what is covered and what is missing."""
    card = CurationCard.model_validate_json(artifact.file("card.json").read_text(encoding="utf-8"))
    samples = card_samples.read(artifact.path)
    parts = (
        _head(vertical, artifact, card), _reasons(card, samples), _near(card, samples), _exam(card, samples),
        _coverage(card), _texts(card), _quarantine(card),
    )  # fmt: skip
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(vertical: str, artifact: Artifact, card: CurationCard) -> Iterator[str]:
    read, accepted = sum(one.read for one in card.sources), sum(one.accepted for one in card.sources)
    yield f"# Curated: {_cell(vertical)}\n"
    yield f"{read:,} documents read = {accepted:,} accepted + {read - accepted:,} rejected.\n"
    if len(card.layers) > 1:
        last = card.layers[-1]
        yield f"The last drops, {_cell(', '.join(last.drops))}, brought {last.read:,}: {last.accepted:,} accepted.\n"
    yield f"Card: `{artifact.path}/card.html`\n"
    yield from _table(
        ("source", "licence", "read", "accepted", "rejected", "tokens before", "tokens kept"),
        [(one.source + ", written" * one.synthetic, one.licence, one.read, one.accepted, one.read - one.accepted,
          one.accepted_tokens + sum(one.rejected_tokens.values()), one.accepted_tokens) for one in card.sources],
    )  # fmt: skip


def _reasons(card: CurationCard, samples: Samples) -> Iterator[str]:
    documents: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    sources: dict[str, list[str]] = {}
    for source in card.sources:
        documents.update(source.rejected)
        tokens.update(source.rejected_tokens)
        for reason, number in source.rejected.items():
            sources.setdefault(reason, []).append(f"{source.source} {number:,}")
    if documents:
        yield "\n## Why documents fell\n"
        rows = [(reason, number, tokens[reason]) for reason, number in documents.most_common()]
        yield from _table(("reason", "documents", "tokens"), rows)
        yield ""
        for reason, _ in documents.most_common():
            told = card.explanations.get(reason, "")
            yield f"- **{_cell(reason)}** ({_cell(', '.join(sources[reason]))}){': ' + _cell(told) if told else ''}"
    if samples.removed:
        yield "\n### Samples of what fell\n"
        for one in samples.removed:
            yield f"- **{_cell(one.reason)}** {_cell(one.id)}{', ' + _cell(_short(one.detail)) if one.detail else ''}"
            yield f"  > {_cell(_short(one.text)) or '(no text)'}"


def _near(card: CurationCard, samples: Samples) -> Iterator[str]:
    if card.near_duplicates:
        yield "\n## Near-duplicates\n"
        yield from _table(
            ("source", "compared", "removed", "of other sources", "ceiling", "clusters"),
            [(name, one.compared, one.removed, one.of_other_sources, f"{one.ceiling:.0%}", one.clusters)
             for name, one in card.near_duplicates.items()],
        )  # fmt: skip
    for alarm in card.cluster_alarms:
        yield f"\n**A large cluster, to be looked at:** {_cell(alarm)}\n"
    if samples.sizes:
        told = ", ".join(f"{number:,} of {size:,}" for size, number in samples.sizes.items())
        yield f"\nClusters by documents: {told}.\n"
    if samples.pairs:
        yield "\n### The least alike that were taken for copies\n"
        for one in samples.pairs:
            yield f"- Jaccard {one.jaccard:.3f}: kept {_cell(one.kept)}, removed {_cell(one.removed)}"
            yield f"  > kept: {_cell(_short(one.kept_text))}\n  >\n  > removed: {_cell(_short(one.removed_text))}"


def _exam(card: CurationCard, samples: Samples) -> Iterator[str]:
    if card.split:
        yield "\n## Split and evaluation texts\n"
        yield f"{card.split.training:,} documents to train on, {card.split.heldout:,} held out; the exam is of "
        yield f"{card.split.exam_documents:,} documents and {card.split.exam_entities:,} entities. Nothing of it is"
        yield "trained on, and no near-duplicate lies across the split: the stage would have failed.\n"
    for one in samples.leaks:
        yield f"- {_cell(one.id)} held {one.share} of the evaluation text {_cell(one.item)}"
        yield f"  > {_cell(_short(one.span))}"


def _coverage(card: CurationCard) -> Iterator[str]:
    missing = [one.name for one in card.coverage if not one.documents]
    if card.coverage:
        covered = len(card.coverage) - len(missing)
        yield f"\n## Coverage\n\nCovers {covered} of {len(card.coverage)} names of the ontology."
        yield f"Missing: {_cell(', '.join(missing)) or 'none'}.\n"
        for kind in dict.fromkeys(one.kind for one in card.coverage):
            told = (
                f"{_cell(one.name)} {one.documents:,}" for one in card.coverage if one.kind == kind and one.documents
            )
            yield f"- {kind}s: {', '.join(told) or 'none'}"


def _texts(card: CurationCard) -> Iterator[str]:
    found, stayed, languages = (
        _summed(getattr(one, field) for one in card.texts.values()) for field in ("personal_data", "kept", "languages")
    )
    before = sum(one.numbers_before for one in card.texts.values())
    after = sum(one.numbers_after for one in card.texts.values())
    if card.texts:
        yield "\n## Personal data, languages, licences\n"
        yield f"- found: {_told(found)}; looked like it and stayed: {_told(stayed)}"
        yield f"- numbers that survive: {after:,} of {before:,}"
        yield f"- languages: {_told(languages)}"
        yield f"- licences of what was accepted: {_told(card.licences)}"


def _quarantine(card: CurationCard) -> Iterator[str]:
    unread = {file: error for file, error in card.quarantined.items() if error != NOTE}
    if unread:
        yield f"\n**In quarantine: {len(unread):,}**\n"
        for file, error in list(unread.items())[:MOST]:
            yield f"- {_cell(file)}: {_cell(error)}"
    if card.missing:
        yield f"\nSources of the recipe that this corpus does not hold: {_cell(', '.join(card.missing))}."


def _summed(tables: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for table in tables:
        total.update(table)
    return dict(total.most_common())


def _told(table: Mapping[str, int]) -> str:
    return ", ".join(f"{_cell(name)} {number:,}" for name, number in table.items()) or "none"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(f"{one:,}" if isinstance(one, int) else _cell(str(one)) for one in row) + " |"


def _short(text: str) -> str:
    """The beginning of a text, on one line."""
    told = " ".join(text.split())
    return told if len(told) <= SHOWN_CHARS else told[:SHOWN_CHARS] + " ..."


def _cell(text: str) -> str:
    """Text that markdown reads as text."""
    told = " ".join(text.split())
    for sign in "\\`*_[]<>|":
        told = told.replace(sign, f"\\{sign}")
    return told
