"""Stage ``compare``: a gate. A challenger against a champion on the same items: GO, NO-GO or INCONCLUSIVE.

Output: comparison.json (``Comparison``). Numpy alone; no model is loaded.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from contracts.artifacts import Artifact, describe
from contracts.errors import GateError
from contracts.reports import EVERY_TASK, Change, Comparison, Estimate, Verdict
from contracts.stage import stage_main
from contracts.usage import Usage
from evaluation.evaluate import read_items, read_report
from evaluation.intervals import paired_difference, paired_ratio, sign_test, unseen_share
from evaluation.scoring import FIELD_METRICS, GENERAL, LOWER_IS_BETTER, ItemScore, columns
from recipes.stage_sections import CompareSection

CODE_VERSION = "2"
LEAST_ITEMS = 8
"""Below this a bootstrap interval means nothing: the verdict is INCONCLUSIVE whatever the difference."""
MOST_ITEMS = 1_000_000
"""A need beyond it is not stated: the difference lies on the margin."""


def compare(section: CompareSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``champion`` and ``challenger`` evaluations in, kind ``comparison`` out.

    Metrics: ``verdict``, ``difference``, ``low``, ``high``, ``mcnemar_p``, ``items_needed``, ``retention`` (challenger
    over champion) with ``retention_low`` and ``retention_high``, ``general_difference`` where a budget was given.
    """
    champion, challenger = inputs["champion"], inputs["challenger"]
    _refuse_two_engines(champion, challenger)
    before, after = paired(champion, challenger, section.suite)
    counts_before, statistic = columns(before, section.metric)
    counts_after, _ = columns(after, section.metric)
    drawn = (counts_before, counts_after, statistic, section.bootstrap, section.seed)
    difference, retention = paired_difference(*drawn), paired_ratio(*drawn)
    scores = statistic(counts_before), statistic(counts_after)
    lower_is_better = section.metric in LOWER_IS_BETTER
    alike = bool(np.array_equal(*scores))
    decided, needed, reason = verdict(difference, section.margin, lower_is_better, alike)
    if alike and not lower_is_better and not scores[1].any() and decided == "GO":
        decided, needed, reason = (
            "INCONCLUSIVE",
            None,
            f"neither scores on any of {difference.n} items: nothing learned",
        )
    general = _general(section, champion, challenger)
    if general is not None and section.forgetting_budget is not None:
        decided, reason = forgetting(general, section.forgetting_budget, decided, reason)
    comparison = Comparison(
        champion=section.champion,
        challenger=section.challenger,
        metric=section.metric,
        suite=section.suite,
        difference=difference,
        mcnemar_p=_mcnemar(before, after),
        verdict=decided,
        items_needed=needed if decided == "INCONCLUSIVE" else None,
        reason=reason,
        changes=changes(section, champion, challenger),
    )
    (out_dir / "comparison.json").write_text(comparison.model_dump_json(indent=2), encoding="utf-8")
    return describe(out_dir, "comparison", _metrics(comparison, retention, general)), Usage()


def verdict(
    difference: Estimate, margin: float, lower_is_better: bool = False, alike: bool = False
) -> tuple[Verdict, int | None, str]:
    """GO where the whole interval lies above minus the margin, NO-GO where it lies below, else INCONCLUSIVE.

    Models that score ``alike`` on every item are a GO as well: no item speaks against the challenger. The reason then
    says what so few items may have missed (``unseen_share``). Returns the verdict, the items that would settle it
    (the interval narrows with the root of their number) and why.
    """
    sign = -1 if lower_is_better else 1
    value = sign * difference.value
    low, high = sorted((sign * difference.low, sign * difference.high))
    shown = f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] on {difference.n} items"
    if difference.n < LEAST_ITEMS:
        return "INCONCLUSIVE", LEAST_ITEMS, f"{shown}: fewer than {LEAST_ITEMS} items decide nothing"
    if low > -margin:
        return "GO", None, f"{shown}: no loss beyond the margin of {margin:g}"
    if high < -margin:
        return "NO-GO", None, f"{shown}: a loss beyond the margin of {margin:g}"
    if alike:
        unseen = f"up to {unseen_share(difference.n):.0%} of all cases may not"
        return "GO", None, f"all {difference.n} items score alike, so nothing speaks against it; {unseen}"
    distance = abs(value + margin)
    width = value - low if value > -margin else high - value
    wanted = difference.n * (width / distance) ** 2 if distance > 0 else math.inf
    if wanted > MOST_ITEMS:
        return "INCONCLUSIVE", None, f"{shown}: the difference lies on the margin of {margin:g}"
    needed = max(difference.n + 1, math.ceil(wanted))
    more = needed - difference.n
    return "INCONCLUSIVE", needed, f"{shown}: {more} more items would settle it at this difference"


def forgetting(general: Estimate, budget: float, decided: Verdict, reason: str) -> tuple[Verdict, str]:
    """NO-GO where the loss of general accuracy is beyond the budget with its whole interval."""
    shown = f"general accuracy {general.value:+.3f} [{general.low:+.3f}, {general.high:+.3f}] on {general.n} items"
    if general.n < LEAST_ITEMS:
        return decided, f"{reason}; {shown}: too few to tell forgetting"
    if general.high < -budget:
        return "NO-GO", f"{shown}: a loss beyond the forgetting budget of {budget:g}; {reason}"
    if general.value < -budget:
        return decided, f"{reason}; {shown}: beyond the forgetting budget of {budget:g}, but within chance"
    return decided, f"{reason}; {shown}: within the forgetting budget of {budget:g}"


def paired(champion: Artifact, challenger: Artifact, suite: str) -> tuple[list[ItemScore], list[ItemScore]]:
    """The suite's items of both, in the same order; raises GateError where they were not asked the same."""
    before = {one.id: one for one in read_items(champion) if one.task == suite}
    after = {one.id: one for one in read_items(challenger) if one.task == suite}
    differing = sorted(before.keys() ^ after.keys())
    differing += [one for one in before.keys() & after.keys() if before[one].gold != after[one].gold]
    if differing or not before:
        raise GateError(
            f"suite {suite}",
            "must hold the same items on both sides",
            got=f"{len(before)} and {len(after)}, {len(differing)} of them differ ({', '.join(differing[:3])})",
            hint="evaluate both models on the same corpus",
        )
    return list(before.values()), [after[one] for one in before]


def changes(section: CompareSection, champion: Artifact, challenger: Artifact) -> list[Change]:
    """Every metric of every suite, paired; the vertical's tasks together too, where there are several.

    A single task's dozen items rarely tell two models apart; one rate over all of them is the better witness.
    """
    shared = [name for name in read_report(champion).suites if name in read_report(challenger).suites]
    pairs = {name: paired(champion, challenger, name) for name in shared}
    tasks = [name for name in shared if name != GENERAL]
    if len(tasks) > 1:
        before, after = ([one for name in tasks for one in pairs[name][side]] for side in (0, 1))
        pairs[EVERY_TASK] = before, after
    return [
        _change(section, name, metric, *sides)
        for name, sides in pairs.items()
        for metric in (("accuracy",) if name == GENERAL else FIELD_METRICS)
        if metric != "numeric_match" or any(one.numeric for one in sides[0])
    ]


def _change(
    section: CompareSection, suite: str, metric: str, before: list[ItemScore], after: list[ItemScore]
) -> Change:
    counts_before, statistic = columns(before, metric)
    counts_after, _ = columns(after, metric)
    gained = statistic(counts_after) - statistic(counts_before)
    better, worse = int((gained > 0).sum()), int((gained < 0).sum())
    if metric in LOWER_IS_BETTER:
        better, worse = worse, better
    return Change(
        suite=suite,
        metric=metric,
        champion=float(statistic(counts_before.sum(0, keepdims=True))[0]),
        challenger=float(statistic(counts_after.sum(0, keepdims=True))[0]),
        difference=paired_difference(counts_before, counts_after, statistic, section.bootstrap, section.seed),
        better=better,
        worse=worse,
        p=sign_test(better, worse),
    )


def _mcnemar(before: list[ItemScore], after: list[ItemScore]) -> float:
    """Exact, on items answered wholly right or not."""
    pairs = [(one.right, other.right) for one, other in zip(before, after, strict=True)]
    return sign_test(pairs.count((False, True)), pairs.count((True, False)))


def _general(section: CompareSection, champion: Artifact, challenger: Artifact) -> Estimate | None:
    if section.forgetting_budget is None or GENERAL not in read_report(champion).suites:
        return None
    before, after = paired(champion, challenger, GENERAL)
    counts_before, statistic = columns(before, "accuracy")
    counts_after, _ = columns(after, "accuracy")
    return paired_difference(counts_before, counts_after, statistic, section.bootstrap, section.seed)


def _refuse_two_engines(champion: Artifact, challenger: Artifact) -> None:
    engines = read_report(champion).engine, read_report(challenger).engine
    if engines[0] != engines[1]:
        hint = "evaluate both with the same engine; a difference of engines looks like one of models"
        raise GateError("comparison", "needs one engine for both sides", got=" and ".join(engines), hint=hint)


def _metrics(comparison: Comparison, retention: Estimate | None, general: Estimate | None) -> dict[str, Any]:
    difference = comparison.difference
    figures: dict[str, Any] = {
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "mcnemar_p": comparison.mcnemar_p,
        "items_needed": comparison.items_needed,
    }
    if retention is not None:
        figures |= {"retention": retention.value, "retention_low": retention.low, "retention_high": retention.high}
    if general is not None:
        figures["general_difference"] = general.value
    return figures


if __name__ == "__main__":
    stage_main(compare, CompareSection)
