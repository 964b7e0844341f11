"""Ledgers of earlier revisions, with rows of every kind, open under this code with nothing lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from ledger import Ledger, build_lines, build_totals
from ledger.database import MIGRATIONS
from ledger.promotions import promote, promotions
from ledger.spend import spend
from tests.ledger.conftest import asking, engine_of

AT = "2026-03-01 {}.000000{zone}"
ROWS = (
    "INSERT INTO build VALUES ('b0', 'finance', 'local', 'recipe-0', '{at:10:00:00}')",
    "INSERT INTO device VALUES ('h100', 'gpu')",
    "INSERT INTO price (device, micro_usd_per_device_hour, valid_from, source, recorded_at) "
    "VALUES ('h100', 3000000, '{at:00:00:00}', 'list', '{at:10:00:00}')",
    "INSERT INTO lease VALUES ('l0', 'b0', 'sft', 'fp', 1, 'h100', 2, 'host', 'boot', 7, 8, '{at:10:00:00}', 5.5)",
    "INSERT INTO lease VALUES ('l1', 'b0', 'dpo', 'fp1', 1, 'h100', 1, 'host', 'boot', 7, 8, '{at:12:00:00}', 5.5)",
    "INSERT INTO lease_event (idempotency_key, kind, lease_id, at, recorded_at, exit_code, detail) "
    "VALUES ('l0:close', 'close', 'l0', '{at:11:00:00}', '{at:11:00:00}', 0, '{usage}')",
    "INSERT INTO lease_event (idempotency_key, kind, lease_id, at, recorded_at, exit_code, detail) "
    "VALUES ('l1:beat', 'beat', 'l1', '{at:12:30:00}', '{at:12:30:00}', NULL, '{usage}')",
    "INSERT INTO lease_event (idempotency_key, kind, lease_id, build_id, at, recorded_at, exit_code, detail) "
    "VALUES ('saved', 'saved', 'l0', 'b0', '{at:12:30:00}', '{at:12:30:00}', NULL, '{saved}')",
    "INSERT INTO estimate (build_id, stage, device, device_seconds, micro_usd, made_at) "
    "VALUES ('b0', 'sft', 'h100', 3000, 5, '{at:10:00:00}')",
)

MONEY_ROWS = (
    "INSERT INTO expense (idempotency_key, category, provider, build_id, period_start, period_end, quantity, unit, "
    "micro_usd, evidence, recorded_at) VALUES ('e0', 'people', 'us', 'b0', '{at:10:00:00}', '{at:11:00:00}', "
    "1, 'Hours', 7, 'sheet', '{at:11:00:00}')",
    "INSERT INTO budget (name, scope, period, micro_usd, policy, warn_share, valid_from, recorded_at) "
    "VALUES ('all', 'all', 'total', 100, 'warn', 0.8, '{at:10:00:00}', '{at:10:00:00}')",
)


class At:
    """``{at:10:00:00}`` as the database keeps it."""

    def __init__(self, zone: str) -> None:
        self.zone = zone

    def __format__(self, time: str) -> str:
        return f"2026-03-01 {time}.000000{self.zone}"


def earlier(url: str, revision: str) -> None:
    """What that revision's code made of an empty database, and booked in it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    zone = "+00" if url.startswith("postgresql") else ""
    saved = '{"stage": "sft", "fingerprint": "fp", "device": "h100", "device_seconds": 7200.0}'
    if not zone:
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True)
    with engine_of(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        told: dict[str, Any] = {"at": At(zone), "usage": '{"usage": null}', "saved": saved}
        for row in ROWS:
            connection.exec_driver_sql(row.format(**told))
        if revision == "0001":
            return
        command.upgrade(config, revision)
        for row in MONEY_ROWS:
            connection.exec_driver_sql(row.format(**told))


def test_a_ledger_of_the_first_revision_moves_forward_with_its_rows(empty_url: str, spool: Path) -> None:
    earlier(empty_url, "0001")
    rows = asking(empty_url)
    kept = {table: rows(f"SELECT * FROM {table}") for table in ("price", "device", "lease_event", "estimate")}
    ledger = Ledger.open(empty_url, spool=spool)
    assert {table: rows(f"SELECT * FROM {table}") for table in kept} == kept
    assert rows("SELECT version_num FROM alembic_version") == [("0003",)]
    assert rows("SELECT id, team FROM build") == [("b0", "")]
    assert rows("SELECT DISTINCT share_numerator, share_denominator, device_count FROM lease ORDER BY 3") == [
        (1, 1, 1), (1, 1, 2),
    ]  # fmt: skip
    sft, dpo = build_lines(ledger, "b0")
    assert (sft.device_seconds, sft.micro_usd, sft.saved_seconds, sft.status) == (7200.0, 6_000_000, 7200.0, "done")
    assert (dpo.device_seconds, dpo.micro_usd, dpo.status) == (1800.0, 1_500_000, "open")
    assert build_totals(ledger, "b0").micro_usd == 7_500_000
    [month] = spend(ledger)
    assert (month.group, month.gpu_hours, month.micro_usd) == ({"month": "2026-03"}, 2.5, 7_500_000)
    # And it is written on, by the new code, under the old build.
    [running] = ledger.open_leases()
    ledger.close(running.lease.id, 0, at=running.lease.opened_at + timedelta(hours=1))
    assert build_totals(ledger, "b0").open_leases == 0


def test_a_ledger_of_the_second_revision_gains_the_register_and_keeps_its_money(empty_url: str, spool: Path) -> None:
    earlier(empty_url, "0002")
    rows = asking(empty_url)
    tables = ("build", "price", "lease", "lease_event", "expense", "budget")
    kept = {table: rows(f"SELECT * FROM {table}") for table in tables}
    ledger = Ledger.open(empty_url, spool=spool)
    assert {table: rows(f"SELECT * FROM {table}") for table in tables} == kept
    assert all(kept.values())
    assert [line.expense_micro_usd for line in spend(ledger)] == [7]
    assert promote(ledger, "b0", "production", by="ann", reason="review 12")
    for statement in ("UPDATE promotion SET reason = 'x'", "DELETE FROM promotion"):
        with pytest.raises(DBAPIError, match="insert-only"):
            rows(statement)
    assert [one.reason for one in promotions(ledger)] == ["review 12"]
