"""The curation card as data: what came in, what stayed, what went and why. Shares are 0..1."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.reports import Report


class SourceCount(Report):
    """What happened to one source's documents: ``read`` equals accepted plus all rejected."""

    source: str
    licence: str
    synthetic: bool
    read: int
    accepted: int
    rejected: dict[str, int]
    """Reason to count."""
    accepted_chars: int
    near_duplicate_clusters: int = 0
    accepted_tokens: int = 0
    """Here and below: runs of characters between white space."""
    rejected_tokens: dict[str, int] = Field(default_factory=dict)
    """Reason to tokens."""


class Covered(Report):
    """One name of the vertical's ontology, and how many accepted documents cover it."""

    kind: Literal["concept", "regulation", "jurisdiction", "period"]
    name: str
    documents: int
    required: int = 0
    source: str = ""


class LengthBin(Report):
    """Documents of ``least_chars`` up to twice as many characters."""

    least_chars: int
    accepted: int
    rejected: int


class TextCounts(Report):
    """What the texts of one source held, as read. Counts of places, never values."""

    personal_data: dict[str, int]
    """Kind to places that went."""
    kept: dict[str, int]
    """Identifier to places that looked like personal data and stayed; ``gold``: values that a task needs."""
    languages: dict[str, int]
    """ISO 639 code to documents; ``und``: too short to tell."""
    numbers_before: int
    numbers_after: int
    """Numbers in the text before and after personal data was taken out."""
    action: str = ""
    """What is done to personal data: ``mask``, ``reject`` or ``keep``."""
    quality: dict[str, list[int]] = Field(default_factory=dict)
    """Measure to documents by tenths of its range: first those that kept the quality rules, then those that fell."""


class NearDuplicates(Report):
    """How near-duplicates were looked for within one source and in the others, and what it lost to them."""

    compared: int
    removed: int
    of_other_sources: int = 0
    """How many of the removed repeat a document of another source that came with them."""
    clusters: int
    """Of two documents or more, within the source."""
    ceiling: float
    """The share of the compared that a source may lose; above it the stage fails."""
    figures_tell_apart: bool
    """Documents with different figures are no copies."""
    boilerplate: int
    """Runs of words that stand in so many of the source's documents that they do not count."""


class SplitSides(Report):
    """Both sides of the split, as they were checked over the files that were written."""

    training: int
    heldout: int
    exam_documents: int
    """Documents of which evaluation items are made."""
    exam_entities: int
    """What these documents are about: nothing on them is trained on."""
    holdout_from: str = ""
    """Documents dated from then on are not trained on."""


class EvaluationTexts(Report):
    """What was looked for in the text to train on."""

    items: dict[str, int]
    """Task to evaluation texts."""
    words: int
    """Length of the n-grams."""
    coverage: float
    """Share of an item's own n-grams from which on a document falls."""


class LayerLine(Report):
    """What the drops brought that came to an inbox together."""

    drops: list[str]
    read: int
    accepted: int
    rejected: int
    accepted_tokens: int


class CurationCard(Report):
    """What came in, what stayed, what went and why."""

    sources: list[SourceCount]
    quarantined: dict[str, str]
    """File to its error."""
    train_examples: dict[str, int]
    student_examples: dict[str, int] = Field(default_factory=dict)
    """Further examples that only students learn from."""
    eval_examples: dict[str, int]
    pairs: dict[str, int]
    pretraining_chars: int
    replay_chars: int
    licences: dict[str, int]
    duplicate_samples: list[tuple[str, str, float]]
    """Kept id, removed id, Jaccard similarity."""
    cluster_alarms: list[str] = Field(default_factory=list)
    """Clusters of near-duplicates too large to pass unseen."""
    example_rejects: dict[str, int] = Field(default_factory=dict)
    """``task: reason`` to the number of examples that were not made."""
    missing: list[str] = Field(default_factory=list)
    """Sources of the recipe that this corpus does not hold."""
    texts: dict[str, TextCounts] = Field(default_factory=dict)
    """Source to what its texts held."""
    coverage: list[Covered] = Field(default_factory=list)
    places_and_years: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Jurisdiction to year to accepted documents."""
    lengths: list[LengthBin] = Field(default_factory=list)
    vertical: str = ""
    explanations: dict[str, str] = Field(default_factory=dict)
    """Reason to what it means, with the thresholds in force."""
    near_duplicates: dict[str, NearDuplicates] = Field(default_factory=dict)
    """By source."""
    split: SplitSides | None = None
    evaluation_texts: EvaluationTexts | None = None
    layers: list[LayerLine] = Field(default_factory=list)
    """Of an inbox: what each of its layers brought, in order; samples and pairs are of the last one."""
