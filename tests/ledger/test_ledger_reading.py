"""A ledger read by who may only look, and its charges broken down: the same sums as the reports', on both databases."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from contracts.errors import LedgerError
from ledger import Ledger, processes
from ledger.breakdown import Scope, bounds, break_down, over_time, total, unit_for, within
from ledger.budgets import budget_states, set_budget
from ledger.burn_down import burns
from ledger.charges import Adjustment, Expense, adjust, book_expense
from ledger.plan_errors import by_stage, planned, typical_factor
from ledger.reading import open_for_reading
from ledger.running import held_now
from ledger.snapshot import EMPTY, Snapshot, snapshot
from ledger.spend import spend
from tests.ledger.test_ledger_migration import earlier

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FORK = multiprocessing.get_context("fork")


def held(
    ledger: Ledger, at: datetime, hours: float, stage: str = "sft", device: str = "h100", build: str = "b1",
    exit_code: int | None = 0, share: Fraction = Fraction(1), count: int = 1,
) -> str:  # fmt: skip
    me = processes.this_process()
    lease = ledger.open_lease(build, stage, f"fp-{stage}", device, count, **me, at=at, share=share)
    ledger.beat(lease.id, at=at + hours * HOUR)
    if exit_code is not None:
        ledger.close(lease.id, exit_code, at=at + hours * HOUR)
    return lease.id


@pytest.fixture
def busy(ledger: Ledger, noon: datetime) -> Ledger:
    """Leases over a price change, a month's end and a day's, one wasted, one of a share, one without a price."""
    ledger.load_prices({"h100": [(noon - 40 * DAY, "3.000001", "list"), (noon + 5 * HOUR, 2, "list")],
                        "cpu": [(noon - 40 * DAY, "0.08", "list")]})  # fmt: skip
    ledger.start_build("c2", "real_estate", "smoke", "r", at=noon + DAY, team="homes")
    held(ledger, noon, 40)
    held(ledger, noon + 10 * HOUR, 3, "dpo", exit_code=1)
    held(ledger, noon - 20 * HOUR, 15, "cpt", share=Fraction(2, 7), count=3)
    held(ledger, noon + DAY, 7, "curate", "cpu", "c2")
    book_expense(ledger, Expense(period_start=noon, period_end=noon + DAY, micro_usd=1_000_001, evidence="e",
                                 category="people", provider="us", vertical="real_estate"))  # fmt: skip
    adjust(
        ledger, Adjustment(period_start=noon, period_end=noon, micro_usd=-400, evidence="e", reason="r", build_id="b1")
    )
    return ledger


def test_the_breakdown_is_what_the_reports_say(busy: Ledger) -> None:
    told = snapshot(busy)
    for by, key in (
        ("stage", lambda row: row.stage),
        ("vertical", lambda row: row.vertical),
        ("device", lambda row: row.item),
    ):
        lines = {line.group[by]: line for line in spend(busy, (by,))}
        sums = break_down(told.charges, key)
        assert set(sums) == set(lines)
        for name, line in lines.items():
            assert sums[name].micro_usd == line.micro_usd, name
            assert sums[name].gpu_hours == pytest.approx(line.gpu_hours)
            assert sums[name].wasted_gpu_hours + sums[name].wasted_cpu_hours == pytest.approx(line.wasted_hours)
    assert total(within(told.charges, Scope())).wasted_micro_usd == 3 * 2_000_000


@pytest.mark.parametrize("unit", ["hour", "day", "month"])
def test_time_is_cut_and_nothing_is_lost(busy: Ledger, unit: str, noon: datetime) -> None:
    told = snapshot(busy)
    whole = total(within(told.charges, Scope()))
    parts = over_time(told.charges, lambda row: row.stage, unit)  # type: ignore[arg-type]
    assert sum(one.known_micro_usd for one in parts.groups.values()) == pytest.approx(
        whole.known_micro_usd, abs=len(parts.groups)
    )
    assert sum(one.gpu_hours for one in parts.groups.values()) == pytest.approx(whole.gpu_hours)
    assert sum(one.known_micro_usd for one in parts.whole.values()) == pytest.approx(whole.known_micro_usd, abs=40)
    cuts = [noon - 30 * DAY, noon + 4 * HOUR, noon + 5 * HOUR + timedelta(microseconds=1), noon + 30 * DAY]
    pieces = [total(within(told.charges, Scope(start=start, end=end))) for start, end in pairwise(cuts)]
    assert sum(one.known_micro_usd for one in pieces) == pytest.approx(whole.known_micro_usd, abs=3)
    assert sum(one.cpu_hours for one in pieces) == pytest.approx(whole.cpu_hours)


def test_the_scope_holds_for_verticals_teams_scales_and_builds(busy: Ledger, noon: datetime) -> None:
    told = snapshot(busy)
    assert total(within(told.charges, Scope(vertical="real_estate"))).micro_usd == 7 * 80_000 + 1_000_001
    assert total(within(told.charges, Scope(team="homes"))).micro_usd == 7 * 80_000
    assert total(within(told.charges, Scope(scale="smoke"))).cpu_hours == 7
    assert total(within(told.charges, Scope(build="c"))).cpu_hours == 7
    assert total(within(told.charges, Scope(vertical="nobody's"))).micro_usd == 0
    assert bounds(within(told.charges, Scope(vertical="nobody's"))) is None
    assert bounds(within(told.charges, Scope(build="c2"))) == (noon + DAY, noon + DAY + 7 * HOUR)


def test_what_has_no_price_is_unknown(ledger: Ledger, noon: datetime) -> None:
    held(ledger, noon, 2, device="mystery")
    spent = total(within(snapshot(ledger).charges, Scope()))
    assert (spent.micro_usd, spent.known_micro_usd, spent.unpriced_hours) == (None, 0, 2)


def test_units_follow_the_length() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert [unit_for(start, start + days * DAY) for days in (1, 30, 365)] == ["hour", "day", "month"]


def test_a_snapshot_is_read_again_only_after_a_booking(busy: Ledger, noon: datetime) -> None:
    first = snapshot(busy)
    assert snapshot(busy, first) is first
    held(busy, noon + 3 * DAY, 1)
    assert len(snapshot(busy, first).charges) == len(first.charges) + 1
    busy.record_estimate("b1", "sft", "h100", 5.0, None)
    assert len(snapshot(busy, first).estimates) == 1


def test_savings_are_priced_and_found_by_their_build(busy: Ledger, noon: datetime) -> None:
    busy.record_saved("c2", "sft", "fp-sft", at=noon + 2 * DAY)
    [saving] = snapshot(busy).savings
    assert (saving.build_id, saving.artifact, saving.device_seconds) == ("c2", "fp-sft", 40 * 3600.0)
    assert saving.micro_usd == 40 * 2_000_000


def test_burn_is_the_budgets_own_spend(busy: Ledger, noon: datetime) -> None:
    set_budget(busy, "march", 200, scope="vertical", scope_value="finance", period="month")
    set_budget(busy, "ever", "0.5")
    set_budget(busy, "c", 1, scope="build", scope_value="c")
    now = noon + 10 * DAY
    told = snapshot(busy)
    states = {state.name: state for state in budget_states(busy, now)}
    for one in burns(told, Scope(), now):
        assert one.spent.known_micro_usd == pytest.approx(states[one.name].spent_micro_usd, abs=3)
        if one.points:
            assert one.points[-1][1] == pytest.approx(one.spent.known_micro_usd, abs=len(one.points))
    march, ever, of_a_build = burns(told, Scope(), now)
    assert of_a_build.points == (), "c2 is another build"
    assert (march.state, ever.state, ever.runs_out_at) == ("ahead", "spent", None)
    # 10.5 days of 31 are over, and more than that share of the money
    assert march.even_micro_usd == pytest.approx(200e6 * 10.5 / 31, rel=1e-6)
    assert march.runs_out_at is not None
    assert [one.name for one in burns(told, Scope(vertical="real_estate"), now)] == ["ever"]


def test_the_plan_is_set_beside_what_was_booked(busy: Ledger, noon: datetime) -> None:
    busy.record_estimate("b1", "sft", "h100", 72_000.0, 40_000_000)
    busy.record_estimate("b1", "dpo", "h100", 21_600.0, None)
    busy.record_estimate("b1", "never", "h100", 5.0, None)
    running = held(busy, noon + DAY, 1, "cpt2", exit_code=None)
    busy.record_estimate("b1", "cpt2", "h100", 5.0, None)
    lines = planned(snapshot(busy), Scope())
    assert {one.stage: one.error for one in lines} == {"sft": pytest.approx(1.0), "dpo": pytest.approx(-0.5)}
    assert typical_factor(lines) == pytest.approx(1.0)
    assert [(one.stage, one.runs, one.estimated_micro_usd) for one in by_stage(lines)] == [
        ("sft", 1, 40_000_000), ("dpo", 1, None),
    ]  # fmt: skip
    [open_one] = held_now(busy, Scope(vertical="finance"))
    assert (open_one.span.lease.id, open_one.share_done) == (running, pytest.approx(720))
    assert open_one.cost_micro_usd == 2_000_000
    assert held_now(busy, Scope(vertical="real_estate")) == []


def test_a_reader_changes_nothing(busy: Ledger, url: str) -> None:
    reader = open_for_reading(url)
    assert total(within(snapshot(reader).charges, Scope())) == total(within(snapshot(busy).charges, Scope()))
    with pytest.raises(LedgerError, match="read-only"):
        reader.start_build("b9", "finance", "local", "r")


def test_an_older_or_empty_or_missing_ledger_is_told_not_made(empty_url: str, tmp_path: Path) -> None:
    if empty_url.startswith("postgresql"):
        with pytest.raises(LedgerError, match="holds no ledger yet"):
            open_for_reading(empty_url)
    else:
        with pytest.raises(LedgerError, match="cannot be opened"):
            open_for_reading(empty_url)
        assert not (tmp_path / "empty").exists()
    earlier(empty_url, "0001")
    with pytest.raises(LedgerError, match=r"has an earlier schema than \d+, got 0001"):
        open_for_reading(empty_url)


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough for a header " * 20)
    for url, fact in (("what", "is not a database URL"), ("mysql://h/d", "is a kind of database"),
                      (f"sqlite:///{tmp_path}/text", "is not a database")):  # fmt: skip
        with pytest.raises(LedgerError, match=fact):
            open_for_reading(url)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_a_file_in_a_place_nobody_may_write_is_read(busy: Ledger, url: str, tmp_path: Path) -> None:
    file = Path(url.removeprefix("sqlite:///"))
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    place = Path("/tmp") / f"stillroom-read-{os.getpid()}"
    place.mkdir()
    try:
        shutil.copy(file, place / "ledger.db")
        (place / "ledger.db").chmod(0o444)
        place.chmod(0o555)
        answers, answer = FORK.Pipe(duplex=False)
        child = FORK.Process(target=read_as_nobody, args=(f"sqlite:///{place}/ledger.db", answer))
        child.start()
        answer.close()
        assert answers.recv() == len(snapshot(busy).charges)
        child.join()
        assert [path.name for path in place.iterdir()] == ["ledger.db"]
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)


def read_as_nobody(url: str, answer: Connection) -> None:
    os.setgroups([])
    os.setgid(pwd.getpwnam("nobody").pw_gid)
    os.setuid(pwd.getpwnam("nobody").pw_uid)
    answer.send(len(snapshot(open_for_reading(url)).charges))


def test_an_empty_snapshot_breaks_nothing() -> None:
    assert total(within(EMPTY.charges, Scope())).micro_usd == 0
    assert planned(EMPTY, Scope()) == []
    assert burns(Snapshot(()), Scope(), datetime(2026, 1, 1, tzinfo=UTC)) == []
