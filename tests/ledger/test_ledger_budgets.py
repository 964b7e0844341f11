"""Budgets: what is refused, reserved, warned of and stopped, on both databases and with many at once."""

from __future__ import annotations

import logging
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.errors import BudgetError, LedgerError
from ledger import Ledger, build_totals, processes
from ledger.budget_state import period_bounds
from ledger.budgets import budget_states, refuse_plan, reserved_now, set_budget, stop_if_overspent, withdraw_budget
from ledger.charges import Expense, book_expense
from ledger.leases import STOPPED_EXIT_CODE, Lease
from tests.ledger.conftest import Rows

HOUR = timedelta(hours=1)
FORK = multiprocessing.get_context("fork")


def priced(ledger: Ledger, noon: datetime) -> None:
    """One USD an hour."""
    ledger.load_prices({"h100": [(noon - timedelta(days=100), 1, "list")]})


def begin(ledger: Ledger, at: datetime, usd: float | None = None, build: str = "b1", stage: str = "sft") -> Lease:
    expected = None if usd is None else round(usd * 1e6)
    me = processes.this_process()
    return ledger.open_lease(build, stage, f"fp-{at}", "h100", 1, **me, at=at, expected_micro_usd=expected)


def test_a_stage_that_would_pass_the_budget_is_refused_and_leaves_a_note(
    ledger: Ledger, noon: datetime, rows: Rows
) -> None:
    priced(ledger, noon)
    set_budget(ledger, "q1", 10, scope="vertical", scope_value="finance", period="quarter")
    first = begin(ledger, noon, 6.0)
    with pytest.raises(
        BudgetError, match=r"budget q1: vertical finance may spend 10.00 USD a quarter, 0.0000 spent and 6.0"
    ):
        begin(ledger, noon, 4.5)
    begin(ledger, noon, 4.0)
    assert rows("SELECT kind, micro_usd, stage FROM budget_event WHERE kind = 'refused'") == [
        ("refused", 4_500_000, "sft")
    ]
    # The first took one hour only: what it had reserved beyond that is free again.
    ledger.close(first.id, 0, at=noon + HOUR)
    [state] = budget_states(ledger, noon)
    assert (state.spent_micro_usd, state.reserved_micro_usd) == (1_000_000, 4_000_000)
    begin(ledger, noon + HOUR, 4.5)
    assert rows("SELECT count(*) FROM lease") == [(3,)]


def test_a_running_lease_counts_what_it_reserved_or_what_it_costs_whichever_is_more(
    ledger: Ledger, noon: datetime
) -> None:
    priced(ledger, noon)
    set_budget(ledger, "all", 10)
    lease = begin(ledger, noon, 2.0)
    for hours, spent, reserved in ((1, 1_000_000, 1_000_000), (5, 5_000_000, 0)):
        ledger.beat(lease.id, noon + hours * HOUR)
        [state] = budget_states(ledger, noon)
        assert (state.spent_micro_usd, state.reserved_micro_usd) == (spent, reserved)
        assert reserved_now(ledger, noon) == {"all": reserved}
    ledger.close(begin(ledger, noon, 3.0, stage="dpo").id, 0)
    assert reserved_now(ledger, noon) == {"all": 0}, "what has ended reserves nothing"


def test_scopes_and_periods_count_only_what_is_theirs(ledger: Ledger, noon: datetime) -> None:
    priced(ledger, noon)
    ledger.start_build("b2", "finance", "local", "r", at=noon, team="risk")
    ledger.start_build("b3", "real_estate", "local", "r", at=noon, team="risk")
    night = datetime(2026, 3, 31, 22, tzinfo=UTC)
    for number, build in enumerate(("b1", "b2", "b3")):
        lease = begin(ledger, night, build=build, stage=f"s{number}")
        ledger.close(lease.id, 0, at=night + 4 * HOUR)  # two hours of March, two of April
    day = {"period_start": night, "period_end": night, "evidence": "contract 7", "provider": "labels"}
    book_expense(ledger, Expense(category="annotation", micro_usd=500_000, build_id="b2", **day))
    for name, scope, value, period in (
        ("everything", "all", "", "total"), ("march", "all", "", "month"), ("quarter", "all", "", "quarter"),
        ("finance", "vertical", "finance", "total"), ("risk", "team", "risk", "month"), ("one", "build", "b2", "total"),
    ):  # fmt: skip
        set_budget(ledger, name, 100, scope=scope, scope_value=value, period=period)
    spent = {state.name: state.spent_micro_usd / 1e6 for state in budget_states(ledger, night)}
    assert spent == {"everything": 12.5, "march": 6.5, "quarter": 6.5, "finance": 8.5, "risk": 4.5, "one": 4.5}
    spent = {state.name: state.spent_micro_usd / 1e6 for state in budget_states(ledger, night + 5 * HOUR)}
    assert spent == {"everything": 12.5, "march": 6.0, "quarter": 6.0, "finance": 8.5, "risk": 4.0, "one": 4.5}


def test_quarters_are_calendar_quarters() -> None:
    bounds = [period_bounds("quarter", datetime(2026, month, 15, tzinfo=UTC)) for month in (1, 6, 12)]
    assert [(start.month, end.month, end.year) for start, end in bounds] == [(1, 4, 2026), (4, 7, 2026), (10, 1, 2027)]


def test_policies(ledger: Ledger, noon: datetime, rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    priced(ledger, noon)
    set_budget(ledger, "soft", 3, policy="warn", warn_share=0.5)
    with caplog.at_level(logging.WARNING):
        lease = begin(ledger, noon, 1.0)
        assert caplog.text == ""
        begin(ledger, noon + HOUR, 5.0, stage="dpo")  # told, not refused
    assert "budget soft: all builds may spend 3.00 USD in all, 200 % is committed" in caplog.text
    set_budget(ledger, "hard", 2, policy="stop")
    lease = Lease(**{**vars(lease), "boot_id": "another boot"})  # its clock is the wall clock, months later
    ledger._leases[lease.id] = lease
    with pytest.raises(BudgetError, match=r"budget hard: .* for stage sft, stopped at a checkpoint") as caught:
        stop_if_overspent(ledger, lease)
    assert "what is complete stays" in str(caught.value)
    assert {row[0] for row in rows("SELECT kind FROM budget_event")} == {"reserved", "warned", "stopped"}
    ledger.close(lease.id, STOPPED_EXIT_CODE)
    assert rows(f"SELECT status FROM lease_span WHERE lease_id = '{lease.id}'") == [("stopped",)]
    assert build_totals(ledger, "b1").wasted_seconds == 0
    with pytest.raises(BudgetError, match="budget hard"):
        begin(ledger, noon + 2 * HOUR)  # nothing is left: even what has no estimate does not start


def test_a_plan_is_refused_before_anything_starts(ledger: Ledger, noon: datetime) -> None:
    set_budget(ledger, "hard", 2, scope="team", scope_value="risk", period="month")
    refuse_plan(ledger, "finance", "other", 5_000_000)
    refuse_plan(ledger, "finance", "risk", 2_000_000)
    with pytest.raises(BudgetError, match=r"2.1000 USD more for this plan of finance.*\n\nhint: raise it with"):
        refuse_plan(ledger, "finance", "risk", 2_100_000)


def test_a_changed_budget_keeps_its_past_and_a_withdrawn_one_binds_no_more(
    ledger: Ledger, noon: datetime, rows: Rows
) -> None:
    priced(ledger, noon)
    set_budget(ledger, "all", 1)
    begin(ledger, noon, 0.9)
    set_budget(ledger, "all", 1.5)
    with pytest.raises(BudgetError, match=r"0\.9000 reserved"):
        begin(ledger, noon, 0.7)
    withdraw_budget(ledger, "all")
    begin(ledger, noon, 1000.0)
    assert budget_states(ledger) == []
    assert rows("SELECT micro_usd FROM budget ORDER BY id") == [(1_000_000,), (1_500_000,), (None,)]
    with pytest.raises(LedgerError, match="budget all: is not in force"):
        withdraw_budget(ledger, "all")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"name": " "}, "needs a name"),
        ({"usd": -1}, "must be an amount of USD, zero or more, got -1"),
        ({"usd": "ten"}, "must be an amount of USD"),
        ({"scope": "team"}, "must name what it is over"),
        ({"scope_value": "finance"}, "must name what it is over"),
        ({"scope": "city", "scope_value": "x"}, "has a scope that is not known, got city"),
        ({"period": "year"}, "has a period that is not known"),
        ({"policy": "shout"}, "has a policy that is not known"),
        ({"warn_share": 1.5}, "must warn at a share"),
    ],
)
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_budget_that_makes_no_sense_is_refused(ledger: Ledger, words: dict[str, object], told: str) -> None:
    with pytest.raises(LedgerError, match=told):
        set_budget(ledger, **({"name": "q1", "usd": 5} | words))  # type: ignore[arg-type]


def _race(url: str, spool: Path, number: int, noon: datetime) -> None:
    ledger = Ledger.open(url, spool=spool)
    try:
        begin(ledger, noon, 1.0, stage=f"s{number}")
    except BudgetError:
        raise SystemExit(3) from None


def test_of_many_that_reserve_at_once_only_as_many_start_as_the_budget_bears(
    ledger: Ledger, url: str, spool: Path, noon: datetime
) -> None:
    priced(ledger, noon)
    set_budget(ledger, "all", 5)
    racers = [FORK.Process(target=_race, args=(url, spool, number, noon)) for number in range(12)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(racer.exitcode or 0 for racer in racers) == [0] * 5 + [3] * 7
    assert budget_states(ledger, noon)[0].reserved_micro_usd == 5_000_000
