"""The selection stage on tiny models under catalogue names."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from contracts.artifacts import Artifact
from contracts.documents import ChatExample
from contracts.errors import FitError, InputError, LicenceError
from contracts.reports import Candidate, SelectionReport
from recipes.schema import Selection
from selection.fit import Fall
from selection.measuring import bits_per_byte, load, zero_shot
from selection.select import choose, held_out, sample, select
from tests.evaluation.tiny import corpus_artifact, model_artifact, model_folder

LICENCES = ("Apache-2.0", "MIT")
TEXT = "Net sales rose to 54,318. 利率 unchanged."


def section(*candidates: str, **changes: object) -> Selection:
    plain = {
        "candidates": candidates,
        "licences": LICENCES,
        "memory_gib": 16.0,
        "min_context": 128,
        "held_out_chars": 500,
        "zero_shot_items": 2,
    }
    return Selection.model_validate(plain | changes)


@pytest.fixture
def corpus(tmp_path: Path) -> Artifact:
    return corpus_artifact(tmp_path / "corpus")


def test_bits_per_byte_against_the_direct_sum(tmp_path: Path) -> None:
    model, tokenizer = load(model_folder(tmp_path / "model"))
    ids = [tokenizer.bos_token_id, *tokenizer(TEXT, add_special_tokens=False)["input_ids"]]
    logs = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
    nats = -sum(float(logs[at, ids[at + 1]].detach()) for at in range(len(ids) - 1))
    direct = nats / math.log(2) / len(TEXT.encode())
    assert bits_per_byte(model, tokenizer, [TEXT], 1024, 256) == pytest.approx(direct, rel=1e-4)
    assert bits_per_byte(model, tokenizer, [TEXT, TEXT], 1024, 256) == pytest.approx(direct, rel=1e-4)


def test_windows_score_every_token_once_with_the_context_before_it(tmp_path: Path) -> None:
    model, tokenizer = load(model_folder(tmp_path / "model"))
    ids = [tokenizer.bos_token_id, *tokenizer(TEXT, add_special_tokens=False)["input_ids"]]
    nats, window, context = 0.0, 16, 6
    for at in range(1, len(ids)):
        # The window in which this token is scored: the first holds 15 new tokens, each later one 10.
        begin = 0 if at < window else window - context + (at - window) // (window - context) * (window - context)
        logs = torch.log_softmax(model(torch.tensor([ids[begin:at]])).logits[0, -1], -1)
        nats -= float(logs[ids[at]].detach())
    expected = nats / math.log(2) / len(TEXT.encode())
    assert bits_per_byte(model, tokenizer, [TEXT], window, context) == pytest.approx(expected, rel=1e-4)


def test_the_present_model_is_chosen_and_every_other_one_explained(tmp_path: Path, corpus: Artifact) -> None:
    wanted = section("SmolLM2-135M-Instruct", "gemma-3-270m", "Qwen3-32B", "Qwen3-0.6B")
    inputs = {"corpus": corpus, "base:SmolLM2-135M-Instruct": model_artifact(tmp_path / "model")}
    out = tmp_path / "out"
    out.mkdir()
    draft, usage = select(wanted, inputs, out)
    report = SelectionReport.model_validate_json(draft.file("selection.json").read_text())
    found = {one.model: one for one in report.candidates}
    assert draft.kind == "selection" and draft.metrics["chosen"] == report.chosen == "SmolLM2-135M-Instruct"
    assert found["SmolLM2-135M-Instruct"].verdict == "chosen" and "bits per byte" in report.why
    assert found["SmolLM2-135M-Instruct"].bits_per_byte and found["SmolLM2-135M-Instruct"].zero_shot is not None
    assert found["gemma-3-270m"].verdict == "rejected" and "LicenseRef-gemma" in found["gemma-3-270m"].reason
    assert found["Qwen3-32B"].verdict == "rejected" and "GiB" in found["Qwen3-32B"].reason
    assert found["Qwen3-0.6B"].verdict == "kept" and not found["Qwen3-0.6B"].present
    assert usage.tokens_out > 0


def test_the_model_s_own_context_counts_not_the_catalogue_s(tmp_path: Path, corpus: Artifact) -> None:
    inputs = {"corpus": corpus, "base:SmolLM2-135M-Instruct": model_artifact(tmp_path / "model", context=512)}
    with pytest.raises(FitError, match="context of 512 tokens"):
        select(section("SmolLM2-135M-Instruct", min_context=1024), inputs, tmp_path)


def test_only_forbidden_licences_left(tmp_path: Path, corpus: Artifact) -> None:
    with pytest.raises(LicenceError) as caught:
        select(section("gemma-3-270m", "Llama-3.1-8B"), {"corpus": corpus}, tmp_path)
    assert "gemma-3-270m: licence" in caught.value.hint and "Llama-3.1-8B: licence" in caught.value.hint


def test_nothing_fits(tmp_path: Path, corpus: Artifact) -> None:
    with pytest.raises(FitError) as caught:
        select(section("gemma-3-270m", "Qwen3-32B"), {"corpus": corpus}, tmp_path)
    assert "gemma-3-270m: licence" in caught.value.hint and "Qwen3-32B: QLoRA" in caught.value.hint


def test_a_misspelt_candidate(tmp_path: Path, corpus: Artifact) -> None:
    with pytest.raises(InputError, match="did you mean Qwen3-8B"):
        select(section("Qwen3-8b"), {"corpus": corpus}, tmp_path)


def candidate(
    model: str, bits: float | None, shot: float | None = None, usd: float = 1.0, size: float = 1.0
) -> Candidate:
    return Candidate(
        model=model,
        licence="MIT",
        verdict="kept",
        reason="",
        params_b=size,
        present=bits is not None,
        bits_per_byte=bits,
        zero_shot=shot,
        train_usd=usd,
    )


def test_the_choice_by_bits_then_zero_shot_then_cost() -> None:
    assert choose([candidate("a", 1.0), candidate("b", 0.9, 0.0)], {}, "cpu").chosen == "b"
    assert choose([candidate("a", 1.01, 0.5), candidate("b", 1.0, 0.2)], {}, "cpu").chosen == "a"
    assert choose([candidate("a", 1.0, 0.5, usd=3), candidate("b", 1.0, 0.5, usd=2)], {}, "cpu").chosen == "b"
    assert choose([candidate("a", None, size=8), candidate("b", None, size=32)], {}, "cpu").chosen == "b"
    fallen = {"b": Fall("memory", "too large")}
    assert choose([candidate("a", 2.0), candidate("b", 1.0)], fallen, "cpu").chosen == "a"


def test_zero_shot_counts_fields(tmp_path: Path, corpus: Artifact) -> None:
    model, tokenizer = load(model_folder(tmp_path / "model"))
    seen: list[int] = []
    value, read, written = zero_shot(model, tokenizer, sample(corpus, 3), lambda done, total: seen.append(done))
    assert value == 0.0 and seen == [3]
    assert read > 0 and written > 0


def test_samples_are_of_training_and_bounded(corpus: Artifact) -> None:
    assert {one.id.split("/")[1][0] for one in sample(corpus, 4)} == {"1"}, "training items are numbered from 100"
    assert sample(corpus, 0) == []
    assert all(isinstance(one, ChatExample) for one in sample(corpus, 2))
    assert [len(text) for text in held_out(corpus, 10)] == [10]
    assert held_out(corpus.model_copy(update={"files": {}}), 10) == []
