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
