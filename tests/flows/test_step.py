"""The choke point, with real processes and a real ledger: cached, booked, resumed, refused, killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

import flows.step
from contracts.artifacts import Artifact
from contracts.artifacts import load as load_artifact
from contracts.errors import BudgetError, BusyError, GateError, InputError, StageError
from flows.build import Build, Enough, opened
from flows.code_version import code_version
from flows.settings import CHECKOUT, Settings
from flows.step import Asked, carried_out, plain_steps, steps
from ledger.budgets import set_budget
from ledger.report import build_lines
from ledger.spend import spend
from recipes.load import load
from tests.flows.tiny_stage import TinySection

MODULE = "tests.flows.tiny_stage"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", heartbeat_seconds=0.2, lease_ttl_seconds=1.0)


def _step(build: Build, name: str = "tiny", section: TinySection | None = None, **inputs: object):  # type: ignore[no-untyped-def]
    return plain_steps(build)(name, MODULE, section or TinySection(), inputs, device=True)


def test_second_time_is_cached_and_booked_as_saved(settings: Settings) -> None:
    with opened("one", load("finance"), settings, None, "", "") as build:
        first = _step(build)
        assert not build.lines[0].cached
    with opened("two", load("finance"), settings, None, "", "") as build:
        again = _step(build)
        (line,) = build_lines(build.ledger, "two")
    assert again == first
    assert build.lines[0].cached
    assert (line.status, line.device_seconds) == ("cached", 0)
    assert line.saved_seconds > 0


def test_inputs_and_settings_and_code_make_the_identity_and_place_does_not(settings: Settings) -> None:
    with opened("one", load("finance"), settings, None, "", "") as build:
        first = _step(build)
        slow = _step(build, section=TinySection(seconds=0.1))
        other = _step(build, section=TinySection(text="bye"))
        after_first = _step(build, "next", source=first)
        after_other = _step(build, "next", source=other)
    assert slow.fingerprint == first.fingerprint
    assert len({first.fingerprint, other.fingerprint, after_first.fingerprint, after_other.fingerprint}) == 4
    assert (after_other.path / "out.txt").read_text() == "byehello"


def test_damaged_artifact_is_made_again(settings: Settings) -> None:
    with opened("one", load("finance"), settings, None, "", "") as build:
        first = _step(build)
        (first.path / "out.txt").write_text("rotten")
        again = _step(build)
    assert (again.path / "out.txt").read_text() == "hello"
    assert [line.cached for line in build.lines] == [False, False]


def test_from_makes_a_stage_and_all_after_it_anew(settings: Settings) -> None:
    with opened("one", load("finance"), settings, None, "", "") as build:
        first = _step(build, "a")
        _step(build, "b", source=first)
    with opened("two", load("finance"), settings, None, "", "b") as build:
        first = _step(build, "a")
        _step(build, "b", source=first)
    assert [line.cached for line in build.lines] == [True, False]


def test_only_refuses_to_build_what_it_was_not_asked_for(settings: Settings) -> None:
    with (
        opened("one", load("finance"), settings, None, "serving", "") as build,
        pytest.raises(InputError, match="needs an artifact that is not built yet, got tiny"),
    ):
        _step(build)


def test_from_counts_though_the_stages_own_artifact_is_gone(settings: Settings) -> None:
    with opened("one", load("finance"), settings, None, "", "") as build:
        first = _step(build, "a")
        _step(build, "b", source=first)
    shutil.rmtree(first.path)
    with opened("two", load("finance"), settings, None, "", "a") as build:
        _step(build, "b", source=_step(build, "a"))
    assert [line.cached for line in build.lines] == [False, False]


def test_only_stops_behind_its_stage_before_prefect_has_a_task(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def shown_stage(build: Build, asked: Asked) -> Artifact:
        shown.append(asked.name)
        return carried_out(build, asked)

    # Prefect's engine wants a server; whether it is asked at all is what counts here.
    monkeypatch.setattr(flows.step, "stage_task", shown_stage)

    def chain(build: Build) -> None:
        step, made = steps(build), {}
        for name in "abc":
            made = {"source": step(name, MODULE, TinySection(), made)}

    with opened("one", load("finance"), settings, None, "b", "") as build, pytest.raises(InputError, match="got a\n"):
        chain(build)
    assert shown == []
    with opened("two", load("finance"), settings, None, "a", "") as build, pytest.raises(Enough, match="b"):
        chain(build)
    with opened("three", load("finance"), settings, None, "b", "") as build, pytest.raises(Enough, match="c"):
        chain(build)
    with opened("four", load("finance"), settings, None, "b", "") as build, pytest.raises(Enough, match="c"):
        chain(build)  # all of it cached: there is nothing to miss either
    assert shown == ["a", "a", "b", "a", "b"]


def test_a_stages_refusal_comes_through_as_it_was_said_and_is_booked_as_waste(settings: Settings) -> None:
    with opened("one", load("finance"), settings, None, "", "") as build:
        with pytest.raises(GateError, match="tiny: refuses, got hello\n\nhint: ask kindly"):
            _step(build, section=TinySection(refuse=True))
        (line,) = build_lines(build.ledger, "one")
    assert line.status == "failed"
    assert line.wasted_seconds == line.device_seconds > 0


def test_a_killed_stage_says_so_and_the_next_attempt_resumes(settings: Settings) -> None:
    section = TinySection(die_once=True)
    with opened("one", load("finance"), settings, None, "", "") as build:
        with pytest.raises(StageError, match="signal 9"):
            _step(build, section=section)
        made = _step(build, section=section)
        (line,) = build_lines(build.ledger, "one")
    assert made.metrics == {"resumed": True}
    assert (line.attempts, line.status) == (2, "done")
    assert 0 < line.wasted_seconds < line.device_seconds


def test_two_builds_of_one_vertical_at_once(settings: Settings) -> None:
    with (
        opened("one", load("finance"), settings, None, "", ""),
        pytest.raises(BusyError, match="finance: is being built already"),
        opened("two", load("finance"), settings, None, "", ""),
    ):
        pass


def test_nothing_starts_past_the_budget(settings: Settings) -> None:
    with opened("one", load("finance", "local", ("budget.usd=1e-9",)), settings, None, "", "") as build:
        _step(build, section=TinySection(seconds=0.2))
        with pytest.raises(BudgetError, match="the budget of 1e-09 USD is spent"):
            _step(build, "next")


def test_a_budget_that_stops_ends_a_run_at_a_checkpoint_and_the_next_one_goes_on(settings: Settings) -> None:
    section = TinySection(seconds=20.0, checkpoints=True)
    with opened("one", load("finance"), settings, None, "", "") as build:
        set_budget(build.ledger, "tiny", "0.000001", scope="vertical", scope_value="finance", policy="stop")
        with pytest.raises(BudgetError, match=r"budget tiny: .* for stage tiny, stopped at a checkpoint"):
            _step(build, section=section)
        (line,) = build_lines(build.ledger, "one")
        assert (line.status, line.wasted_seconds) == ("stopped", 0)
        assert line.device_seconds < 20
        with pytest.raises(BudgetError, match="budget tiny"):
            _step(build, section=section)
        set_budget(build.ledger, "tiny", 5, scope="vertical", scope_value="finance", policy="stop")
        made = _step(build, section=TinySection(seconds=0.1, checkpoints=True))
        (line,) = build_lines(build.ledger, "one")
    assert made.metrics == {"resumed": True}
    assert (line.attempts, line.status) == (2, "done")


def test_the_recipes_own_budget_ends_a_run_at_a_checkpoint_too(settings: Settings) -> None:
    section = TinySection(seconds=20.0, checkpoints=True)
    with opened("one", load("finance", "local", ("budget.usd=1e-7",)), settings, None, "", "") as build:
        with pytest.raises(BudgetError, match="stage tiny: the budget of 1e-07 USD is spent"):
            _step(build, section=section)
        (line,) = build_lines(build.ledger, "one")
    assert (line.status, line.wasted_seconds) == ("stopped", 0)
    assert line.device_seconds < 20
    with opened("two", load("finance"), settings, None, "", "") as build:
        assert _step(build, section=TinySection(seconds=0.1, checkpoints=True)).metrics == {"resumed": True}


def test_a_team_and_a_share_of_a_device_are_booked(settings: Settings) -> None:
    mine = settings.model_copy(update={"team": "risk", "device_share": "2/7"})
    with opened("one", load("finance"), mine, None, "", "") as build:
        lease = build.open_lease("tiny", "fp", device=True)
        assert lease.share == Fraction(2, 7)
        build.ledger.close(lease.id, 0)
        assert spend(build.ledger, ("team",))[0].group == {"team": "risk"}
    for wrong in ("0", "8/7", "half", "1/0"):
        with pytest.raises(InputError, match="STILLROOM_DEVICE_SHARE: must be above 0 and up to 1"):
            _ = settings.model_copy(update={"device_share": wrong}).share


def test_other_verticals_go_on_beside_it(settings: Settings) -> None:
    with (
        opened("one", load("finance"), settings, None, "", ""),
        opened("two", load("real_estate"), settings, None, "", ""),
    ):
        pass


SUPERVISOR = """
import sys
from pathlib import Path
from flows.build import opened
from flows.settings import Settings
from flows.step import plain_steps
from recipes.load import load
from tests.flows.tiny_stage import TinySection
settings = Settings(home=Path(sys.argv[1]), heartbeat_seconds=0.2, lease_ttl_seconds=1.0)
with opened(sys.argv[2], load("finance"), settings, None, "", "") as build:
    plain_steps(build)("tiny", "tests.flows.tiny_stage", TinySection(seconds=float(sys.argv[3])), {}, device=True)
"""


def test_killed_flow_leaves_no_orphan_no_half_artifact_and_no_lost_second(settings: Settings) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(settings.home)]
    flow = subprocess.Popen([*command, "one", "30"], cwd=CHECKOUT, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
    progress = settings.home / "builds" / "one" / "progress.json"
    deadline = time.monotonic() + 60
    while not (progress.is_file() and json.loads(progress.read_text())["total"]):
        assert flow.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    started = time.monotonic()
    time.sleep(1.0)
    flow.send_signal(signal.SIGKILL)
    flow.wait()
    true_seconds = time.monotonic() - started
    time.sleep(0.5)
    left = subprocess.run(["pgrep", "-f", f"tiny_stage {settings.home}"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    assert (
        not [path for path in (settings.home / "store").rglob("*") if load_artifact(path)]
        if (settings.home / "store").exists()
        else True
    )
    with opened("two", load("finance"), settings, None, "", "") as build:
        (line,) = build_lines(build.ledger, "one")
        assert line.status == "killed"
        assert true_seconds - 0.3 <= line.device_seconds <= true_seconds + 15
        made = _step(build, section=TinySection(seconds=0.1))
        assert made.metrics == {"resumed": True}


def test_code_version_is_read_without_importing() -> None:
    assert code_version(MODULE) == "1"
    with pytest.raises(InputError, match="declares no CODE_VERSION"):
        code_version("tests.conftest")
