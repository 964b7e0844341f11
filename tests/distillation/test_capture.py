"""The captured probabilities are the teacher's, whatever the batches, and survive a kill between shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import distillation.capture as capture_module
from contracts.artifacts import Artifact, describe
from contracts.documents import write_jsonl
from contracts.errors import FitError, GateError, InputError
from distillation.capture import capture
from distillation.rendering import render
from distillation.teacher import Teacher
from recipes.training_sections import Capture
from tests.tiny_model import tiny_examples, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("teacher")
    (folder / "distilled").mkdir()
    write_jsonl(folder / "distilled" / "train.jsonl", tiny_examples(10))
    return {"model": tiny_model(folder / "model"), "distilled": describe(folder / "distilled", "distilled")}


def test_batches_of_one_and_of_four_capture_the_same(inputs: dict[str, Artifact]):
    teacher = Teacher(inputs["model"].path)
    shard = [render(teacher.tokenizer, example) for example in tiny_examples(4)]
    together = teacher.top_k(shard, 5)
    for one, joint in zip(shard, together, strict=True):
        (alone,) = teacher.top_k([one], 5)
        assert len(alone.ids_T_K) == len(one.input_ids) - one.prompt_tokens
        np.testing.assert_array_equal(alone.ids_T_K, joint.ids_T_K)
        np.testing.assert_allclose(alone.logp_T_K, joint.logp_T_K, atol=2e-3)
        np.testing.assert_allclose(alone.mass_T, joint.mass_T, atol=1e-5)


def test_rows_are_the_distributions_over_the_answer_tokens(inputs: dict[str, Artifact]):
    teacher = Teacher(inputs["model"].path)
    one = render(teacher.tokenizer, tiny_examples(1)[0])
    with torch.no_grad():
        full_T_V = teacher.model(input_ids=torch.tensor([one.input_ids])).logits[0].log_softmax(-1)
    (found,) = teacher.top_k([one], teacher.vocabulary)
    rows_T_V = full_T_V[one.prompt_tokens - 1 : -1]
    restored = torch.from_numpy(found.logp_T_K.astype(np.float32))
    torch.testing.assert_close(
        restored, rows_T_V.gather(1, torch.from_numpy(found.ids_T_K).long()), atol=5e-3, rtol=1e-3
    )
    assert found.mass_T == pytest.approx(1.0, abs=1e-5)


def test_capture_writes_every_supervised_token_and_its_mass(inputs: dict[str, Artifact], tmp_path: Path):
    artifact, usage = capture(Capture(top_k=4), inputs, tmp_path)
    rows = [
        row
        for name in artifact.files
        if name.endswith(".parquet")
        for row in pq.read_table(tmp_path / name).to_pylist()
    ]
    assert {row["example_id"] for row in rows} == {f"e{number}" for number in range(10)}
    for row in rows:
        assert len(row["kd_ids"]) == len(row["kd_logp"]) == 4 * (len(row["input_ids"]) - row["prompt_tokens"])
        assert row["input_ids"][-1] == tiny_tokenizer().eos_token_id
    metrics = artifact.metrics
    assert usage.tokens_in == metrics["tokens"] == sum(len(row["input_ids"]) for row in rows)
    assert 0 < metrics["mass_kept_min"] <= metrics["mass_kept_mean"] < 1
    assert "tokenizer/tokenizer.json" in artifact.files


def test_whole_shards_of_a_killed_attempt_stay_and_those_of_another_plan_go(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(capture_module, "SHARD_EXAMPLES", 4)
    whole, _ = capture(Capture(top_k=4), inputs, tmp_path)
    first, last = tmp_path / "capture-00000.parquet", tmp_path / "capture-00002.parquet"
    written = first.stat().st_mtime_ns
    last.unlink()
    (tmp_path / ".capture-00002.parquet.part").write_bytes(b"half")
    resumed, _ = capture(Capture(top_k=4), inputs, tmp_path)
    assert first.stat().st_mtime_ns == written
    assert resumed.files == whole.files
    assert resumed.metrics == whole.metrics
    capture(Capture(top_k=3), inputs, tmp_path)
    assert first.stat().st_mtime_ns != written


def test_the_token_budget_and_the_context_bound_what_is_captured(inputs: dict[str, Artifact], tmp_path: Path):
    artifact, _ = capture(Capture(top_k=4, max_tokens=200), inputs, tmp_path)
    assert artifact.metrics["tokens"] <= 200
    assert artifact.metrics["over_budget"] + artifact.metrics["examples"] == 10
    with pytest.raises(InputError, match="no example fits"):
        capture_module.within_budget([], Capture(), 256)


def test_more_than_the_vocabulary_is_refused(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Teacher, "vocabulary", property(lambda _: 8))
    with pytest.raises(FitError, match=r"capture\.top_k"):
        capture(Capture(top_k=9), inputs, tmp_path)


def test_a_template_without_stop_token_is_a_broken_contract():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(GateError, match="stop token"):
        render(tokenizer, tiny_examples(1)[0])
    tokenizer.chat_template = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(GateError, match="prefix"):
        render(tokenizer, tiny_examples(1)[0])
