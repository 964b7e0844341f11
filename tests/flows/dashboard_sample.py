"""A home for the dashboard's tests: three builds, a store with a lineage, budgets, an open lease; invented figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.artifacts import describe
from contracts.reports import Estimate, EvaluationReport, SuiteScore
from contracts.usage import Usage
from flows.settings import Settings
from flows.store import Store
from ledger import Ledger, processes
from ledger.budgets import set_budget
from ledger.charges import Expense, book_expense

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOSTILE = '<script>window.injected=1</script>"><img src=x onerror=window.injected=1>\u202etxt.exe' + "x" * 240
Stage = tuple[str, str, Mapping[str, str], float, Mapping[str, Any]]
CHAIN: tuple[Stage, ...] = (
    # stage, kind, inputs, GPU-hours, metrics
    ("curate", "corpus", {}, 0.5, {"accepted": 40}),
    ("base:tiny", "model", {}, 0.25, {"licence": "Apache-2.0"}),
    ("evaluate:base", "evaluation", {"model": "base:tiny", "corpus": "curate"}, 0.1, {"score": 0.1}),
    ("sft", "adapter", {"model": "base:tiny", "corpus": "curate"}, 2.0, {"loss_last": 0.06}),
    ("merge:sft", "model", {"model": "base:tiny", "adapter": "sft"}, 0.1, {}),
    ("evaluate:sft", "evaluation", {"model": "merge:sft", "corpus": "curate"}, 0.1, {"score": 0.9}),
    ("gate:sft", "comparison", {"champion": "evaluate:base", "challenger": "evaluate:sft"}, 0.1, {"verdict": "GO"}),
    ("distil", "distilled", {"answers": "merge:sft", "corpus": "curate"}, 0.2, {"accepted": 10}),
    ("student:small", "model", {"teacher": "merge:sft", "distilled": "distil"}, 3.0, {}),
    ("evaluate:small", "evaluation", {"model": "student:small", "corpus": "curate"}, 0.1, {"score": 0.905}),
    ("serve:small", "serving", {"model": "student:small"}, 0.3, {}),
)


def fp(stage: str, prefix: str = "f") -> str:
    """A fingerprint of a stage."""
    return prefix + stage.replace(":", "-")


def sample_home(home: Path, *, hostile: bool = False, at: datetime = NOON) -> Settings:
    """Made under ``home``: build b1 of finance ran the chain at 2 USD a GPU-hour, b2 came from the cache, b3 failed."""
    settings = Settings(home=home)
    home.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(settings.ledger, spool=home / "spool")
    ledger.load_prices(
        {"H100": [(at - timedelta(days=60), 2, "list")], "cpu": [(at - timedelta(days=60), "0.08", "list")]}
    )
    estate = HOSTILE if hostile else "real_estate"
    ledger.start_build("b1", "finance", "local", "r1", at=at, team="risk")
    ledger.start_build("b2", "finance", "local", "r1", at=at + 40 * HOUR, team="risk")
    ledger.start_build(
        HOSTILE if hostile else "b3", estate, "smoke", "r2", at=at + 50 * HOUR, team=HOSTILE if hostile else ""
    )
    _chain(ledger, home, at, HOSTILE if hostile else "Apache-2.0")
    _lease(ledger, HOSTILE if hostile else "b3", HOSTILE if hostile else "sft", "lost", at + 50 * HOUR, 1, exit_code=1)
    for stage, *_ in CHAIN[:4]:
        ledger.record_saved("b2", stage, fp(stage), at=at + 41 * HOUR)
    ledger.record_estimate("b1", "sft", "H100", 3600.0, 2_000_000, at=at)
    ledger.record_estimate("b1", "student:small", "H100", 12_000.0, None, at=at)
    booked = Expense(period_start=at, period_end=at + HOUR, micro_usd=1, evidence="note 7", category="annotation",
                     provider=HOSTILE if hostile else "Labels Ltd", vertical="finance")  # fmt: skip
    book_expense(ledger, booked)
    set_budget(ledger, HOSTILE if hostile else "all-time", 100)
    set_budget(ledger, "finance-month", "9.5", scope="vertical", scope_value="finance", period="month", policy="stop")
    return settings


def open_a_lease(settings: Settings, stage: str = "dpo", seconds_ago: float = 90) -> str:
    """A lease of build b2 that is held now; its last sign of life is five seconds old."""
    ledger = Ledger.open(settings.ledger, spool=settings.home / "spool")
    now = datetime.now(UTC)
    me = processes.this_process()
    lease = ledger.open_lease("b2", stage, f"f-{stage}", "H100", 2, **me, at=now - timedelta(seconds=seconds_ago))
    ledger.beat(lease.id, at=now - timedelta(seconds=5))
    return lease.id


def close_lease(settings: Settings, lease_id: str) -> None:
    Ledger.open(settings.ledger, spool=settings.home / "spool").close(lease_id, 0)


def _lease(
    ledger: Ledger,
    build: str,
    stage: str,
    fingerprint: str,
    at: datetime,
    hours: float,
    exit_code: int = 0,
    device: str = "H100",
) -> None:
    lease = ledger.open_lease(build, stage, fingerprint, device, 1, **processes.this_process(), at=at)
    ledger.beat(lease.id, at=at + hours * HOUR / 2)
    usage = Usage(device=device, device_seconds=3600 * hours - 60, tokens_in=7, tokens_out=3)
    ledger.close(lease.id, exit_code, usage, at=at + hours * HOUR)


def _chain(ledger: Ledger, home: Path, at: datetime, licence: str) -> None:
    _lease(ledger, "b1", "sft", fp("sft"), at + 20 * HOUR, 0.5, exit_code=137)
    lines = _stages(ledger, home, "b1", CHAIN, at, licence)
    for build in ("b1", "b2"):
        _told(home, build, lines if build == "b1" else lines[:4])


def add_stages(settings: Settings, build: str, stages: Sequence[Stage], at: datetime, prefix: str) -> None:
    """More artifacts of a build that is known; those of the same stages as the chain's are others, by the prefix."""
    ledger = Ledger.open(settings.ledger, spool=settings.home / "spool")
    told = json.loads((settings.home / "builds" / build / "lines.json").read_text())
    _told(settings.home, build, told + _stages(ledger, settings.home, build, stages, at, "Apache-2.0", prefix))


def _told(home: Path, build: str, lines: list[dict[str, str]]) -> None:
    folder = home / "builds" / build
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lines.json").write_text(json.dumps(lines))


def _stages(
    ledger: Ledger, home: Path, build: str, stages: Sequence[Stage], at: datetime, licence: str, prefix: str = "f"
) -> list[dict[str, str]]:
    """Leases and artifacts, one after the other; their lines. Inputs of other stages are the chain's."""
    store, own, begun = Store(home), {stage for stage, *_ in stages}, at
    for stage, kind, inputs, hours, metrics in stages:
        identity = fp(stage, prefix)
        _lease(ledger, build, stage, identity, begun, hours, device="cpu" if stage == "curate" else "H100")
        behind = {name: fp(one, prefix if one in own else "f") for name, one in inputs.items()}
        _publish(store, stage, identity, kind, behind, dict(metrics), licence)
        begun += hours * HOUR
    return [{"stage": stage, "fingerprint": fp(stage, prefix)} for stage, *_ in stages]


def _publish(
    store: Store,
    stage: str,
    identity: str,
    kind: str,
    inputs: dict[str, str],
    metrics: dict[str, object],
    licence: str,
) -> None:
    out = store.work(stage, identity) / "out"
    out.mkdir(parents=True)
    section: dict[str, object] = {"stage": stage}
    if kind == "evaluation":
        value = float(metrics.pop("score"))  # type: ignore[arg-type]
        name = stage.partition(":")[2]
        estimate = Estimate(value=value, low=max(0.0, value - 0.03), high=min(1.0, value + 0.03), n=64)
        suite = SuiteScore(task="cover", items=64, scores={"field_f1": estimate})
        report = EvaluationReport(model=name, engine="local", suites={"cover": suite}, completion_tokens=9, seconds=1.0)
        (out / "report.json").write_text(report.model_dump_json())
        metrics |= {"cover.field_f1": value, "model": name}
        section = {"evaluation": {"primary_task": "cover", "primary_metric": "field_f1"}}
    if kind == "corpus":
        (out / "card.json").write_text(json.dumps({"licences": {licence: 30, "CC0-1.0": 10}}))
    (out / "note.txt").write_text(stage)
    draft = describe(out, kind, metrics)
    usage = Usage(device="H100", device_seconds=60)
    store.publish(
        draft.model_copy(
            update={"fingerprint": identity, "stage": stage, "inputs": inputs, "section": section, "usage": usage}
        ),
        stage,
    )
    shutil.rmtree(out.parent, ignore_errors=True)
