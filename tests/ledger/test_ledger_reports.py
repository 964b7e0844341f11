"""Prices, costs and reports."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from contracts.errors import LedgerError
from ledger import Ledger, build_lines, build_totals, csv_text, estimate_lines, json_rows, list_builds, processes
from ledger.tables import render, render_builds, render_estimates

HOUR = timedelta(hours=1)


def run(ledger: Ledger, stage: str, device: str, start: datetime, held: timedelta, **more: int) -> None:
    me = processes.this_process()
    lease = ledger.open_lease("b1", stage, f"fp-{stage}", device, more.get("count", 1), **me, at=start)
    ledger.close(lease.id, more.get("exit_code", 0), at=start + held)


def shown(renderable: object) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_a_price_change_inside_a_lease_splits_it(ledger: Ledger, noon: datetime) -> None:
    prices = {"h100": [(noon + 3 * HOUR, "2.50", "contract"), (noon - HOUR, 4, "list"), (noon + HOUR, 3.0, "list")]}
    assert ledger.load_prices(prices) == 3
    run(ledger, "sft", "h100", noon, 4 * HOUR, count=2)
    assert build_lines(ledger, "b1")[0].micro_usd == 2 * (4_000_000 + 2 * 3_000_000 + 2_500_000)


def test_costs_are_rounded_once(ledger: Ledger, noon: datetime) -> None:
    # 20 minutes and 40 minutes at one micro-USD an hour: one micro-USD, where rounding each part would lose the first.
    prices = [(noon, "0.000001", "list"), (noon + HOUR, "0.000001", "list")]
    ledger.load_prices({"cpu": prices})
    run(ledger, "sft", "cpu", noon + HOUR * 2 / 3, HOUR)
    run(ledger, "dpo", "cpu", noon + HOUR * 3 / 4, HOUR / 2)
    # And two quarters: a half, rounded up once (each quarter alone would be nothing).
    assert [line.micro_usd for line in build_lines(ledger, "b1")] == [1, 1]


def test_a_corrected_price_supersedes_and_a_repeated_one_does_not(ledger: Ledger, noon: datetime) -> None:
    wrong, right = {"cpu": [(noon, 0.5, "typo")]}, {"cpu": [(noon, 0.05, "list")]}
    assert [ledger.load_prices(one) for one in (wrong, wrong, right, right)] == [1, 0, 1, 0]
    run(ledger, "sft", "cpu", noon, HOUR)
    assert build_lines(ledger, "b1")[0].micro_usd == 50_000
    assert ledger.load_prices(wrong) == 1
    assert build_lines(ledger, "b1")[0].micro_usd == 500_000


def test_two_prices_for_one_moment_are_refused_and_a_booked_one_stands(ledger: Ledger, noon: datetime) -> None:
    with pytest.raises(
        LedgerError, match=r"price of cpu: is there twice, and differs, got 1 and 2 USD from 2026-03-01"
    ):
        ledger.load_prices({"cpu": [(noon, 1, "list"), (noon, 2, "list")]})
    assert ledger.load_prices({"cpu": [(noon, 1, "catalogue 1")]}) == 1
    assert ledger.load_prices({"cpu": [(noon, 2, "catalogue 2")]}, replaces=("catalogue",)) == 1
    assert ledger.load_prices({"cpu": [(noon, 3, "contract")]}) == 1
    assert ledger.load_prices({"cpu": [(noon, 2, "catalogue 2")]}, replaces=("catalogue",)) == 0
    run(ledger, "sft", "cpu", noon, HOUR)
    assert build_lines(ledger, "b1")[0].micro_usd == 3_000_000


@pytest.mark.parametrize("amount", ["free", -1, float("nan"), float("inf")])
def test_a_price_that_is_no_amount_is_refused(amount: float | str, ledger: Ledger, noon: datetime) -> None:
    with pytest.raises(LedgerError, match="price of cpu: must be an amount of USD"):
        ledger.load_prices({"cpu": [(noon, amount, "list")]})


def test_a_cpu_build_books_no_gpu_hour_and_says_so(ledger: Ledger, noon: datetime) -> None:
    ledger.load_prices({"cpu": [(noon, 0.1, "list")]})
    run(ledger, "curate", "cpu", noon, HOUR)
    totals = build_totals(ledger, "b1")
    assert (totals.gpu_hours, totals.cpu_device_seconds, totals.micro_usd) == (0.0, 3600.0, 100_000)
    assert totals.notes == ("No GPU was held: 0 GPU-hours booked; CPU device-seconds are booked apart.",)
    assert "0 GPU-hours booked" in shown(render(build_lines(ledger, "b1"), totals))


def test_a_missing_price_is_unknown_and_never_zero(ledger: Ledger, noon: datetime) -> None:
    ledger.load_prices({"cpu": [(noon, 0.1, "list")], "h100": [(noon + HOUR, 3, "starts an hour too late")]})
    run(ledger, "curate", "cpu", noon, HOUR)
    run(ledger, "sft", "h100", noon, 2 * HOUR)
    lines, totals = build_lines(ledger, "b1"), build_totals(ledger, "b1")
    assert [line.micro_usd for line in lines] == [100_000, None]
    assert (totals.micro_usd, totals.known_micro_usd, totals.gpu_hours) == (None, 100_000, 2.0)
    assert [note.split(" over ")[0] for note in totals.notes] == ["Cost unknown: no price for h100"]
    text = shown(render(lines, totals))
    assert text.count("unknown") >= 3 and "0.100000 USD is known" in text
    assert json_rows(lines)[1]["micro_usd"] is None
    assert next(row for row in csv.DictReader(io.StringIO(csv_text(lines))) if row["stage"] == "sft")["micro_usd"] == ""


def test_failed_attempts_are_wasted_and_a_cache_hit_saves_what_the_last_good_one_took(
    ledger: Ledger, noon: datetime
) -> None:
    ledger.load_prices({"h100": [(noon, 3.6, "list")]})
    run(ledger, "sft", "h100", noon, timedelta(seconds=40), exit_code=-9)
    run(ledger, "sft", "h100", noon + HOUR, timedelta(seconds=100), count=2)
    ledger.start_build("b2", "finance", "local", "recipe-1", at=noon + 2 * HOUR)
    for _ in range(2):
        assert ledger.record_saved("b2", "sft", "fp-sft", 7.0, "cpu", at=noon + 2 * HOUR) == 200.0
    assert ledger.record_saved("b2", "curate", "from elsewhere", 7.0, "cpu", at=noon + 3 * HOUR) == 7.0
    [first] = build_lines(ledger, "b1")
    assert (first.attempts, first.device_seconds, first.wasted_seconds, first.status) == (2, 240.0, 40.0, "done")
    hit, foreign = build_lines(ledger, "b2")
    assert (hit.status, hit.device, hit.device_seconds, hit.saved_seconds) == ("cached", "h100", 0.0, 200.0)
    assert (hit.micro_usd, hit.saved_micro_usd) == (0, 200_000)
    assert (foreign.saved_seconds, foreign.micro_usd, foreign.saved_micro_usd) == (7.0, 0, None)
    totals = build_totals(ledger, "b2")
    assert (totals.saved_seconds, totals.gpu_seconds, totals.micro_usd) == (207.0, 0.0, 0)
    assert [one.build_id for one in list_builds(ledger)] == ["b2", "b1"]
    assert "cached" in shown(render([hit, foreign], totals))


def test_an_open_lease_counts_to_its_last_sign_and_is_told(ledger: Ledger, noon: datetime) -> None:
    lease = ledger.open_lease("b1", "sft", "fp", "cpu", 1, **processes.this_process(), at=noon)
    ledger.beat(lease.id, noon + timedelta(seconds=45))
    totals = build_totals(ledger, "b1")
    assert (totals.open_leases, totals.device_seconds) == (1, 45.0)
    assert totals.notes[-1] == "Still open, counted up to the last sign of life: sft."


def test_the_latest_estimate_stands_beside_what_happened(ledger: Ledger, noon: datetime) -> None:
    ledger.load_prices({"cpu": [(noon, 0.36, "list")]})
    ledger.record_estimate("b1", "sft", "cpu", 999.0, None)
    ledger.record_estimate("b1", "sft", "cpu", 50.0, 5_000)
    ledger.record_estimate("b1", "dpo", "cpu", 20.0, 2_000)
    run(ledger, "sft", "cpu", noon, timedelta(seconds=75))
    run(ledger, "serve", "cpu", noon + HOUR, timedelta(seconds=10))
    sft, dpo, serve = estimate_lines(ledger, "b1")
    assert (sft.ratio, sft.estimated_micro_usd, sft.actual_micro_usd) == (1.5, 5_000, 7_500)
    assert (dpo.actual_device_seconds, dpo.ratio) == (0.0, 0.0)
    assert (serve.estimated_device_seconds, serve.ratio, serve.actual_device_seconds) == (None, None, 10.0)
    assert "1.50" in shown(render_estimates([sft, dpo, serve]))


def test_text_from_outside_is_shown_as_it_is(ledger: Ledger, noon: datetime) -> None:
    ledger.start_build("[red]b", "[link=x]v", "[bold]", "r", at=noon)
    text = shown(render_builds(list_builds(ledger)))
    assert "[red]b" in text and "[link=x]v" in text
    assert json.dumps(json_rows(list_builds(ledger)))
    with pytest.raises(LedgerError, match="build x: is not in the ledger"):
        build_totals(ledger, "x")
    assert (build_lines(ledger, "b1"), csv_text([])) == ([], "")
