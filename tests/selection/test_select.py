"""The selection stage on tiny models under catalogue names."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample
from contracts.errors import FitError, InputError, LicenceError, TokenizerMismatch
from contracts.reports import Candidate, Check, SelectionReport
from recipes.stage_sections import SelectSection
from selection.measuring import bits_per_byte, load, zero_shot
from selection.select import choose, held_out, sample, select
from tests.evaluation.tiny import corpus_artifact, model_artifact, model_folder, tokenizer
from tests.tiny_model import tiny_tokenizer

LICENCES = ("Apache-2.0", "MIT")
TEXT = "Net sales rose to 54,318. 利率 unchanged."


def section(*candidates: str, students: dict[str, Any] | None = None, **changes: object) -> SelectSection:
    plain = {
        "candidates": candidates,
        "licences": LICENCES,
        "memory_gib": 16.0,
        "min_context": 128,
        "held_out_chars": 500,
        "zero_shot_items": 2,
    }
    return SelectSection.model_validate({"selection": plain | changes, "students": students or {}})


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
    model: str,
    bits: float | None,
    shot: float | None = None,
    usd: float = 1.0,
    size: float = 1.0,
    present: bool | None = None,
    fallen: bool = False,
) -> Candidate:
    return Candidate(
        model=model,
        licence="MIT",
        verdict="kept",
        reason="",
        params_b=size,
        present=bits is not None if present is None else present,
        checks=[Check(kind="memory", passed=not fallen, reason="too large")],
        bits_per_byte=bits,
        zero_shot=shot,
        train_usd=usd,
    )


def test_the_choice_by_bits_then_zero_shot_then_cost() -> None:
    assert choose([candidate("a", 1.0), candidate("b", 0.9, 0.0)], "cpu").chosen == "b"
    assert choose([candidate("a", 1.01, 0.5), candidate("b", 1.0, 0.2)], "cpu").chosen == "a"
    assert choose([candidate("a", 1.0, 0.5, usd=3), candidate("b", 1.0, 0.5, usd=2)], "cpu").chosen == "b"
    assert choose([candidate("a", None, size=8), candidate("b", None, size=32)], "cpu").chosen == "b"
    assert choose([candidate("a", 2.0), candidate("b", 1.0, fallen=True)], "cpu").chosen == "a"


def test_what_is_present_goes_before_what_is_not_even_without_text_to_score_on() -> None:
    report = choose([candidate("a", None, size=1, present=True), candidate("b", None, size=32)], "cpu")
    assert report.chosen == "a" and "no held-out text" in report.why


def _with_tokenizer(folder: Path, words: Any) -> Artifact:
    """A student's start as far as its tokenizer goes."""
    words.save_pretrained(folder)
    return describe(folder, "model")


def _reasons(report: SelectionReport, model: str) -> dict[str, Check]:
    return {check.kind: check for one in report.candidates if one.model == model for check in one.checks}


def _selected(wanted: SelectSection, inputs: dict[str, Artifact], out: Path) -> SelectionReport:
    out.mkdir()
    draft, _ = select(wanted, inputs, out)
    return SelectionReport.model_validate_json(draft.file("selection.json").read_text())


def test_the_files_tokenizers_decide_not_the_catalogue_s(tmp_path: Path, corpus: Artifact) -> None:
    # By the catalogue the two families differ; on disk, here, they do not.
    students = {"small": {"model": "Qwen3-0.6B", "loss": "top_k"}}
    wanted = section("SmolLM2-135M-Instruct", students=students, zero_shot_items=0)
    longer = tokenizer()
    longer.add_tokens(["<|unused_1|>"])
    inputs = {
        "corpus": corpus,
        "base:SmolLM2-135M-Instruct": model_artifact(tmp_path / "model"),
        "start:Qwen3-0.6B": _with_tokenizer(tmp_path / "start", longer),
    }
    check = _reasons(_selected(wanted, inputs, tmp_path / "out"), "SmolLM2-135M-Instruct")["tokenizer"]
    assert check.passed and "but for unused ones at the end by their files" in check.reason
    del inputs["start:Qwen3-0.6B"]
    with pytest.raises(TokenizerMismatch, match="other token ids by the catalogue"):
        select(wanted, inputs, tmp_path)


def test_other_ids_on_disk_reject_for_top_k_and_are_told_for_auto(tmp_path: Path, corpus: Artifact) -> None:
    # By the catalogue the two share ids; on disk, here, they do not.
    inputs = {
        "corpus": corpus,
        "base:Qwen3-4B": model_artifact(tmp_path / "model"),
        "start:Qwen3-0.6B": _with_tokenizer(tmp_path / "start", tiny_tokenizer()),
    }
    students = {"small": {"model": "Qwen3-0.6B", "loss": "top_k"}}
    with pytest.raises(TokenizerMismatch) as caught:
        select(section("Qwen3-4B", students=students), inputs, tmp_path)
    assert "small (Qwen3-0.6B): other token ids by their files" in caught.value.hint
    assert "auto or sequence" in caught.value.hint

    both = _selected(section("Qwen3-4B", "Qwen3-8B", students=students, memory_gib=80), inputs, tmp_path / "both")
    assert both.chosen == "Qwen3-8B", "the one that is not on disk is left"
    assert _reasons(both, "Qwen3-4B")["tokenizer"].passed is False
    rejected = next(one for one in both.candidates if one.model == "Qwen3-4B")
    assert rejected.verdict == "rejected" and rejected.bits_per_byte is None, "nothing is measured of what has fallen"

    students["small"]["loss"] = "auto"
    kept = _selected(section("Qwen3-4B", students=students, zero_shot_items=0), inputs, tmp_path / "auto")
    assert kept.chosen == "Qwen3-4B"
    assert "the sequence-level loss will be used" in _reasons(kept, "Qwen3-4B")["tokenizer"].reason


@pytest.mark.parametrize(
    ("architectures", "told"),
    [(["NoSuchForCausalLM"], "does not serve NoSuchForCausalLM"), (None, "config.json names no architecture")],
)
def test_an_architecture_that_vllm_does_not_serve(
    tmp_path: Path, corpus: Artifact, architectures: list[str] | None, told: str
) -> None:
    config = model_folder(tmp_path / "model") / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"architectures": architectures}))
    inputs = {"corpus": corpus, "base:SmolLM2-135M-Instruct": describe(tmp_path / "model", "model")}
    with pytest.raises(FitError, match=told):
        select(section("SmolLM2-135M-Instruct"), inputs, tmp_path)
    report = _selected(section("SmolLM2-135M-Instruct", "Qwen3-0.6B"), inputs, tmp_path / "out")
    fallen = next(one for one in report.candidates if one.model == "SmolLM2-135M-Instruct").fall
    assert fallen is not None and fallen.kind == "architecture"
    assert _reasons(report, "Qwen3-0.6B")["architecture"].reason.endswith("serves Qwen3ForCausalLM")


def test_a_broken_config_is_named(tmp_path: Path, corpus: Artifact) -> None:
    (model_folder(tmp_path / "model") / "config.json").write_text("{broken")
    inputs = {"corpus": corpus, "base:SmolLM2-135M-Instruct": describe(tmp_path / "model", "model")}
    with pytest.raises(InputError, match=r"config\.json: is no JSON"):
        select(section("SmolLM2-135M-Instruct"), inputs, tmp_path)


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
