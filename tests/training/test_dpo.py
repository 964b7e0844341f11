"""Preference pairs, the reference, and what happens without any pair."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from contracts.artifacts import Artifact, describe
from contracts.documents import ModelAnswer, PreferencePair, write_jsonl
from contracts.errors import GateError
from recipes.training_sections import Dpo
from tests.tiny_model import tiny_examples, tiny_model
from training.dpo import compact_head, dpo, make_trainer, pair_dataset, require_reference
from training.loading import load_adapter, load_model, load_tokenizer
from training.pairs import gather


def settings(**changes) -> Dpo:
    optimiser = {"learning_rate": 1e-2, "epochs": 2, "batch_tokens": 700, "checkpoint_every_steps": 2}
    return Dpo.model_validate({"optimiser": optimiser, "lora": {"rank": 4, "alpha": 8}} | changes)


def answer(number: int, text: str, sample: int = 0, finish: str = "stop") -> ModelAnswer:
    return ModelAnswer(
        example_id=f"e{number}", sample=sample, text=text, finish=finish, prompt_tokens=9, completion_tokens=4
    )


def written(count: int) -> list[PreferencePair]:
    return [
        PreferencePair(
            id=f"w{one.id}",
            task=one.task,
            prompt=one.prompt,
            chosen=one.completion,
            rejected=one.completion.replace("1", "7"),
            fault="swapped_digit",
        )
        for one in tiny_examples(count)
    ]


WRONG = [answer(number, f'{{"name": "Nobody", "figure": {number}}}') for number in range(6)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return tiny_model(tmp_path_factory.mktemp("sft") / "model")


def inputs_of(folder: Path, model: Artifact, answers: list[ModelAnswer], pairs: list[PreferencePair]):
    for name in ("corpus", "answers", "out"):
        (folder / name).mkdir(parents=True)
    write_jsonl(folder / "corpus" / "train.jsonl", tiny_examples(10))
    write_jsonl(folder / "corpus" / "pairs.jsonl", pairs)
    write_jsonl(folder / "answers" / "answers.jsonl", answers)
    made = {name: describe(folder / name, name) for name in ("corpus", "answers")}
    return made | {"model": model}


def test_only_valid_wrong_answers_become_pairs():
    answers = [
        answer(0, '{"name": "Alder Co", "figure": 100}'),
        answer(1, '{"name": "Birch Ltd", "figure": 999}'),
        answer(1, ' {"name": "Birch Ltd", "figure": 999}\n', sample=1),
        answer(2, "not json"),
        answer(3, '{"name": "E', finish="length"),
        answer(99, "{}"),
    ]
    pairs = gather(settings(), tiny_examples(5), answers, [])
    (pair,) = pairs.own
    assert (pair.chosen, pair.rejected) == (
        '{"name": "Birch Ltd", "figure": 137}',
        '{"name": "Birch Ltd", "figure": 999}',
    )
    assert pairs.reasons == {"correct": 1, "repeated": 1, "invalid_json": 1, "unfinished": 1, "unknown_example": 1}


@pytest.mark.parametrize(
    ("share", "most", "own", "others"),
    [(0.5, 100, 6, 6), (0.25, 100, 6, 2), (0, 100, 6, 0), (0.5, 8, 6, 2), (1, 9, 6, 3)],
)
def test_written_pairs_fill_up_to_their_share(share: float, most: int, own: int, others: int):
    pairs = gather(settings(written_share=share, max_pairs=most), tiny_examples(10), WRONG, written(10))
    assert (len(pairs.own), len(pairs.written)) == (own, others)


def test_the_stage_starts_at_ln_2_and_prefers_the_chosen(model: Artifact, tmp_path: Path):
    inputs = inputs_of(tmp_path, model, WRONG, written(10))
    longer = settings().optimiser.model_copy(update={"epochs": 6.0})
    artifact, _ = dpo(settings(optimiser=longer, written_share=0.2), inputs, tmp_path / "out")
    metrics = artifact.metrics
    assert metrics["reference_loss_at_step_0"] == pytest.approx(math.log(2), abs=1e-4)
    assert (metrics["own_pairs"], metrics["written_pairs"]) == (6, 1)
    assert metrics["faults"] == {"own_answer": 6, "swapped_digit": 1}
    assert metrics["final_pair_accuracy"] > max(0.7, metrics["first_pair_accuracy"])
    assert metrics["pair_curve"][-1]["margin"] > 0.05
    assert metrics["loss_curve"][-1]["loss"] < metrics["loss_curve"][0]["loss"]
    assert artifact.kind == "adapter"
    assert not any("ref" in name for name in load_file(tmp_path / "out" / "adapter_model.safetensors"))


def test_a_killed_run_resumes_to_the_same_adapter(model: Artifact, tmp_path: Path):
    def run(steps: int, folder: Path) -> Artifact:
        change = {"max_steps": steps, "schedule": "constant"}
        section = settings(optimiser=settings().optimiser.model_copy(update=change))
        return dpo(section, inputs, folder)[0]

    inputs = inputs_of(tmp_path, model, WRONG, written(10))
    straight = run(4, tmp_path / "straight")
    run(2, tmp_path / "out")
    resumed = run(4, tmp_path / "out")
    assert resumed.metrics["pair_curve"] == straight.metrics["pair_curve"]
    assert resumed.files["adapter_model.safetensors"] == straight.files["adapter_model.safetensors"]


@pytest.mark.parametrize("shift", [0.5, -0.5, math.nan])
def test_another_reference_is_a_broken_contract(model: Artifact, tmp_path: Path, shift: float):
    tokenizer = load_tokenizer(model.path)
    trainer = make_trainer(settings(), model.path, tokenizer, pair_dataset(tokenizer, written(4)), tmp_path)
    assert require_reference(trainer) == pytest.approx(math.log(2), abs=1e-4)
    wrong = [value + shift for value in trainer.train_dataset["ref_chosen_logps"]]
    trainer.train_dataset = trainer.train_dataset.remove_columns("ref_chosen_logps").add_column(
        "ref_chosen_logps", wrong
    )
    with pytest.raises(GateError, match="ln 2"):
        require_reference(trainer)
    assert trainer.loss_types == ["sigmoid", "sft"]


def test_an_adapter_that_is_no_longer_fresh_is_a_broken_contract(model: Artifact, tmp_path: Path):
    tokenizer = load_tokenizer(model.path)
    trainer = make_trainer(settings(), model.path, tokenizer, pair_dataset(tokenizer, written(4)), tmp_path)
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    with pytest.raises(GateError, match="ln 2"):
        require_reference(trainer)


def test_the_compact_head_gives_the_loss_of_the_full_one(
    model: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tokenizer = load_tokenizer(model.path)
    trainer = make_trainer(settings(), model.path, tokenizer, pair_dataset(tokenizer, written(4)), tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    compact = trainer.compute_loss(trainer.model, batch)
    monkeypatch.setattr("training.dpo.COMPACT_FOR", "0.")
    with compact_head():
        from trl.trainer import utils

        assert not utils._use_triton(torch.device("cpu"))
    torch.testing.assert_close(compact, trainer.compute_loss(trainer.model, batch), atol=1e-5, rtol=1e-5)


def test_no_pairs_make_an_adapter_that_changes_nothing(model: Artifact, tmp_path: Path):
    right = [answer(0, '{"name": "Alder Co", "figure": 100}')]
    artifact, _ = dpo(settings(), inputs_of(tmp_path, model, right, written(5)), tmp_path / "out")
    assert artifact.metrics["skipped"] is True
    assert artifact.metrics["reason"] == "no pairs; the SFT model's answers: 1 correct"
    ids = torch.tensor([[3, 4, 5]])
    before = load_model(model.path)(ids).logits
    after = load_adapter(load_model(model.path), tmp_path / "out")(ids).logits
    assert torch.equal(before, after)


def test_in_bf16_reference_and_policy_are_computed_alike(model: Artifact, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("training.device.cpu_multiplies_bf16", lambda: True)
    tokenizer = load_tokenizer(model.path)
    one_pair_a_step = settings(optimiser={"learning_rate": 1e-2, "epochs": 1, "batch_tokens": 64})
    trainer = make_trainer(one_pair_a_step, model.path, tokenizer, pair_dataset(tokenizer, written(3)), tmp_path)
    assert require_reference(trainer) == pytest.approx(math.log(2), abs=1e-6)
