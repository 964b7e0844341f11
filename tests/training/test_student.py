"""A student pruned from its teacher, trained on its captured probabilities."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from contracts.artifacts import Artifact, describe
from contracts.documents import write_jsonl
from contracts.errors import FitError, GateError, InputError, TokenizerMismatch
from contracts.layers import PrunedLayers
from recipes.stage_sections import StudentSection
from recipes.training_sections import Student
from tests.tiny_model import tiny_examples, tiny_model
from training.captured_data import CapturedCollator, read_captured, read_text
from training.chat import supervise
from training.loading import load_model, load_tokenizer
from training.student import keep_layers, student

K = 6


def write_capture(folder: Path, teacher: Artifact, count: int = 12) -> Artifact:
    """What the capture stage writes, by full forward passes one example at a time."""
    model, tokenizer = load_model(teacher.path), load_tokenizer(teacher.path)
    rows = []
    for example in tiny_examples(count):
        one = supervise(tokenizer, example.prompt, example.completion)
        prompt = one.mask.index(1)
        with torch.no_grad():
            logp_T_V = model(torch.tensor([one.input_ids])).logits[0, prompt - 1 : -1].log_softmax(-1)
        top = logp_T_V.topk(K)
        rows.append(
            {
                "example_id": example.id,
                "input_ids": np.array(one.input_ids, dtype=np.int32),
                "prompt_tokens": prompt,
                "kd_ids": top.indices.to(torch.int32).numpy().ravel(),
                "kd_logp": top.values.numpy().astype(np.float16).ravel(),
                "kd_mass": top.values.exp().sum(-1).numpy(),
            }
        )
    folder.mkdir(parents=True)
    for number, part in enumerate((rows[: count // 2], rows[count // 2 :])):
        pq.write_table(pa.Table.from_pylist(part), folder / f"capture-{number:05d}.parquet")
    tokenizer.save_pretrained(folder / "tokenizer")
    write_jsonl(folder / "examples.jsonl", tiny_examples(count))
    return describe(folder, "capture")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("distil")
    teacher = tiny_model(folder / "teacher", layers=4)
    layers = folder / "layers"
    layers.mkdir()
    kept = PrunedLayers(kept={2: (0, 3), 4: (0, 1, 2, 3)}, loss_whole=1.0, rounds=[])
    (layers / "layers.json").write_text(kept.model_dump_json(), encoding="utf-8")
    return {
        "teacher": teacher,
        "capture": write_capture(folder / "capture", teacher),
        "layers": describe(layers, "layers"),
    }


def section(layers: int = 2, loss: str = "top_k", model: str = "", **changes) -> StudentSection:
    optimiser = {
        "learning_rate": 5e-3,
        "schedule": "cosine",
        "epochs": 2,
        "batch_tokens": 400,
        "checkpoint_every_steps": 2,
    }
    settings = {key: changes.pop(key) for key in list(changes) if key in optimiser or key == "max_steps"}
    start = {"model": model} if model else {"layers": layers}
    recipe = Student(stands_for="7B", optimiser=optimiser | settings, **start, **changes)
    return StudentSection(name="s", student=recipe, loss=loss)


def test_with_all_layers_kept_it_is_the_teacher(inputs: dict[str, Artifact]):
    teacher, kept = load_model(inputs["teacher"].path), load_model(inputs["teacher"].path)
    keep_layers(kept, (0, 1, 2, 3))
    ids = torch.arange(3, 40)[None]
    assert torch.equal(teacher(ids).logits, kept(ids).logits)


def test_pruned_layers_are_renumbered_and_the_cache_agrees(inputs: dict[str, Artifact]):
    teacher, kept = load_model(inputs["teacher"].path), load_model(inputs["teacher"].path)
    keep_layers(kept, (0, 3))
    assert kept.config.num_hidden_layers == 2
    assert torch.equal(kept.model.layers[1].mlp.up_proj.weight, teacher.model.layers[3].mlp.up_proj.weight)
    ids = torch.arange(3, 12)[None]
    cached = kept(ids[:, :-1], use_cache=True).past_key_values
    stepped = kept(ids[:, -1:], past_key_values=cached).logits
    torch.testing.assert_close(stepped[0, -1], kept(ids).logits[0, -1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layers", [(), (0, 4), (3, 0), (1, 1)])
def test_layers_the_teacher_has_not_are_refused(inputs: dict[str, Artifact], layers: tuple[int, ...]):
    with pytest.raises(FitError, match="student layers"):
        keep_layers(load_model(inputs["teacher"].path), layers)


def test_the_batch_lines_up_answers_and_captured_rows(inputs: dict[str, Artifact]):
    examples = read_captured(inputs["capture"].path, with_probabilities=True)
    batch = CapturedCollator(pad_id=0)([examples[number] for number in range(3)])
    labelled = int((batch["labels"] != -100).sum())
    assert batch["kd_ids"].shape == batch["kd_logp"].shape == (labelled, K)
    teacher = load_model(inputs["teacher"].path)
    with torch.no_grad():
        logits = teacher(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    predicting = logits[:, :-1][batch["labels"][:, 1:] != -100].log_softmax(-1)
    torch.testing.assert_close(predicting.gather(1, batch["kd_ids"]), batch["kd_logp"], atol=1e-2, rtol=1e-2)


def test_it_learns_from_the_captured_probabilities(inputs: dict[str, Artifact], tmp_path: Path):
    artifact, usage = student(section(epochs=6), inputs, tmp_path)
    metrics = artifact.metrics
    assert (metrics["layers"], metrics["loss"], artifact.kind) == (2, "top_k", "model")
    assert metrics["final_loss"] < 0.8 * metrics["first_loss"]
    assert metrics["final_kl"] > 0
    assert metrics["final_loss"] == pytest.approx(
        0.5 * metrics["final_kl"] + 0.5 * metrics["final_cross_entropy"], abs=2e-3
    )
    assert usage.tokens_in == metrics["tokens"] > 0
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["num_hidden_layers"], config["dtype"]) == (2, "bfloat16")
    assert load_tokenizer(tmp_path).chat_template == load_tokenizer(inputs["teacher"].path).chat_template
    assert load_model(tmp_path)(torch.tensor([[3, 4]])).logits.isfinite().all()
    assert metrics["kept_layers"] == [0, 3]


def test_a_pruned_student_keeps_the_teachers_embeddings(inputs: dict[str, Artifact], tmp_path: Path):
    student(section(max_steps=2), inputs, tmp_path)
    before, after = load_model(inputs["teacher"].path), load_model(tmp_path)
    kept = before.get_input_embeddings().weight.to(torch.bfloat16).float()
    assert torch.equal(after.get_input_embeddings().weight, kept)
    assert not torch.equal(after.model.layers[1].mlp.up_proj.weight, before.model.layers[3].mlp.up_proj.weight)


def test_the_first_loss_of_a_student_that_is_the_teacher_is_all_cross_entropy(
    inputs: dict[str, Artifact], tmp_path: Path
):
    settings = section(4, max_steps=1, learning_rate=1e-9, distillation_weight=1.0)
    artifact, _ = student(settings, inputs, tmp_path)
    assert artifact.metrics["final_kl"] == pytest.approx(0, abs=2e-3)
    assert artifact.metrics["final_cross_entropy"] > 1


def test_the_token_budget_ends_the_training(inputs: dict[str, Artifact], tmp_path: Path):
    artifact, _ = student(section(max_tokens=900, epochs=50), inputs, tmp_path)
    assert artifact.metrics["tokens"] <= 1_200


def test_a_killed_run_resumes_to_the_same_weights(inputs: dict[str, Artifact], tmp_path: Path):
    straight, _ = student(section(max_steps=4, schedule="constant"), inputs, tmp_path / "straight")
    shortened = section(max_steps=2, schedule="constant")
    student(shortened, inputs, tmp_path / "resumed")
    (tmp_path / "resumed" / ".checkpoints" / "checkpoint-9").mkdir()
    resumed, _ = student(section(max_steps=4, schedule="constant"), inputs, tmp_path / "resumed")
    assert [point["step"] for point in resumed.metrics["loss_curve"]] == [1, 2, 3, 4]
    assert resumed.metrics["loss_curve"] == straight.metrics["loss_curve"]
    assert resumed.files["model.safetensors"] == straight.files["model.safetensors"]


def test_a_sibling_with_other_ids_learns_text_and_is_refused_probabilities(inputs: dict[str, Artifact], tmp_path: Path):
    sibling = tiny_model(tmp_path / "sibling", layers=1, seed=5, more_text=("zebra quagga jackal " * 5,))
    with_start = inputs | {"start": sibling}
    artifact, _ = student(section(loss="sequence", model="sibling", max_steps=2), with_start, tmp_path / "out")
    assert artifact.metrics["final_kl"] == 0
    assert load_tokenizer(tmp_path / "out").get_vocab() == load_tokenizer(sibling.path).get_vocab()
    with pytest.raises(TokenizerMismatch, match="sequence"):
        student(section(loss="top_k", model="sibling"), with_start, tmp_path / "refused")


@pytest.fixture
def distilled(inputs: dict[str, Artifact], tmp_path: Path) -> dict[str, Artifact]:
    """What there is where the teacher is behind an API: its verified text, and the layers of the built one."""
    folder = tmp_path / "distilled"
    folder.mkdir()
    write_jsonl(folder / "train.jsonl", tiny_examples(8))
    return {name: inputs[name] for name in ("teacher", "layers")} | {"distilled": describe(folder, "distilled")}


def test_without_a_capture_it_learns_the_distilled_text_in_its_own_ids(distilled: dict[str, Artifact], tmp_path: Path):
    artifact, usage = student(section(loss="sequence", max_steps=1), distilled, tmp_path / "pruned")
    assert (artifact.metrics["examples"], artifact.metrics["steps"], artifact.metrics["too_long"]) == (8, 1, 0)
    assert artifact.metrics["final_loss"] == pytest.approx(artifact.metrics["final_cross_entropy"], abs=2e-3)
    assert usage.tokens_in > 0
    sibling = tiny_model(tmp_path / "sibling", layers=1, seed=5, more_text=("zebra quagga jackal " * 5,))
    with_start = distilled | {"start": sibling}
    student(section(loss="sequence", model="sibling", max_steps=1), with_start, tmp_path / "own")
    assert load_tokenizer(tmp_path / "own").get_vocab() == load_tokenizer(sibling.path).get_vocab()
    with pytest.raises(FitError, match=r"needs a capture of the teacher\n\nhint: set loss"):
        student(section(loss="top_k"), distilled, tmp_path / "refused")


def test_text_is_read_in_the_ids_that_the_student_will_be_asked_in(distilled: dict[str, Artifact]):
    file, tokenizer = distilled["distilled"].file("train.jsonl"), load_tokenizer(distilled["teacher"].path)
    whole = read_text(file, tokenizer, context=1_000)
    for row, example in zip(whole.rows, tiny_examples(8), strict=True):
        answer = tokenizer.decode(row["input_ids"][row["prompt_tokens"] :])
        assert answer == example.completion + tokenizer.eos_token
    shorter = read_text(file, tokenizer, context=sorted(whole.lengths)[3])
    assert shorter.too_long == 8 - len(shorter) > 0
    with pytest.raises(InputError, match="8 beyond the student's context"):
        read_text(file, tokenizer, context=3)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(GateError, match="must end with the stop token"):
        read_text(file, tokenizer, context=1_000)


def test_an_empty_capture_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no captured shard"):
        read_captured(tmp_path, with_probabilities=True)
