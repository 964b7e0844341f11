"""Supervised fine-tuning: it learns, it resumes, its adapter stays in fp32."""

import pytest
import torch
from safetensors.torch import load_file

from contracts.errors import FitError, InputError
from recipes.training_sections import Lora, Optimiser, Sft
from training import checkpoints
from training.adapters import with_adapter
from training.engine import plan_steps
from training.loading import load_model, load_model_4bit, load_tokenizer, trainable_parameters
from training.sft import make_trainer, sft, trainable_model
from training.token_files import SFT_TRAIN, read_dataset


def section(method: str, steps: int, every: int = 50, rate: float = 1e-2) -> Sft:
    optimiser = Optimiser(
        learning_rate=rate, epochs=100, max_steps=steps, batch_tokens=512, checkpoint_every_steps=every
    )
    return Sft(optimiser=optimiser, method=method, lora=Lora(rank=4, alpha=8))


@pytest.mark.parametrize(("method", "kind"), [("qlora", "adapter"), ("full", "model")])
def test_training_lowers_the_loss(method, kind, tiny_model, tokens, out_dir):
    artifact, usage = sft(section(method, 8), {"model": tiny_model, "tokens": tokens}, out_dir)
    curve = artifact.metrics["loss_curve"]
    assert artifact.kind == kind
    assert len(curve) == 8
    assert curve[-1]["loss"] < 0.95 * curve[0]["loss"]
    assert usage.tokens_in == artifact.metrics["tokens"] > 0
    assert not any(".checkpoints" in name for name in artifact.files)


def test_the_adapter_stays_fp32_in_a_4bit_trainer(tiny_model, tokens, out_dir):
    dataset = read_dataset(tokens, SFT_TRAIN, ["input_ids", "labels"])
    wanted = section("qlora", 2)
    plan = plan_steps([40] * 24, wanted.optimiser)
    model = trainable_model(wanted, tiny_model.path)
    trainer = make_trainer(wanted, model, load_tokenizer(tiny_model.path), dataset, plan, out_dir)
    trainable = dict(trainable_parameters(trainer.model))
    assert trainable and all("lora_" in name for name in trainable)
    assert {parameter.dtype for parameter in trainable.values()} == {torch.float32}


def test_the_saved_adapter_is_fp32_and_names_no_place(tiny_model, tokens, out_dir):
    sft(section("qlora", 1), {"model": tiny_model, "tokens": tokens}, out_dir)
    assert {tensor.dtype for tensor in load_file(out_dir / "adapter_model.safetensors").values()} == {torch.float32}
    assert str(tiny_model.path) not in (out_dir / "adapter_config.json").read_text()


def test_four_bit_leaves_the_head_alone(tiny_model):
    model = with_adapter(load_model_4bit(tiny_model.path), Lora(rank=2), seed=1)
    kinds = {name: type(module).__name__ for name, module in model.named_modules() if "Linear" in type(module).__name__}
    assert any(kind == "Linear4bit" for kind in kinds.values())
    assert type(model.get_output_embeddings()).__name__ == "Linear"


def test_a_killed_run_resumes_to_the_same_weights(tiny_model, tokens, tmp_path, monkeypatch):
    inputs = {"model": tiny_model, "tokens": tokens}
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    whole, _ = sft(section("lora", 4, every=2), inputs, straight)

    class Killed(BaseException):
        """Stands for SIGKILL right after the checkpoint of step 2."""

    def save_then_die(self, args, state, control, **_):
        checkpoints.mark_complete(resumed / ".checkpoints" / f"checkpoint-{state.global_step}")
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(checkpoints.Watch, "on_save", save_then_die)
        sft(section("lora", 4, every=2), inputs, resumed)
    half_written = resumed / ".checkpoints" / "checkpoint-3"
    half_written.mkdir()
    (half_written / "adapter_model.safetensors").write_bytes(b"torn")
    again, usage = sft(section("lora", 4, every=2), inputs, resumed)

    assert not half_written.exists()
    assert [point["step"] for point in again.metrics["loss_curve"]] == [1, 2, 3, 4]
    for wanted, seen in zip(whole.metrics["loss_curve"], again.metrics["loss_curve"], strict=True):
        assert seen == pytest.approx(wanted, abs=1e-5)
    assert again.metrics["tokens"] == whole.metrics["tokens"] == usage.tokens_in
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (straight, resumed)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-5, rtol=0)


def test_the_token_budget_ends_the_run(tiny_model, tokens, out_dir):
    wanted = section("lora", 0).model_copy(update={"max_tokens": 1_500})
    artifact, _ = sft(wanted, {"model": tiny_model, "tokens": tokens}, out_dir)
    assert 500 < artifact.metrics["tokens"] <= 2_000


def test_a_model_that_does_not_fit_is_refused(tiny_model, tokens, out_dir, monkeypatch):
    monkeypatch.setattr("training.device.free_memory_bytes", lambda: 1_000)  # no machine here is that full
    with pytest.raises(FitError, match="sft \\(lora\\): needs"):
        sft(section("lora", 1), {"model": tiny_model, "tokens": tokens}, out_dir)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        load_model(tmp_path)
