"""The compact head must give the loss, and the gradient, of the plain path."""

import pytest
import torch
from trl import SFTConfig, SFTTrainer

from training.compact_loss import IGNORED, CompactSftTrainer, compact_loss
from training.loading import load_model, load_tokenizer


@pytest.fixture
def batch(tiny_tokenizer):
    torch.manual_seed(1)
    ids = torch.randint(3, len(tiny_tokenizer), (3, 24))
    mask = torch.ones_like(ids)
    mask[1, 20:] = 0
    labels = ids.clone()
    labels[:, :12] = IGNORED
    labels[mask == 0] = IGNORED
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def test_loss_and_gradient_equal_the_models_own(tiny_model, batch):
    plain, compact = load_model(tiny_model.path), load_model(tiny_model.path)
    plain_loss = plain(**batch).loss
    loss = compact_loss(compact, batch)
    plain_loss.backward()
    loss.backward()
    assert loss.item() == pytest.approx(plain_loss.item(), abs=1e-6)
    for (name, wanted), (_, seen) in zip(plain.named_parameters(), compact.named_parameters(), strict=True):
        torch.testing.assert_close(seen.grad, wanted.grad, atol=1e-6, rtol=1e-4, msg=name)


def test_trainers_agree_with_and_without_the_step_token_count(tiny_model, batch, tmp_path):
    from datasets import Dataset

    rows = Dataset.from_list([{"input_ids": [3, 4, 5], "labels": [IGNORED, 4, 5]}])
    arguments = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "report_to": "none", "max_length": None}
    losses = []
    for kind in (SFTTrainer, CompactSftTrainer):
        trainer = kind(
            model=load_model(tiny_model.path),
            args=SFTConfig(**arguments, dataset_kwargs={"skip_prepare_dataset": True}),
            train_dataset=rows,
            processing_class=load_tokenizer(tiny_model.path),
        )
        counts = (None, torch.tensor(50))
        losses.append([trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=n).item() for n in counts])
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
    assert losses[0][0] != pytest.approx(losses[0][1])


def test_a_batch_without_labels_is_a_finite_zero(tiny_model, batch):
    model = load_model(tiny_model.path)
    loss = compact_loss(model, batch | {"labels": torch.full_like(batch["input_ids"], IGNORED)})
    loss.backward()
    assert loss.item() == 0.0


def test_bf16_gives_the_same_loss_to_its_own_digits_and_keeps_weights_in_fp32(tiny_model, batch, monkeypatch):
    model = load_model(tiny_model.path)
    exact = compact_loss(model, batch).item()
    monkeypatch.setattr("training.device.cpu_multiplies_bf16", lambda: True)
    mixed = compact_loss(model, batch)
    mixed.backward()
    assert mixed.item() == pytest.approx(exact, rel=2e-2)
    assert mixed.item() != exact
    assert {weight.grad.dtype for weight in model.parameters()} == {torch.float32}
