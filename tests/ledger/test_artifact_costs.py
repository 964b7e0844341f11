"""What an artifact cost over all builds: what of it was wasted, repeated, idle, and what hits of it saved."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from contracts.usage import Usage
from ledger import Ledger, processes
from ledger.artifact_costs import artifact_costs, unattributed_micro_usd
from ledger.charges import Adjustment, Expense, adjust, book_expense

HOUR = timedelta(hours=1)


def attempt(ledger: Ledger, build: str, at: datetime, hours: float, worked: float = 0.0, exit_code: int = 0) -> None:
    me = processes.this_process()
    lease = ledger.open_lease(build, "sft", "fp", "h100", 2, **me, at=at)
    usage = Usage(device="h100", device_count=2, device_seconds=worked, tokens_in=10) if worked else None
    ledger.close(lease.id, exit_code, usage, at=at + hours * HOUR)


def test_wasted_repeated_idle_and_saved_are_told_apart(ledger: Ledger, noon: datetime) -> None:
    ledger.load_prices({"h100": [(noon, 1, "list")]})
    for build in ("b2", "b3"):
        ledger.start_build(build, "finance", "local", "recipe-1", at=noon)
    attempt(ledger, "b1", noon, 0.5, exit_code=1)
    attempt(ledger, "b1", noon + HOUR, 2, worked=4 * 3600 - 500)
    attempt(ledger, "b2", noon + 4 * HOUR, 1, worked=2 * 3600 - 20)  # made again, though it was there
    ledger.record_saved("b3", "sft", "fp")
    day = {"period_start": noon, "period_end": noon, "evidence": "sheet", "build_id": "b1"}
    book_expense(ledger, Expense(category="api_tokens", provider="p", micro_usd=7, artifact_fingerprint="fp", **day))
    book_expense(ledger, Expense(category="people", provider="p", micro_usd=30, **day))
    adjust(ledger, Adjustment(reason="credit", micro_usd=-4, **day))
    cost = artifact_costs(ledger, ["fp", "never seen"])["fp"]
    assert (cost.attempts, cost.gpu_seconds, cost.cpu_seconds) == (3, 7 * 3600, 0)
    assert (cost.wasted_seconds, cost.repeated_seconds) == (3600, 7200)
    assert cost.idle_seconds == pytest.approx(520)
    assert cost.saved_seconds == 7200  # what the last good one took
    assert (cost.tokens_in, cost.compute_micro_usd, cost.micro_usd) == (20, 7_000_000, 7_000_007)
    assert unattributed_micro_usd(ledger, "b1") == 26


def test_a_part_without_a_price_makes_the_cost_unknown(ledger: Ledger, noon: datetime) -> None:
    attempt(ledger, "b1", noon, 1)
    cost = artifact_costs(ledger, ["fp"])["fp"]
    assert (cost.compute_micro_usd, cost.micro_usd, cost.energy_joules, cost.utilisation) == (None, None, None, None)
    assert artifact_costs(ledger, []) == {}
