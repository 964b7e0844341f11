"""Spend by any grouping, files in every form, FOCUS and its check."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from contracts.errors import LedgerError, PublishError
from ledger import Ledger, processes
from ledger.charges import Adjustment, Expense, adjust, book_expense
from ledger.exports import as_csv, write
from ledger.focus import focus_rows
from ledger.focus_check import check_file, check_rows
from ledger.spend import spend

HOUR = timedelta(hours=1)
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture
def booked(ledger: Ledger, noon: datetime) -> Ledger:
    """Four leases, one over the end of March and a price change, an annotation and a credit."""
    ledger.load_prices(
        {"h100": [(noon - HOUR, "2.95", "list"), (noon + 60 * HOUR, "1.99", "list")], "cpu": [(noon, "0.08", "list")]}
    )
    me = processes.this_process()
    for stage, device, hours, code, share in (
        ("sft", "h100", 800, 0, Fraction(1)),
        ("dpo", "h100", 1 / 3, 1, Fraction(3, 7)),
        ("curate", "cpu", 0.5, 0, Fraction(1)),
    ):
        lease = ledger.open_lease("b1", stage, f"fp-{stage}", device, 2, **me, at=noon, share=share)
        ledger.close(lease.id, code, at=noon + hours * HOUR)
    day = {"period_start": noon, "period_end": noon + HOUR, "evidence": "=invoice 7"}
    book_expense(
        ledger,
        Expense(
            category="annotation", micro_usd=999_999, quantity=7, unit="Rows", provider="labels", build_id="b1", **day
        ),
    )
    adjust(ledger, Adjustment(reason="-credit", micro_usd=-200_000, vertical="finance", device="h100", **day))
    return ledger


def test_spend_adds_up_whatever_it_is_grouped_by(booked: Ledger) -> None:
    totals = {
        by: spend(booked, by) for by in ((), ("month",), ("vertical", "stage"), ("device", "kind"), ("category",))
    }
    whole = totals[()][0]
    assert (whole.gpu_hours, whole.cpu_hours) == (pytest.approx(1600 + 2 / 7), 1.0)
    assert whole.wasted_hours == pytest.approx(2 / 7)
    assert whole.micro_usd == whole.compute_micro_usd + 999_999 - 200_000
    for lines in totals.values():
        assert sum(line.micro_usd for line in lines) == pytest.approx(whole.micro_usd, abs=len(lines))
        assert sum(line.gpu_hours for line in lines) == pytest.approx(whole.gpu_hours)
    march, april = totals[("month",)]
    assert (march.group["month"], april.gpu_hours) == ("2026-03", pytest.approx(2 * (800 - 30.5 * 24)))
    assert [
        line.group["month"] for line in spend(booked, ("month",), end=datetime.fromisoformat("2026-04-01T00:00Z"))
    ] == ["2026-03"]
    with pytest.raises(LedgerError, match="cannot be grouped so, got weather"):
        spend(booked, ("weather",))


@ON_SQLITE
def test_files_hold_what_was_booked(booked: Ledger, tmp_path: Path) -> None:
    rows = [line.flat() for line in spend(booked, ("stage", "device"))]
    for name in ("spend.csv", "spend.json", "spend.parquet"):
        write(rows, tmp_path / "out" / name)
    with (tmp_path / "out" / "spend.csv").open() as stream:
        assert [int(row["micro_usd"]) for row in csv.DictReader(stream)] == [row["micro_usd"] for row in rows]
    assert json.loads((tmp_path / "out" / "spend.json").read_text()) == rows
    assert pq.read_table(tmp_path / "out" / "spend.parquet").to_pylist() == rows
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["spend.csv", "spend.json", "spend.parquet"]
    with pytest.raises(LedgerError, match=r"has an ending that is not known, got \.xlsx"):
        write(rows, tmp_path / "spend.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError, match="could not be written"):
        write(rows, tmp_path / "file" / "spend.csv")
    assert as_csv([{"note": "=HYPERLINK(1)", "usd": -1.5}]) == "note,usd\n'=HYPERLINK(1),-1.5\n"


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@ON_SQLITE
def test_the_focus_file_conforms_in_every_form(booked: Ledger, tmp_path: Path, form: str) -> None:
    rows = focus_rows(booked)
    write(rows, tmp_path / f"focus.{form}")
    assert check_file(tmp_path / f"focus.{form}") == []
    kinds = [(row["ChargeCategory"], row["ChargeClass"]) for row in rows]
    assert kinds.count(("Adjustment", "Correction")) == kinds.count(("Purchase", None)) == 1
    assert sum(row["BilledCost"] for row in rows) == pytest.approx(
        Decimal(spend(booked, ())[0].micro_usd) / 10**6, abs=Decimal("1e-5")
    )
    hours = sum(row["ConsumedQuantity"] for row in rows if row["ConsumedQuantity"] is not None)
    assert float(hours) == pytest.approx(1600 + 2 / 7 + 1)


def test_focus_is_the_same_on_both_databases(booked: Ledger) -> None:
    rows = focus_rows(booked)
    assert check_rows(rows) == []
    told = [
        (row["ChargePeriodStart"], row["x_Stage"], str(row["BilledCost"])) for row in rows if row["x_Stage"] == "sft"
    ]
    assert told == [
        ("2026-03-01T12:00:00Z", "sft", "354"),
        ("2026-03-04T00:00:00Z", "sft", "2674.56"),
        ("2026-04-01T00:00:00Z", "sft", "270.64"),
    ]


@ON_SQLITE
def test_a_charge_without_a_price_stops_the_focus_file(booked: Ledger, noon: datetime) -> None:
    lease = booked.open_lease("b1", "sft", "fp", "b200", 1, **processes.this_process(), at=noon)
    booked.close(lease.id, 0, at=noon + HOUR)
    with pytest.raises(LedgerError, match="has 1 charges without a price, got b200"):
        focus_rows(booked)
    assert all(row["ResourceType"] != "b200" for row in focus_rows(booked, priced_only=True))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"BilledCost": None}, "BilledCost: must not be null"),
        ({"BilledCost": "a lot"}, "BilledCost: must be a number, got a lot"),
        ({"ChargeClass": "Oops"}, "ChargeClass: must be one of Correction, got Oops"),
        ({"ChargeCategory": "Adjustment"}, "ConsumedQuantity: must be null for Adjustment"),
        ({"ConsumedQuantity": None}, "ConsumedQuantity: must not be null for Usage"),
        ({"PricingUnit": None}, "PricingUnit: must be there exactly where PricingQuantity is"),
        ({"SkuPriceId": None}, "PricingQuantity: must be null where SkuPriceId is"),
        ({"ChargePeriodEnd": "2026-03-01 12:00"}, "ChargePeriodEnd: must be a UTC time"),
        ({"ChargePeriodStart": "2026-02-01T00:00:00Z"}, "usage must lie within its billing period"),
        ({"BillingCurrency": "Dollar"}, "BillingCurrency: must be an ISO 4217 code"),
        ({"ListUnitPrice": Decimal(1)}, "ListCost: must be ListUnitPrice x PricingQuantity"),
        ({"Colour": "red"}, "Colour: is no FOCUS column"),
    ],
)
@ON_SQLITE
def test_the_check_finds_each_breach(booked: Ledger, change: dict[str, object], told: str) -> None:
    good = next(row for row in focus_rows(booked) if row["x_Stage"] == "sft")
    assert check_rows([good]) == []
    assert any(told in line for line in check_rows([good | change])), check_rows([good | change])


def test_the_check_wants_every_mandatory_column(tmp_path: Path) -> None:
    found = check_rows([{"BilledCost": 1}])
    assert len([line for line in found if "is mandatory and not there" in line]) == 22
    assert check_rows([]) == ["the file holds no row"]
    with pytest.raises(LedgerError, match="cannot be read"):
        check_file(tmp_path / "none.csv")
