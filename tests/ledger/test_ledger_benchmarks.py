"""The ledger's benchmarks, small: they run, and what they check holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ledger_kills import rounds
from benchmarks.ledger_scale import measure
from ledger import Ledger
from ledger.spend import spend


def test_a_filled_ledger_reports_what_was_filled_in(url: str, spool: Path) -> None:
    ledger = Ledger.open(url, spool=spool)
    found = measure(ledger, events=1_200, leases=60, runs=1)
    assert found["events"] == 1_200
    lines = spend(ledger, ("month",))
    assert len(lines) >= 12
    held_seconds = sum((15 * 19 + 7) * (1 + number % 8) for number in range(60) if number % 4 != 3)
    assert sum(line.gpu_hours for line in lines) * 3600 == pytest.approx(held_seconds, abs=60)
    assert all(line.micro_usd is not None for line in lines[:12])


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_few_kills_lose_nothing(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres") if database == "postgresql" else None
    found = rounds(4 if server else 2, tmp_path, server)
    assert found.holds, found
