"""Estimates beside actuals, by artifact: on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import LedgerError
from ledger import Ledger, processes
from ledger.artifact_costs import artifact_costs
from ledger.artifact_estimates import planned_spend, read_artifact_estimates

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def held(
    ledger: Ledger, stage: str, artifact: str, at: datetime, hours: float, code: int = 0, build: str = "b1"
) -> None:
    lease = ledger.open_lease(build, stage, artifact, "cpu", 1, **processes.this_process(), at=at)
    ledger.close(lease.id, code, at=at + hours * HOUR)


def test_two_artifacts_of_one_stage_have_an_estimate_each(ledger: Ledger) -> None:
    ledger.record_estimate("b1", "evaluate:sft", "cpu", 3600.0, 80_000, at=NOON)
    held(ledger, "evaluate:sft", "old", NOON, 1.5)
    ledger.record_estimate("b1", "evaluate:sft", "cpu", 7200.0, 160_000, at=NOON + 4 * HOUR)
    held(ledger, "evaluate:sft", "new", NOON + 4 * HOUR, 1, code=1)
    held(ledger, "evaluate:sft", "new", NOON + 6 * HOUR, 2)
    costs = artifact_costs(ledger, ["old", "new"])
    assert {name: (one.planned_seconds, one.planned_micro_usd, one.device_seconds) for name, one in costs.items()} == {
        "old": (3600.0, 80_000, 5400.0), "new": (7200.0, 160_000, 10_800.0),
    }  # fmt: skip
    by_artifact = {line.group["artifact"]: line for line in planned_spend(ledger, ("artifact",))}
    assert (by_artifact["new"].planned_hours, by_artifact["new"].ratio) == (2.0, pytest.approx(1.5))
    [whole] = planned_spend(ledger, ())
    assert (whole.planned_hours, whole.planned_took_hours, whole.planned_micro_usd) == (3.0, 4.5, 240_000)


def test_what_two_builds_made_has_two_estimates_and_what_none_planned_has_none(ledger: Ledger) -> None:
    ledger.start_build("b2", "finance", "local", "recipe-1", at=NOON)
    for build in ("b1", "b2"):
        ledger.record_estimate(build, "sft", "cpu", 3600.0, None, at=NOON)
        held(ledger, "sft", "same", NOON, 1, build=build)
    held(ledger, "curate", "corpus", NOON, 1)
    ledger.record_estimate("b1", "dpo", "cpu", 60.0, 1, at=NOON)  # planned, and never begun
    costs = artifact_costs(ledger, ["same", "corpus"])
    assert (costs["same"].planned_seconds, costs["same"].planned_micro_usd) == (7200.0, None)
    assert costs["corpus"].planned_seconds is None
    lines = {line.group["stage"]: line for line in planned_spend(ledger, ("stage",))}
    assert set(lines) == {"sft", "curate"}
    assert (lines["curate"].planned_hours, lines["curate"].planned_micro_usd, lines["curate"].ratio) == (None,) * 3


def test_a_clock_set_back_between_estimate_and_lease_loses_no_estimate(ledger: Ledger) -> None:
    ledger.record_estimate("b1", "sft", "cpu", 3600.0, 1, at=NOON + HOUR)
    held(ledger, "sft", "fp", NOON, 1)
    with ledger.reading() as connection:
        assert [(one.artifact, one.device_seconds) for one in read_artifact_estimates(connection)] == [("fp", 3600.0)]


def test_a_plan_is_not_put_under_months(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="cannot be grouped so, got status"):
        planned_spend(ledger, ("stage", "status"))
    with pytest.raises(LedgerError, match="spend: cannot be grouped so, got colour"):
        planned_spend(ledger, ("colour",))
