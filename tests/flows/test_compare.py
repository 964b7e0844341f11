"""``stillroom plan compare`` and ``plan check`` as a user meets them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from contracts.errors import StillroomError
from flows.cli import app

RUNNER = CliRunner(env={"COLUMNS": "200"})


def compared(*arguments: str) -> dict[str, object]:
    said = RUNNER.invoke(app, ["plan", "compare", "finance", "--json", *arguments])
    assert said.exception is None, said.exception
    return dict(json.loads(said.stdout))


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path_factory.mktemp("home") / "none"))


def test_the_tables_name_ways_apis_and_ratios() -> None:
    said = RUNNER.invoke(app, ["plan", "compare", "finance", "--tokens-a-day", "2e8"])
    assert said.exit_code == 0, said.exception
    for text in (
        "students from scratch",
        "this build",
        "times Chinchilla",
        "break-even",
        "contract review",
        "student-7b",
    ):
        assert text in said.output


def test_a_given_build_cost_takes_the_place_of_the_plans() -> None:
    own, given = compared(), compared("--build-usd", "300000", "--refresh-usd", "50000")
    assert own["demand"]["build_usd"] < 10_000 and given["demand"]["build_usd"] == 300_000  # type: ignore[index]
    assert given["against"][0]["own_usd"] > own["against"][0]["own_usd"] + 600_000  # type: ignore[index]


def test_prices_fall_over_the_years_of_the_horizon() -> None:
    prices = compared("--months", "24")["prices"]["GPT-4o"]  # type: ignore[index]
    assert len(prices) in (2, 3) and list(prices.values()) == sorted(prices.values(), reverse=True)


def test_fine_tuning_takes_a_fraction_of_training_from_scratch() -> None:
    optimal, usual, tuned = compared()["ways"]  # type: ignore[misc]
    assert tuned["flops"] < optimal["flops"] / 10 < usual["flops"] / 100


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tokens-a-day", "0"], "--tokens-a-day: must be over 0"),
        (["--tokens-a-day", "nan"], "--tokens-a-day: must be over 0"),
        (["--months", "0"], "--months: must be 1 to 240"),
        (["--build-usd", "-1"], "--build-usd: must be 0 to"),
        (["--refresh-usd", "inf"], "--refresh-usd: must be 0 to"),
        (["--student", "nobody"], "--student: is not in this recipe, got 'nobody'"),
        (["--serve-on", "MI300X"], "--serve-on: is a device without a price"),
        (["--device", "MI300X"], "--device: has no price, got MI300X"),
        (["--serve-on", "L40", "--device", "H100-SXM"], "did you mean L40S?"),
        (["--set", "students.student-7b.model=Qwen3-32B", "--student", "student-7b"], "does not hold the student"),
    ],
    ids=" ".join,
)
def test_what_has_no_answer_is_refused(arguments: list[str], told: str) -> None:
    said = RUNNER.invoke(app, ["plan", "compare", "finance", *arguments])
    assert isinstance(said.exception, StillroomError)
    assert told in str(said.exception) and "hint: " in str(said.exception)


def test_check_shows_every_figure_and_is_whole() -> None:
    said = RUNNER.invoke(app, ["plan", "check", "--json"])
    assert said.exception is None
    rows = json.loads(said.stdout)
    assert len(rows) > 50 and all(row["stands"] for row in rows)
    assert RUNNER.invoke(app, ["plan", "check"]).output.count("contradicts its source") >= 4


def test_the_page_shows_the_table_that_the_command_makes() -> None:
    from flows.settings import CHECKOUT

    made = RUNNER.invoke(app, ["plan", "check", "--markdown"]).stdout
    assert made in (CHECKOUT / "docs" / "plan.md").read_text(encoding="utf-8")


def test_several_devices_stand_side_by_side() -> None:
    said = RUNNER.invoke(app, ["plan", "finance", "--scale", "production", "--device", "8xH200", "--device", "B200"])
    assert said.exit_code == 0 and "8 x H200" in said.output and "B200" in said.output
    asked = ["plan", "finance", "--scale", "production", "--json", "--device", "8xH200", "--device", "B200"]
    assert [one["device"] for one in json.loads(RUNNER.invoke(app, asked).stdout)] == ["8 x H200", "B200"]
