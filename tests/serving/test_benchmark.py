"""The stage over a small real engine: card, cells, failures; the load generator's protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.artifacts import Artifact, describe, publish
from contracts.errors import GateError, ServeError
from contracts.serving_report import ServingCard
from recipes.schema import Serving
from recipes.stage_sections import BenchmarkSection
from serving.benchmark import measure
from serving.engine import Engine
from serving.load import Cell, LoadGenerator, Slo
from serving.server import Server, ServerSettings

MakeEngine = Callable[[str], Engine]
SECTION = BenchmarkSection(
    model_name="tiny",
    serving=Serving(
        max_model_len=256,
        input_tokens=32,
        output_tokens=8,
        concurrency=(1, 2),
        request_rates=(4.0,),
        requests_per_cell=3,
        repeats=2,
    ),
    usd_per_device_hour=0.54,
)


@pytest.fixture
def artifact(model: Path, tmp_path: Path) -> Artifact:
    """The model folder, published."""
    return publish(describe(model, "model"), tmp_path / "published")


def test_the_stage_writes_a_card_and_every_cell(artifact: Artifact, engine: MakeEngine, tmp_path: Path) -> None:
    made, usage = measure(SECTION, {"model": artifact}, tmp_path / "out", engine(""))
    card = ServingCard.model_validate_json((tmp_path / "out" / "card.json").read_text())
    assert [(point.kind, point.load) for point in card.points] == [("concurrency", 1), ("concurrency", 2), ("rate", 4)]
    assert made.kind == "serving"
    # scratch logs and the warm-up are not part of the artifact; the driver's own results are
    cells = {f"cells/{name}-run{run}.json" for name in ("concurrency-1", "concurrency-2", "rate-4") for run in (1, 2)}
    assert set(made.files) == {"card.json"} | cells
    # six cells of 3 requests, 5 tokens read a cell, 8 written a request; the warm-up's are not among them
    assert (usage.tokens_in, usage.tokens_out) == (30, 144)
    assert made.metrics["golden_conversations"] == 2
    # 0.54 USD an hour at 1.25 tokens a second: 4,500 tokens for 0.54
    assert card.usd_per_1m_output_tokens == pytest.approx(120.0)
    raw = json.loads((tmp_path / "out" / "cells" / "rate-4-run1.json").read_text())
    assert raw["seed"] and raw["engine_counters"]["generation_tokens"] == 0
    assert card.flags[card.flags.index("--max-logprobs") + 1] == "20"


def test_the_card_shows_medians_of_the_repeats_and_that_they_disagree(
    artifact: Artifact, engine: MakeEngine, tmp_path: Path
) -> None:
    made, _ = measure(SECTION, {"model": artifact}, tmp_path / "out", engine(""))
    card = ServingCard.model_validate_json((tmp_path / "out" / "card.json").read_text())
    for point in card.points:
        spread = point.spreads["output_tokens_per_second"]
        assert (spread.median, spread.least, spread.most, spread.repeats) == (1.25, 1.0, 1.5, 2)
        assert (point.repeats, point.completed) == (2, 6)
    assert card.disagreements[0] == "1 stream: 1.0 to 1.5 output tokens a second over 2 repeats, 40 % of the median"
    assert made.metrics["cells_whose_repeats_disagree"] == 3
    assert made.metrics["slo_knee_rate"] == 4
    assert made.metrics["slo_knee_concurrency"] == 2
    assert str(made.metrics["slo_knee_rate_says"]).startswith("4 requests/s: 100 % of 6 requests within the SLO")


def test_repeats_that_agree_within_the_recipes_share_are_not_complained_of(
    artifact: Artifact, engine: MakeEngine, tmp_path: Path
) -> None:
    wide = SECTION.model_copy(update={"serving": SECTION.serving.model_copy(update={"max_repeat_spread": 0.4})})
    measure(wide, {"model": artifact}, tmp_path / "out", engine(""))
    assert ServingCard.model_validate_json((tmp_path / "out" / "card.json").read_text()).disagreements == []


def test_wrong_ids_stop_the_stage_before_any_load(artifact: Artifact, engine: MakeEngine, tmp_path: Path) -> None:
    stored = json.loads((artifact.path / "golden.json").read_text())
    stored["conversations"][0]["ids"].insert(0, 1)
    (artifact.path / "golden.json").write_text(json.dumps(stored))
    with pytest.raises(GateError, match="conversation 0"):
        measure(SECTION, {"model": artifact}, tmp_path / "out", engine(""))
    assert not list((tmp_path / "out" / "cells").iterdir())


def test_a_generator_that_dies_is_said_with_its_last_lines(
    artifact: Artifact, engine: MakeEngine, tmp_path: Path
) -> None:
    with pytest.raises(ServeError, match="has ended") as caught:
        measure(SECTION, {"model": artifact}, tmp_path / "out", engine("cut"))
    assert "the generator ran out of memory" in caught.value.hint


def test_one_generator_loads_two_servers_each_with_its_own_key(
    model: Path, engine: MakeEngine, settings: ServerSettings, tmp_path: Path
) -> None:
    """The first key was once kept for every later server: all its requests failed."""
    cell, slo = Cell("concurrency", 1, 2, 8, 4, seed=3), Slo(500, 30)
    with (
        LoadGenerator(engine(""), tmp_path / "load.log") as generator,
        Server(model, engine(""), settings) as first,
        Server(model, engine(""), replace(settings, log=tmp_path / "second.log")) as second,
    ):
        assert first.api_key != second.api_key
        for server in (first, second, first):
            raw = generator.run(server, cell, slo, tmp_path / "cell.json")
            assert (raw["completed"], raw["failed"], raw["first_error"]) == (2, 0, "")
        second.api_key = "another"
        assert generator.run(second, cell, slo, tmp_path / "cell.json")["first_error"].startswith("HTTP Error 401")
