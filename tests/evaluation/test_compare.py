"""The gate: verdicts, items needed, forgetting, and what it refuses to compare."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.artifacts import Artifact, describe
from contracts.documents import write_jsonl
from contracts.errors import GateError
from contracts.reports import Comparison, Estimate, EvaluationReport, SuiteScore
from evaluation.compare import compare, verdict
from evaluation.scoring import GENERAL, ItemScore
from recipes.stage_sections import CompareSection


def item(number: int, right: bool, task: str = "cover_page") -> ItemScore:
    fields = {"true_positive": 3, "false_positive": 0} if right else {"true_positive": 1, "false_positive": 2}
    return ItemScore.model_validate(
        {"id": f"{task}/{number}", "task": task, "answer": "", "gold": {"a": 1}, "right": right}
        | fields
        | {"false_negative": 0 if right else 2, "invented_numbers": [] if right else ["7"]}
    )


def evaluation(
    folder: Path,
    right: int,
    items: int,
    general_right: int = 0,
    general: int = 0,
    engine: str = "local fp32 cpu",
    other_right: int = 0,
    other: int = 0,
) -> Artifact:
    """An evaluation whose first ``right`` of ``items`` are right; a second task and the general suite likewise."""
    folder.mkdir()
    rows = [item(number, number < right) for number in range(items)]
    rows += [item(number, number < other_right, "statement") for number in range(other)]
    rows += [item(number, number < general_right, GENERAL) for number in range(general)]
    write_jsonl(folder / "items.jsonl", rows)
    suites = {one.task: SuiteScore(task=one.task, items=1, scores={}) for one in rows}
    report = EvaluationReport(model=folder.name, engine=engine, suites=suites, completion_tokens=1, seconds=1.0)
    (folder / "report.json").write_text(report.model_dump_json())
    return describe(folder, "evaluation")


def gate(
    tmp_path: Path, champion: Artifact, challenger: Artifact, metric: str = "field_f1", budget: float | None = None
) -> tuple[Comparison, dict[str, object]]:
    section = CompareSection(
        champion="old",
        challenger="new",
        suite="cover_page",
        metric=metric,
        margin=0.05,
        forgetting_budget=budget,
        bootstrap=500,
    )
    out = tmp_path / "out"
    out.mkdir(parents=True)
    draft, _ = compare(section, {"champion": champion, "challenger": challenger}, out)
    return Comparison.model_validate_json(draft.file("comparison.json").read_text()), draft.metrics


def estimate(value: float, low: float, high: float, n: int = 100) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=n)


def test_verdicts_by_the_interval_and_the_margin() -> None:
    assert verdict(estimate(0.1, 0.02, 0.2), 0.05)[0] == "GO"
    assert verdict(estimate(-0.01, -0.04, 0.02), 0.05)[0] == "GO"
    assert verdict(estimate(-0.2, -0.3, -0.06), 0.05)[0] == "NO-GO"
    assert verdict(estimate(-0.02, -0.1, 0.06), 0.05)[0] == "INCONCLUSIVE"
    assert verdict(estimate(0.5, 0.4, 0.6, n=5), 0.05)[:2] == ("INCONCLUSIVE", 8)


def test_more_invented_numbers_are_a_loss() -> None:
    assert verdict(estimate(0.3, 0.2, 0.4), 0.05, lower_is_better=True)[0] == "NO-GO"
    assert verdict(estimate(-0.3, -0.4, -0.2), 0.05, lower_is_better=True)[0] == "GO"


def test_items_needed_narrow_the_interval_to_the_margin() -> None:
    decided, needed, reason = verdict(estimate(-0.02, -0.08, 0.04, n=100), 0.05)
    # The half width of 0.06 must shrink to the distance of 0.03: half as wide takes four times the items.
    assert (decided, needed) == ("INCONCLUSIVE", 400) and "300 more items" in reason
    assert verdict(estimate(-0.08, -0.14, -0.02, n=100), 0.05)[1] == 400
    assert verdict(estimate(-0.05, -0.1, 0.0, n=100), 0.05)[:2] == ("INCONCLUSIVE", None)


def test_a_better_challenger_goes(tmp_path: Path) -> None:
    found, metrics = gate(tmp_path, evaluation(tmp_path / "old", 5, 40), evaluation(tmp_path / "new", 35, 40))
    assert found.verdict == "GO" and found.items_needed is None
    assert found.difference.value == pytest.approx((35 * 6 + 5 * 2) / (40 * 6) - (5 * 6 + 35 * 2) / (40 * 6), abs=0.03)
    assert found.mcnemar_p == pytest.approx(2 * 0.5**30)
    assert metrics["verdict"] == "GO" and float(str(metrics["retention"])) > 1


def test_a_worse_challenger_stays_out(tmp_path: Path) -> None:
    found, _ = gate(tmp_path, evaluation(tmp_path / "old", 35, 40), evaluation(tmp_path / "new", 5, 40))
    assert found.verdict == "NO-GO"


def test_a_small_loss_on_few_items_is_inconclusive(tmp_path: Path) -> None:
    found, metrics = gate(tmp_path, evaluation(tmp_path / "old", 11, 12), evaluation(tmp_path / "new", 10, 12))
    assert found.verdict == "INCONCLUSIVE" and "more items would settle it" in found.reason
    assert metrics["items_needed"] == found.items_needed and (found.items_needed or 0) > 12


def test_forgetting_beyond_the_budget_is_no_go_though_the_task_gains(tmp_path: Path) -> None:
    champion = evaluation(tmp_path / "old", 5, 40, general_right=50, general=60)
    found, metrics = gate(tmp_path, champion, evaluation(tmp_path / "new", 35, 40, 20, 60), budget=0.1)
    assert found.verdict == "NO-GO" and "forgetting budget" in found.reason
    assert metrics["general_difference"] == pytest.approx(-0.5)


def test_forgetting_within_chance_does_not_stop(tmp_path: Path) -> None:
    champion = evaluation(tmp_path / "old", 5, 40, general_right=9, general=16)
    found, _ = gate(tmp_path, champion, evaluation(tmp_path / "new", 35, 40, 7, 16), budget=0.1)
    assert found.verdict == "GO" and "within chance" in found.reason


def test_forgetting_on_a_handful_of_items_is_not_judged(tmp_path: Path) -> None:
    champion = evaluation(tmp_path / "old", 5, 40, general_right=4, general=4)
    found, _ = gate(tmp_path, champion, evaluation(tmp_path / "new", 35, 40, 0, 4), budget=0.1)
    assert found.verdict == "GO" and "too few to tell" in found.reason


def test_other_items_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="same items"):
        gate(tmp_path, evaluation(tmp_path / "old", 5, 40), evaluation(tmp_path / "new", 5, 39))


def test_two_engines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="one engine"):
        gate(tmp_path, evaluation(tmp_path / "old", 5, 9), evaluation(tmp_path / "new", 5, 9, engine="endpoint"))


def test_the_gate_loads_no_torch() -> None:
    code = "import sys, evaluation.compare; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(shown.replace("'", '"')) == []


def test_models_that_score_alike_on_a_dozen_items_pass_with_what_these_may_have_missed(tmp_path: Path) -> None:
    found, _ = gate(tmp_path, evaluation(tmp_path / "old", 7, 12), evaluation(tmp_path / "new", 7, 12))
    assert found.verdict == "GO" and found.difference.low < -0.05
    assert "all 12 items score alike, so nothing speaks against it; up to 26% of all cases may not" in found.reason
    many, _ = gate(tmp_path / "many", evaluation(tmp_path / "a", 50, 80), evaluation(tmp_path / "b", 50, 80))
    assert many.verdict == "GO" and "no loss beyond the margin" in many.reason


def test_two_models_that_know_nothing_are_no_go_ahead(tmp_path: Path) -> None:
    for number, items in enumerate((12, 80)):  # however sure their equality is
        old, new = evaluation(tmp_path / f"old{number}", 0, items), evaluation(tmp_path / f"new{number}", 0, items)
        found, _ = gate(tmp_path / str(number), old, new, "exact_match")
        assert found.verdict == "INCONCLUSIVE"
        assert found.reason == f"neither scores on any of {items} items: nothing learned"


def test_every_suite_and_metric_is_paired_and_the_tasks_are_joined(tmp_path: Path) -> None:
    champion = evaluation(tmp_path / "old", 5, 12, general_right=3, general=10, other_right=4, other=6)
    challenger = evaluation(tmp_path / "new", 9, 12, general_right=2, general=10, other_right=4, other=6)
    found, _ = gate(tmp_path, champion, challenger)
    changes = {(one.suite, one.metric): one for one in found.changes}
    assert {suite for suite, _ in changes} == {"cover_page", "statement", "general", "all tasks"}
    invented = changes["all tasks", "invented_number_rate"]
    # 7 + 2 of 18 answers were wrong with an invented number, then 3 + 2
    assert (invented.champion, invented.challenger) == (0.5, pytest.approx(5 / 18))
    assert (invented.better, invented.worse, invented.difference.n) == (4, 0, 18)
    assert invented.p == pytest.approx(0.125)
    assert invented.difference.value == pytest.approx(-4 / 18)
    assert (changes["general", "accuracy"].better, changes["general", "accuracy"].worse) == (0, 1)
    assert changes["statement", "field_f1"].p == 1.0
