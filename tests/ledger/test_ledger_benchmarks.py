"""The ledger's benchmarks, small: they run, what they check holds, and the checks can fail."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.ledger_kills import SUMMED, added_up, holds, portion
from benchmarks.ledger_kills_checks import Life, Lives, corrupt_rows, uncovered_seconds
from benchmarks.ledger_scale import measure
from ledger import Ledger
from ledger.leases import read_spans
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
    victims = ["flow", "worker", "supervisor", "trainer"] + (["connection", "server"] if server else [])
    found = portion(len(victims), tmp_path, server, chain="tiny")
    assert found["holds"], found
    assert found["by_victim"] == Counter(victims)
    assert found["lives"] >= 3 and found["held_at_least_seconds"] > 0
    file = tmp_path / "kills.jsonl"
    file.write_text(f"{json.dumps(found)}\n{json.dumps(found)}\n")
    total = added_up(file)
    assert (total["kills"], total["portions"], total["holds"]) == (2 * found["kills"], 2, True)


GOOD = dict.fromkeys(SUMMED, 0) | {"kills": 2, "lives": 3, "held_at_least_seconds": 10.0} | {
    "held_at_most_seconds": 10.1, "billed_seconds": 12.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"billed_seconds": 9.9}, {"billed_seconds": 14.2}, {"uncovered_seconds": 0.04}, {"open_leases": 1},
        {"orphans": 1}, {"corrupt_rows": 1}, {"broken_artifacts": 1},
    ],
)  # fmt: skip
def test_a_portion_that_lost_or_invented_something_does_not_hold(change: dict[str, float]) -> None:
    assert holds(GOOD)
    assert not holds(GOOD | change)


def test_a_life_outside_of_its_lease_is_seen(ledger: Ledger, noon: datetime) -> None:
    lease = ledger.hold("b1", "sft", "fp", "cpu")
    ledger.close(lease.id, 0, at=lease.opened_at + timedelta(seconds=10))
    with ledger.reading() as connection:
        spans = read_spans(connection)
    start = lease.opened_boot_seconds
    inside, late = (Life(1, "/w/sft-fp/spec.json", start + since, alive_at=start + since + 5) for since in (0, 8))
    other = Life(3, "/w/sft-other/spec.json", start, alive_at=start + 2)
    assert uncovered_seconds([inside], spans) == pytest.approx(0, abs=1e-6)
    assert uncovered_seconds([inside, late], spans) == pytest.approx(3, abs=0.02)
    assert uncovered_seconds([other], spans) == pytest.approx(2, abs=0.02)
    assert corrupt_rows(ledger) == []


def test_lives_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "lives.jsonl"
    lives = Lives(file)
    birth = json.dumps({"what": "birth", "pid": 7, "spec": "/w/student-7b-fp/spec.json", "at": 5.0})
    with file.open("a") as out:
        out.write(birth[:20])
        out.flush()
        assert lives.alive() == []
        out.write(
            birth[20:] + "\n" + json.dumps({"what": "gap", "pid": 0, "spec": "", "at": 6.0, "seconds": 0.7}) + "\n"
        )
        out.flush()
        assert [(one.stage, one.fingerprint) for one in lives.alive()] == [("student-7b", "fp")]
        out.write(json.dumps({"what": "death", "pid": 7, "spec": "", "at": 9.5, "alive_at": 9.4}) + "\n")
    assert lives.alive() == [] and lives.all[0].seconds_at_most == 4.5 and lives.longest_gap_seconds == 0.7
