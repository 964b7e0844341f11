"""What stages report to people, as data. Field names carry their units; shares are 0..1."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["GO", "NO-GO", "INCONCLUSIVE"]


class Report(BaseModel):
    """Base of all reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Report):
    """A figure with its 95 % interval over ``n`` items."""

    value: float
    low: float
    high: float
    n: int = Field(ge=0)


class SuiteScore(Report):
    """One suite's scores for one model. Rates are over items, ``field_f1`` is micro-averaged over fields."""

    task: str
    items: int
    scores: dict[str, Estimate]
    """``exact_match``, ``field_f1``, ``numeric_match``, ``valid_json``, ``invented_number_rate``, ``stopped``; a
    general suite has ``accuracy``."""


class EvaluationReport(Report):
    """Every suite's scores for one model in the chain."""

    model: str
    engine: str
    suites: dict[str, SuiteScore]
    completion_tokens: int
    seconds: float


EVERY_TASK = "all tasks"
"""The suite of a ``Change`` over every task of the vertical."""


class Change(Report):
    """One metric of one suite, a challenger against a champion on the same items."""

    suite: str
    metric: str
    champion: float
    challenger: float
    difference: Estimate
    """Challenger minus champion, bootstrap interval over paired items."""
    better: int
    """Items on which the challenger does better; of a rate of faults, those it no longer has."""
    worse: int
    p: float
    """Exact sign test of ``better`` against ``worse``; on rates it is McNemar's."""


class Comparison(Report):
    """A challenger against a champion, paired on the same items."""

    champion: str
    challenger: str
    metric: str
    suite: str
    difference: Estimate
    """Challenger minus champion, bootstrap interval over paired items."""
    mcnemar_p: float | None = None
    """Exact, on items answered wholly right or not."""
    verdict: Verdict
    items_needed: int | None = None
    """In all, these among them."""
    reason: str
    changes: list[Change] = Field(default_factory=list)
    """Every suite and metric; the verdict rests on ``difference`` and the forgetting budget alone."""


class Check(Report):
    """One verdict on a candidate. A candidate falls by the first that it does not pass."""

    kind: Literal["licence", "context", "memory", "tokenizer", "architecture", "cost"]
    passed: bool
    """Nothing known speaks against the candidate."""
    reason: str


class Candidate(Report):
    """One base model that selection looked at."""

    model: str
    licence: str
    verdict: Literal["chosen", "kept", "rejected"]
    reason: str
    params_b: float
    present: bool
    bits_per_byte: float | None = None
    zero_shot: float | None = None
    train_usd: float | None = None
    serve_usd_per_1m_tokens: float | None = None
    checks: list[Check] = Field(default_factory=list)
    """Every verdict with its reason, in the order in which they decide."""

    @property
    def fall(self) -> Check | None:
        """The first check not passed."""
        return next((check for check in self.checks if not check.passed), None)


class SelectionReport(Report):
    """Why this base."""

    chosen: str
    why: str
    candidates: list[Candidate]


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
    """How near-duplicates were looked for within one source, and what it lost to them."""

    compared: int
    removed: int
    clusters: int
    """Of two documents or more."""
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
    student_examples: dict[str, int] = {}
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


class Spread(Report):
    """One figure over the repeats of a cell: its median, the least and the most."""

    median: float
    least: float
    most: float
    repeats: int = Field(ge=1)

    @property
    def share(self) -> float:
        """How far the repeats lie apart, as a share of the median; 0 where the median is 0."""
        return (self.most - self.least) / self.median if self.median else 0.0


class LoadPoint(Report):
    """One cell of a serving sweep. Latencies in milliseconds.

    Of a cell that was repeated, rates and latencies are medians over the repeats; completed, failed, output_tokens and
    preemptions are sums; prefix_cache_hit_share and contention are the worst seen.
    """

    kind: Literal["concurrency", "rate"]
    load: float
    """Streams, or requests per second offered."""
    completed: int
    failed: int
    output_tokens: int
    request_per_second: float
    output_tokens_per_second: float
    total_tokens_per_second: float
    ttft_ms: dict[str, float]
    """``p50``, ``p90``, ``p99``."""
    tpot_ms: dict[str, float]
    itl_ms: dict[str, float]
    e2e_ms: dict[str, float]
    goodput_request_per_second: float | None = None
    prefix_cache_hit_share: float | None = None
    preemptions: int | None = None
    queue_ms_mean: float | None = None
    """Mean time a request waited inside the engine before it ran."""
    contention: dict[str, float] = Field(default_factory=dict)
    repeats: int = Field(1, ge=1)
    spreads: dict[str, Spread] = Field(default_factory=dict)
    """Over the repeats; names as here, latencies with their percentile: ``ttft_ms_p50``."""
    within_slo: Estimate | None = None
    """Share of requests within the SLO, of all repeats together; Wilson interval."""

    @property
    def name(self) -> str:
        """The load for people: ``4 streams``, ``0.5 requests/s``."""
        return load_name(self.kind, self.load)


def load_name(kind: str, load: float) -> str:
    """A load for people: ``4 streams``, ``0.5 requests/s``."""
    one = "request" if kind == "rate" else "stream"
    return f"{load:g} {one if load == 1 else one + 's'}" + ("/s" if kind == "rate" else "")


class Knee(Report):
    """The highest load of one sweep at which enough requests keep the SLO."""

    kind: Literal["concurrency", "rate"]
    asked: float = Field(gt=0, le=1)
    """The share of requests that must keep it."""
    load: float | None = None
    """None: no load of the sweep held it."""
    within_slo: Estimate | None = None
    """At ``load``; where none held it, the best that was seen."""
    next_load: float | None = None
    """The next higher load of the sweep, which did not hold it; None: the knee is the highest load tried."""
    next_within_slo: Estimate | None = None
    missed_below: tuple[float, ...] = ()
    """Lower loads that did not hold it although ``load`` did: too few requests, or a noisy machine."""
    certain: bool = False
    """The intervals at the knee and above it lie wholly on their side of ``asked``."""

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        share = "" if self.within_slo is None else f"{_percent(self.within_slo.value)} of {self.within_slo.n} requests"
        if self.load is None:
            loads = "rates" if self.kind == "rate" else "concurrencies"
            told = f"none of the {loads} held it: at best {share} within the SLO, {_percent(self.asked)} asked"
        else:
            told = f"{load_name(self.kind, self.load)}: {share} within the SLO, {_percent(self.asked)} asked"
            if self.next_load is None:
                told += "; the highest load tried, so the knee is there or above"
            elif self.next_within_slo is not None:
                missed = _percent(self.next_within_slo.value)
                told += f"; at {load_name(self.kind, self.next_load)} {missed}"
        if self.missed_below:
            missed = ", ".join(load_name(self.kind, load) for load in self.missed_below)
            return f"{told}; {missed} missed it all the same, so the knee is not certain"
        if not self.certain:
            seen = [share for share in (self.within_slo, self.next_within_slo) if share is not None]
            intervals = " and ".join(f"{_percent(share.low)} to {_percent(share.high)}" for share in seen)
            told += f"; too few requests to be sure (95 % interval {intervals})"
        return told


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


class ServingCard(Report):
    """One model as served: what it does under load, with what settings."""

    model: str
    engine: str
    engine_version: str
    device: str
    dtype: str
    flags: list[str]
    golden_ids_equal: bool
    seconds_to_ready: float
    points: list[LoadPoint]
    slo: str
    usd_per_1m_output_tokens: float | None = None
    notes: list[str] = Field(default_factory=list)
    knees: list[Knee] = Field(default_factory=list)
    """One a sweep: request rates first, then concurrency."""
    disagreements: list[str] = Field(default_factory=list)
    """Cells whose repeats lie too far apart, in words: the machine was noisy."""
