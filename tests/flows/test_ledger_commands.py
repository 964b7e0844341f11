"""``stillroom ledger``, ``budget`` and ``cost`` as a user meets them, over a real ledger and a real store."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from contracts.artifacts import describe
from contracts.errors import BudgetError, InputError, LedgerError, StillroomError
from contracts.usage import Usage
from flows.attribution import build_cost
from flows.cli import app
from flows.cost_command import _each
from flows.priced_ledger import open_ledger
from flows.reconciler import reconcile_once
from flows.settings import Settings
from flows.store import Store
from ledger import Ledger, processes
from ledger.charges import Expense, book_expense
from ledger.focus_check import check_file
from ledger.promotions import promote

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return Settings()


@pytest.fixture
def books(settings: Settings) -> Ledger:
    """A build of four hours on a processor at 0.08 USD an hour, one of them wasted."""
    ledger = open_ledger(settings)
    ledger.start_build("b1", "finance", "local", "recipe-1", at=NOON)
    booked(ledger, "sft", "fp-sft", 1, exit_code=1)
    booked(ledger, "sft", "fp-sft", 3)
    return ledger


def booked(ledger: Ledger, stage: str, fingerprint: str, hours: float, exit_code: int = 0, build: str = "b1") -> None:
    lease = ledger.open_lease(build, stage, fingerprint, "cpu", 1, **processes.this_process(), at=NOON)
    usage = Usage(device_seconds=3600 * hours - 60, tokens_in=7, energy_joules=100) if exit_code == 0 else None
    ledger.close(lease.id, exit_code, usage, at=NOON + hours * HOUR)


def stillroom(*words: str) -> Result:
    """The command in this process; an error of the house comes through as it was raised."""
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, StillroomError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def test_the_last_build_is_shown_without_a_word(books: Ledger) -> None:
    for words in (["ledger"], ["ledger", "b1"], ["ledger", "run", "b"]):
        assert "finance · local" in stillroom(*words).output
    told = json.loads(stillroom("ledger", "--json").output)
    assert (told["total"]["micro_usd"], told["total"]["wasted_seconds"]) == (320_000, 3600.0)
    with pytest.raises(InputError, match="has no such build, got nope"):
        stillroom("ledger", "nope")


def test_spend_and_files(books: Ledger, tmp_path: Path) -> None:
    assert "2026-07" in stillroom("ledger", "spend").output
    told = json.loads(stillroom("ledger", "spend", "--by", "stage,device", "--month", "2026-07", "--json").output)
    assert [(row["stage"], row["device"], row["micro_usd"]) for row in told] == [("sft", "cpu", 320_000)]
    for words in (["ledger"], ["ledger", "--all"], ["ledger", "--estimates"], ["ledger", "spend"]):
        assert "1 rows" in stillroom(*words, "--out", str(tmp_path / "a.parquet")).output
    with pytest.raises(InputError, match="has nothing booked there"):
        stillroom("ledger", "spend", "--month", "2025-01")
    with pytest.raises(InputError, match="--month: must be a month, got July"):
        stillroom("ledger", "spend", "--month", "July")


def test_spend_beside_the_plan(books: Ledger, tmp_path: Path) -> None:
    books.record_estimate("b1", "sft", "cpu", 7200.0, 150_000, at=NOON)
    booked(books, "curate", "fp-curate", 1)
    told = json.loads(stillroom("ledger", "spend", "--estimates", "--json").output)
    assert [(one["stage"], one["artifact"], one["planned_hours"], one["planned_took_hours"]) for one in told] == [
        ("curate", "fp-curate", None, None), ("sft", "fp-sft", 2.0, 4.0),
    ]  # fmt: skip
    [whole] = json.loads(stillroom("ledger", "spend", "--by", "vertical", "--estimates", "--json").output)
    assert (whole["cpu_hours"], whole["planned_took_hours"], whole["planned_micro_usd"]) == (5.0, 4.0, 150_000)
    assert "took/planned" in stillroom("ledger", "spend", "--by", "artifact", "--estimates").output
    assert "2 rows" in stillroom("ledger", "spend", "--estimates", "--out", str(tmp_path / "a.parquet")).output
    with pytest.raises(LedgerError, match="spend --estimates: cannot be grouped so, got month"):
        stillroom("ledger", "spend", "--by", "month", "--estimates")
    with pytest.raises(InputError, match="--estimates: are of whole artifacts, not of a month"):
        stillroom("ledger", "spend", "--estimates", "--month", "2026-07")


def test_focus_goes_out_checked_and_a_spoilt_file_is_told(books: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "focus.csv"
    assert "2 rows, FOCUS 1.3" in stillroom("ledger", "focus", "--out", str(file), "--account", "cost-centre-7").output
    assert check_file(file) == []
    assert "conforms" in stillroom("ledger", "focus-check", str(file)).output
    file.write_text(file.read_text().replace("USD", "Dollars"))
    with pytest.raises(InputError, match=r"breaks FOCUS 1\.3 in 2 places"):
        stillroom("ledger", "focus-check", str(file))


def test_people_book_adjust_import_and_price(books: Ledger, tmp_path: Path) -> None:
    proof = tmp_path / "invoice.pdf"
    proof.write_bytes(b"%PDF")
    words = [
        "ledger",
        "book",
        "annotation",
        "--usd",
        "12.5",
        "--provider",
        "labels",
        "--evidence",
        str(proof),
        "--from",
        "2026-07-03",
    ]
    assert "12.5 USD to labels: booked" in stillroom(*words).output
    assert "was booked already" in stillroom(*words).output
    with pytest.raises(LedgerError, match="must be in USD, got EUR"):
        stillroom(*words, "--currency", "EUR")
    adjust = ["ledger", "adjust", "--usd=-2.5", "--reason", "credit", "--evidence", "note 3", "--from", "2026-07-03"]
    assert "booked" in stillroom(*adjust).output
    bill = tmp_path / "bill.csv"
    bill.write_text(
        "invoice,line,device,period_start,period_end,amount,currency\nI,1,cpu,2026-07-01,2026-08-01,0.40,USD\n"
    )
    assert "1 lines are new" in stillroom("ledger", "invoice", str(bill), "--provider", "cloud").output
    assert "billed more" in stillroom("ledger", "match").output
    assert "1 differences settled" in stillroom("ledger", "match", "--settle").output
    [row] = json.loads(stillroom("ledger", "spend", "--by", "", "--json").output)
    assert (row["expense_micro_usd"], row["adjustment_micro_usd"]) == (12_500_000, -2_500_000 + 80_000)
    price = ["ledger", "price", "NVIDIA H200", "--usd", "2.10", "--from", "2026-07-01", "--source", "contract 9"]
    assert "booked" in stillroom(*price).output
    assert "was booked already" in stillroom(*price).output


def test_budgets_by_command_bind_plan_and_build(books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no budget is in force" in stillroom("budget", "list").output
    stillroom("budget", "set", "july", "--usd", "100", "--vertical", "finance", "--period", "month")
    assert "july" in stillroom("budget", "list").output
    stillroom("plan", "finance")
    stillroom("budget", "set", "july", "--usd", "0.0001", "--vertical", "finance")
    with pytest.raises(BudgetError, match="budget july: vertical finance may spend"):
        stillroom("plan", "finance")
    stillroom("plan", "real_estate")
    stillroom("budget", "withdraw", "july")
    stillroom("plan", "finance")
    with pytest.raises(InputError, match="is over one thing, got vertical and team"):
        stillroom("budget", "set", "x", "--usd", "1", "--vertical", "finance", "--team", "risk")


def test_an_orphan_is_named_and_ended_on_demand(books: Ledger, settings: Settings) -> None:
    orphan = subprocess.Popen(["sleep", "600"])
    try:
        gone = processes.this_process() | {"supervisor_start_ticks": 1}
        lease = books.open_lease("b1", "dpo", "fp-dpo", "cpu", 1, **gone)
        books.attach_child(lease.id, orphan.pid, processes.start_ticks(orphan.pid) or 0)
        assert f"orphan {orphan.pid} still holds" in stillroom("ledger", "reconcile").output
        assert [one.outcome for one in reconcile_once(settings, end_orphans=True)] == ["ended"]
        assert orphan.wait(10) == -signal.SIGTERM
    finally:
        orphan.kill()
        orphan.wait()
    assert books.open_leases() == []
    assert json.loads(stillroom("ledger", "reconcile", "--json").output) == []


class Made:
    """Puts artifacts into the store and their hours into the ledger, as a build does."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.store, self.ledger, self.home = Store(settings.home), ledger, settings.home
        self.lines: list[dict[str, str]] = []

    def __call__(self, stage: str, inputs: dict[str, str], hours: float, metrics: dict[str, Any] | None = None) -> str:
        fingerprint = f"fp-{stage}".replace(":", "-")
        out = self.home / "work" / fingerprint
        out.mkdir(parents=True)
        (out / "x").write_text(stage)
        draft = describe(out, "thing", metrics or {})
        self.store.publish(
            draft.model_copy(update={"fingerprint": fingerprint, "stage": stage, "inputs": inputs}), stage
        )
        if hours:
            booked(self.ledger, stage, fingerprint, hours)
        self.lines.append({"stage": stage, "fingerprint": fingerprint})
        return fingerprint

    def finish(self, build: str) -> None:
        folder = self.home / "builds" / build
        folder.mkdir(parents=True)
        (folder / "lines.json").write_text(json.dumps(self.lines))


@pytest.fixture
def served(settings: Settings) -> Settings:
    """A teacher and two students of it; one cpu-hour costs 80,000 micro-USD."""
    ledger = open_ledger(settings)
    ledger.start_build("b1", "finance", "local", "recipe-1", at=NOON)
    make = Made(settings, ledger)
    score = "cover_page.field_f1"
    corpus = make("curate", {}, 1, {"accepted": 40})
    base = make("base:m", {}, 1)
    make("select", {"corpus": corpus, "base": base}, 2)
    sft = make("sft", {"model": base, "corpus": corpus}, 4)
    distilled = make("distil", {"corpus": corpus}, 1, {"accepted": 10})
    capture = make("capture", {"model": sft, "distilled": distilled}, 2)
    models = {"teacher": sft}
    for name, hours in (("student-7b", 3), ("student-14b", 5)):
        models[name] = make(f"student:{name}", {"teacher": sft, "capture": capture}, hours)
    base_eval = make("evaluate:base", {"model": base, "corpus": corpus}, 1, {"model": "base", score: 0.1})
    for name, value in (("teacher", 0.6), ("student-7b", 0.5)):
        scored = make(f"evaluate:{name}", {"model": models[name], "corpus": corpus}, 1, {"model": name, score: value})
        make(f"gate:{name}", {"champion": base_eval, "challenger": scored}, 0)
    for name, model in models.items():
        make(f"serve:{name}", {"model": model}, 1)
    make.finish("b1")
    day = {"period_start": NOON, "period_end": NOON, "provider": "us", "evidence": "sheet", "build_id": "b1"}
    book_expense(ledger, Expense(category="people", micro_usd=300_000, **day))
    book_expense(ledger, Expense(category="api_tokens", micro_usd=50_000, artifact_fingerprint=distilled, **day))
    return settings


def test_the_shares_of_the_served_models_add_up_to_everything(served: Settings) -> None:
    found = build_cost(served, "finance@local")
    everything = 25 * 80_000 + 350_000  # gates are not booked here: never seen, cost unknown
    roles = {one.model: {line.stage: (line.role, line.shared_by) for line in one.lines} for one in found.models}
    assert roles["student-7b"]["capture"] == ("made of", 2)
    assert roles["student-7b"]["curate"] == ("made of", 3)
    assert roles["teacher"]["serve:teacher"] == ("proved by", 1)
    assert "capture" not in roles["teacher"]
    assert roles["teacher"]["select"] == ("overhead", 3)
    shares = [line.share_micro_usd or 0 for one in found.models for line in one.lines]
    assert sum(shares) + sum(one.unattributed_micro_usd for one in found.models) == pytest.approx(everything)
    assert found.models[0].unseen == ["gate:teacher"]
    assert found.models[0].micro_usd is None


def test_units_and_score_points(served: Settings) -> None:
    found = build_cost(served, "finance@local")
    assert (found.accepted_documents, found.micro_usd_per_document) == (40, 80_000 / 40)
    assert (found.accepted_answers, found.micro_usd_per_answer) == (10, (80_000 + 50_000) / 10)
    gains = {gain.challenger: gain for gain in found.gains}
    assert gains["teacher"].points == pytest.approx(50)
    assert gains["teacher"].micro_usd == 5 * 80_000  # the base was there before: corpus and tuning
    assert gains["teacher"].micro_usd_per_point == pytest.approx(5 * 80_000 / 50)


def test_the_cost_command(served: Settings, tmp_path: Path) -> None:
    open_ledger(served).record_estimate("b1", "student:student-7b", "cpu", 1800.0, None, at=NOON)
    shown = stillroom("cost", "finance@local", "--model", "student-7b").output
    for word in (
        "student-7b",
        "made of",
        "capture",
        "accepted document",
        "score point, base to teacher",
        "cost unknown",
    ):
        assert word in shown
    assert "planned s" in shown and "1,800.0" in shown  # of student-7b, beside 10,800 taken
    assert len(json.loads(stillroom("cost", "finance@local", "--json").output)["models"]) == 3
    assert "rows" in stillroom("cost", "finance@local", "--out", str(tmp_path / "cost.csv")).output
    assert (tmp_path / "cost.csv").read_text().count("\n") > 20
    for words, told in (
        (["finance"], "must be asked of VERTICAL@NAME"), (["finance@production"], "has no build here that served"),
        (["finance@local", "--model", "x"], "was not served by this build"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=told):
            stillroom("cost", *words)


@pytest.mark.parametrize(
    ("micro_usd", "told"),
    [(0.19, "0.00000019"), (0.0042, "0.0000000042"), (1.0, "0.000001"), (0.0, "0.00"), (None, "unknown")],
)
def test_a_unit_that_costs_less_than_a_micro_usd_costs_something(micro_usd: float | None, told: str) -> None:
    assert _each(micro_usd) == told


def test_a_promoted_build_is_what_its_name_costs(served: Settings) -> None:
    assert "no build is promoted" in stillroom("promote").output
    words = ["promote", "b1", "--why", "review 12", "--by", "ann"]
    assert "finance@production is build b1 (teacher, student-7b, student-14b)" in stillroom(*words).output
    assert "was already" in stillroom(*words).output
    told = stillroom("cost", "finance@production").output
    assert "finance@local · build b1" in told and "student-14b" in told
    assert "promoted to production by ann on " in told and "review 12" in told
    stillroom("promote", "b1", "--as", "small", "--model", "student-7b", "--why", "cheap")
    found = json.loads(stillroom("cost", "finance@small", "--json").output)
    assert (found["promotion"]["model"], found["promotion"]["reason"]) == ("student-7b", "cheap")
    assert "student-14b" not in stillroom("cost", "finance@small").output
    assert [row["name"] for row in json.loads(stillroom("promote", "--json").output)] == ["small", "production"]
    assert "review 12" in stillroom("promote").output


def test_what_was_never_served_is_not_promoted(served: Settings) -> None:
    open_ledger(served).start_build("c1", "finance", "local", "recipe-1", at=NOON)
    for words, told in (
        (["c1", "--why", "x"], "build c1: served no model"), (["nope", "--why", "x"], "has no such build, got nope"),
        (["b1", "--why", "x", "--model", "y"], "was not served by this build, got y\n\nhint: served: teacher"),
        (["b1"], "must say why"),
    ):  # fmt: skip
        with pytest.raises(StillroomError, match=told):
            stillroom("promote", *words)
    assert "no build is promoted" in stillroom("promote").output


def test_a_promoted_build_whose_records_are_elsewhere_is_told(served: Settings) -> None:
    books = open_ledger(served)
    books.start_build("c1", "finance", "local", "recipe-1", at=NOON)
    promote(books, "c1", "production", by="ann", reason="built on the cluster")
    with pytest.raises(InputError, match="finance@production: is a build whose stages are not known here, got c1"):
        stillroom("cost", "finance@production")
    assert "b1" in stillroom("cost", "finance@local").output


def test_nothing_but_usd_is_booked_by_any_command(books: Ledger) -> None:
    day, evidence = ["--from", "2026-07-01"], ["--evidence", "note 3"]
    for words in (
        ["ledger", "price", "NVIDIA H200", "--usd", "2", "--source", "contract 9", *day],
        ["ledger", "adjust", "--usd=-2.5", "--reason", "credit", *evidence, *day],
        ["ledger", "book", "people", "--usd", "2", "--provider", "us", *evidence, *day],
    ):
        with pytest.raises(LedgerError, match="must be in USD, got GBP\n\nhint: the ledger keeps USD: convert at"):
            stillroom(*words, "--currency", "GBP")
    assert len(json.loads(stillroom("ledger", "spend", "--json").output)) == 1
