"""Shares of devices, expenses, invoices and adjustments; and that the views say what the rows say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from contracts.errors import LedgerError
from ledger import Ledger, build_lines, processes
from ledger.amounts import micro_usd
from ledger.charges import Adjustment, Expense, adjust, book_expense
from ledger.events import Event, beat_event, insert_event
from ledger.invoice_match import match_invoices, settle
from ledger.invoices import import_invoice, read_invoice
from ledger.leases import read_spans
from ledger.moments import moment
from ledger.prices import read_prices
from ledger.spend import spend
from ledger.views import lease_span
from tests.ledger.conftest import Rows

HOUR = timedelta(hours=1)
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def held(ledger: Ledger, device: str, start: datetime, hours: float, **more: object) -> None:
    words = {"build": "b1", "stage": "sft", "count": 1, "share": Fraction(1)} | more
    me = processes.this_process()
    lease = ledger.open_lease(
        str(words["build"]), str(words["stage"]), f"fp{start}{device}", device, words["count"], **me,  # type: ignore[arg-type]
        at=start, share=words["share"],
    )  # fmt: skip
    ledger.close(lease.id, 0, at=start + hours * HOUR)


def test_a_mig_instance_costs_its_share_to_the_micro_usd(ledger: Ledger, noon: datetime) -> None:
    ledger.load_prices({"h100": [(noon, 7, "list"), (noon + HOUR, 14, "list")]})
    held(ledger, "h100", noon, 2, share=Fraction(2, 7))
    [line] = build_lines(ledger, "b1")
    assert (line.device_seconds, line.micro_usd) == (7200 * 2 / 7, 2 * 1_000_000 + 4 * 1_000_000)
    [month] = spend(ledger)
    assert (month.gpu_hours, month.micro_usd) == (4 / 7, 6_000_000)
    for share in (Fraction(8, 7), Fraction(0)):
        with pytest.raises(LedgerError, match="must be of devices, or a share of one"):
            held(ledger, "h100", noon, 1, share=share)


MOMENTS = st.integers(0, 80 * 24 * 3600).map(
    lambda s: datetime(2026, 1, 20, tzinfo=UTC) + timedelta(seconds=s, microseconds=s % 7)
)
EVENTS = st.lists(st.tuples(st.sampled_from(["beat", "child", "reconciled", "close"]), MOMENTS), max_size=5)
LEASES = st.lists(
    st.tuples(MOMENTS, st.sampled_from([1, 3]), st.sampled_from([Fraction(1), Fraction(3, 7)]), EVENTS),
    min_size=1,
    max_size=4,
)
PRICES = st.lists(st.tuples(MOMENTS, st.integers(0, 9_999_999)), max_size=4, unique_by=lambda row: row[0])


@ON_SQLITE
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(leases=LEASES, prices=PRICES)
def test_the_views_say_what_the_rows_say(ledger: Ledger, leases: list, prices: list) -> None:  # type: ignore[type-arg]
    check_views(ledger, leases, prices)


def test_the_views_say_the_same_on_both_databases(ledger: Ledger, noon: datetime) -> None:
    later = noon + timedelta(days=40)
    leases = [
        (noon, 2, Fraction(3, 7), [("beat", noon + HOUR), ("reconciled", later), ("beat", later - HOUR)]),
        (noon + HOUR, 1, Fraction(1), [("close", later), ("child", later + HOUR)]),
        (noon, 1, Fraction(1), []),
    ]
    check_views(ledger, leases, [(noon + timedelta(days=3), 1_234_567), (noon + timedelta(days=31), 0)])


def check_views(ledger: Ledger, leases: list, prices: list) -> None:  # type: ignore[type-arg]
    """Spans and costs by SQL are those by Python, lease by lease, and the month's sums are the leases' sums."""
    device = f"gpu-{id(leases)}-{len(leases)}-{datetime.now(UTC).isoformat()}"
    ledger.load_prices({device: [(at, amount / 1e6, "list") for at, amount in prices]})
    me = processes.this_process()
    for number, (at, count, share, events) in enumerate(leases):
        lease = ledger.open_lease("b1", device, f"fp{number}", device, count, **me, at=at, share=share)
        with ledger.writing() as connection:
            for kind, when in events:
                event = beat_event(lease.id, when)
                key = f"{lease.id}:{kind}:{when if kind != 'close' else ''}"
                code = 0 if kind == "close" else None
                insert_event(
                    connection, Event(**(vars(event) | {"kind": kind, "idempotency_key": key, "exit_code": code}))
                )
    with ledger.reading() as connection:
        mine = select(lease_span).where(lease_span.c.device == device)
        seen = {row.lease_id: row for row in connection.execute(mine)}
        spans = [span for span in read_spans(connection) if span.lease.device == device]
        book = read_prices(connection)
    costs = []
    for span in spans:
        row = seen.pop(span.lease.id)
        assert (row.status, row.ended_at, row.billed_until) == (span.status, span.ended_at, span.billed_until)
        costs.append(
            book.cost(device, span.lease.opened_at, span.billed_until, span.lease.device_count, span.lease.share)
        )
    assert seen == {}
    [line] = [line for line in spend(ledger, ("device",)) if line.group["device"] == device]
    assert line.gpu_hours == pytest.approx(sum(span.billed_device_seconds for span in spans) / 3600)
    # A lease without a price is unknown as a whole; the sum counts those of its hours that have one.
    if None not in costs:
        assert line.micro_usd == pytest.approx(sum(costs), abs=len(costs))
    elif any(span.billed_until > span.lease.opened_at for span in spans):
        assert line.known_micro_usd >= sum(cost or 0 for cost in costs) - len(costs)


def test_expenses_are_booked_once_with_their_evidence(ledger: Ledger, noon: datetime) -> None:
    words = {"period_start": noon, "period_end": noon + HOUR, "provider": "labels ltd", "evidence": "invoice 7"}
    work = Expense(category="annotation", micro_usd=1_500_000, quantity=300, unit="Rows", build_id="b1", **words)
    assert [book_expense(ledger, work), book_expense(ledger, work)] == [True, False]
    assert adjust(ledger, Adjustment(reason="credit", micro_usd=-200_000, evidence="note 8", vertical="finance",
                                     period_start=noon, period_end=noon))  # fmt: skip
    [line] = spend(ledger, ("vertical", "month"))
    assert line.group == {"vertical": "finance", "month": "2026-03"}
    assert (line.expense_micro_usd, line.adjustment_micro_usd, line.micro_usd) == (1_500_000, -200_000, 1_300_000)
    for change, told in (
        ({"evidence": " "}, "needs evidence"), ({"category": "lunch"}, "is not a kind of expense"),
        ({"provider": ""}, "must say who is paid"), ({"micro_usd": -1}, "must be zero or more"),
        ({"period_end": noon - HOUR}, "must not end before it begins"), ({"build_id": "b9"}, "is not in the ledger"),
    ):  # fmt: skip
        with pytest.raises(LedgerError, match=told):
            book_expense(ledger, work.model_copy(update=change))


HEADER = "invoice,line,device,period_start,period_end,amount,currency,device_hours,description\n"


def invoice(tmp_path: Path, *lines: str, header: str = HEADER, name: str = "cloud.csv") -> Path:
    path = tmp_path / name
    path.write_text(header + "\n".join(lines) + "\n")
    return path


def test_an_invoice_is_matched_and_its_difference_settled_once(ledger: Ledger, noon: datetime, tmp_path: Path) -> None:
    ledger.start_build("b2", "real_estate", "local", "r", at=noon, team="homes")
    ledger.load_prices({"h100": [(noon - HOUR, 3, "list")], "a100": [(noon - HOUR, 1, "list")]})
    held(ledger, "h100", noon, 2, count=2)
    held(ledger, "h100", noon, 2, build="b2")
    held(ledger, "a100", noon, 10)
    path = invoice(
        tmp_path,
        "I-1,1,h100,2026-03-01,2026-04-01,20.00,USD,6.2,two machines",
        "I-1,2,a100,2026-03-01,2026-04-01,10.01,USD,10,",
        "I-1,3,l40s,2026-03-01,2026-04-01,5,USD,,",
    )
    lines = read_invoice(path, "cloud")
    assert [import_invoice(ledger, lines), import_invoice(ledger, lines)] == [3, 0]
    assert [(one.device, one.verdict, one.booked_hours) for one in match_invoices(ledger)] == [
        ("h100", "billed more", 6.0), ("a100", "equal", 10.0), ("l40s", "nothing booked", 0.0),
    ]  # fmt: skip
    assert [one.difference_micro_usd for one in settle(ledger)] == [2_000_000, 5_000_000]
    assert settle(ledger) == []
    assert [one.verdict for one in match_invoices(ledger, "cloud")] == ["settled", "equal", "settled"]
    by_vertical = {line.group["vertical"]: line.adjustment_micro_usd for line in spend(ledger, ("vertical",))}
    assert by_vertical == {"": 5_000_000, "finance": 1_333_333 + 1, "real_estate": 666_666}
    # Hours that were spooled for long and arrive after the settlement open the difference again.
    held(ledger, "h100", noon + 10 * HOUR, 1)
    assert [one.difference_micro_usd for one in settle(ledger)] == [-3_000_000]
    with pytest.raises(LedgerError, match="provider nobody: has no invoice here"):
        match_invoices(ledger, "nobody")


def test_what_cannot_be_judged_is_left_and_said(ledger: Ledger, noon: datetime, tmp_path: Path) -> None:
    held(ledger, "free", noon, 1)
    ledger.load_prices({"busy": [(noon - HOUR, 3, "list")], "twice": [(noon - HOUR, 3, "list")]})
    ledger.open_lease("b1", "sft", "fp", "busy", 1, **processes.this_process(), at=noon)
    held(ledger, "twice", noon, 1)
    lines = [f"I,{n},{device},2026-03-0{day},2026-04-01,1,USD,," for n, (device, day) in enumerate(
        [("free", 1), ("busy", 1), ("twice", 1), ("twice", 2)])]  # fmt: skip
    import_invoice(ledger, read_invoice(invoice(tmp_path, *lines), "cloud"))
    assert [one.verdict for one in match_invoices(ledger)] == ["no price", "still open", "overlaps", "overlaps"]
    assert settle(ledger) == []


GOOD = "I-1,1,h100,2026-03-01,2026-04-01,20.00,USD,6.2,"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (HEADER, "holds no line"),
        (HEADER + GOOD.replace("USD", "EUR"), "line 1: amount: must be in USD, got EUR\n\nhint: the ledger keeps USD"),
        (HEADER + GOOD.replace("20.00", "twenty"), "line 1: amount: must be an amount of USD, got twenty"),
        (HEADER + GOOD.replace("6.2", "-1"), "line 1: device_hours: must be hours, zero or more, got -1"),
        (HEADER + GOOD.replace("2026-04-01", "2026-02-01"), "line 1: must end after it begins"),
        (HEADER + GOOD.replace("2026-03-01", "1 March"), "period_start: must be a day or a time with its zone"),
        (HEADER + GOOD.replace("h100", ""), "line 1: lacks device"),
        (HEADER + GOOD + "\n" + GOOD, "line 2: is there twice, got the same as line 1"),
        (
            HEADER.replace("amount", "amonut") + GOOD,
            "has a column that is not known, got amonut\n\nhint: did you mean amount",
        ),
        (b"\xff\xfe", "cannot be read, got not UTF-8"),
    ],
)
def test_a_bad_invoice_names_its_line(tmp_path: Path, content: str | bytes, told: str) -> None:
    path = tmp_path / "cloud.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LedgerError) as caught:
        read_invoice(path, "cloud")
    assert told in str(caught.value)


@ON_SQLITE
def test_an_invoice_as_json_and_one_that_changed(ledger: Ledger, tmp_path: Path, rows: Rows) -> None:
    line = dict(zip(HEADER.strip().split(","), GOOD.split(","), strict=True))
    path = tmp_path / "cloud.json"
    path.write_text(json.dumps([line]))
    import_invoice(ledger, read_invoice(path, "cloud"))
    path.write_text(json.dumps([line | {"amount": 21.5}, line | {"line": "2"}]))
    with pytest.raises(
        LedgerError, match="line 1: says something else now, got micro_usd 21500000 instead of 20000000"
    ):
        import_invoice(ledger, read_invoice(path, "cloud"))
    assert rows("SELECT count(*) FROM provider_charge") == [(1,)]
    for text, told in (("{", "is not JSON"), ("{}", "must be a list of objects")):
        path.write_text(text)
        with pytest.raises(LedgerError, match=told):
            read_invoice(path, "cloud")
    with pytest.raises(LedgerError, match="cannot be read"):
        read_invoice(tmp_path / "none.csv", "cloud")


def test_moments() -> None:
    assert moment("x", "2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert moment("x", "2026-03-01T02:00:00+02:00") == datetime(2026, 3, 1, tzinfo=UTC)
    for bad in ("2026-03-01T00:00:00", "March", "", "2026-13-01"):
        with pytest.raises(LedgerError, match="x: must be a day or a time with its zone"):
            moment("x", bad)


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("1e20", "x: must be no more than 1,000,000,000 USD, got 1e20"),
        ("0.0000004", "x: is less than a micro-USD, the least that is kept, got 0.0000004"),
        ("-1", "x: must be an amount of USD, zero or more, got -1"),
        ("nan", "x: must be an amount of USD"),
        ("1,5", "x: must be an amount of USD"),
    ],
)
def test_an_amount_that_cannot_be_kept_is_refused(amount: str, told: str) -> None:
    with pytest.raises(LedgerError, match=told):
        micro_usd("x", amount)


def test_amounts() -> None:
    assert [micro_usd("x", one) for one in ("0", 0.1, "1.0000005", "1e3")] == [0, 100_000, 1_000_000, 1_000_000_000]
    assert micro_usd("x", "-2.5", signed=True) == -2_500_000
    assert micro_usd("a line of an invoice", "0.0000000012", tiny=True) == 0
