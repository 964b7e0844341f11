"""Continued pretraining: packs do not leak, replay has its share, bits per byte are bits per byte."""

import math

import pytest
import torch

from contracts.errors import InputError
from recipes.training_sections import Cpt, Optimiser
from training.compact_loss import labelled_logits
from training.cpt import cpt, make_trainer, mix, pack
from training.engine import plan_steps
from training.loading import load_model, load_tokenizer
from training.text_scores import bits_per_byte


def row(count: int, replay: bool = False, start: int = 3) -> dict:
    ids = [start + (7 * n) % 200 for n in range(count)]
    return {
        "id": "x",
        "source": "general" if replay else "news",
        "replay": replay,
        "utf8_bytes": 3 * count,
        "input_ids": ids,
    }


def section(method: str = "full", steps: int = 4) -> Cpt:
    optimiser = Optimiser(learning_rate=5e-3, epochs=50, max_steps=steps, batch_tokens=512)
    return Cpt(optimiser=optimiser, method=method, replay_share=0.25, held_out_tokens=1_000)


def test_a_packed_token_sees_its_own_document_only(tiny_model, out_dir):
    model, tokenizer = load_model(tiny_model.path), load_tokenizer(tiny_model.path)
    documents = [row(30, start=5), row(25, start=50), row(40, start=90)]
    packs = pack(documents, 128)
    assert len(packs) == 1
    wanted = section()
    trainer = make_trainer(wanted, model, tokenizer, packs, plan_steps([95], wanted.optimiser), out_dir)
    batch = next(iter(trainer.get_train_dataloader()))
    assert "attention_mask" not in batch
    model.eval()
    with torch.no_grad():
        packed, targets, _ = labelled_logits(model, dict(batch))
        lengths = packs[0]["seq_lengths"]
        start, place = 0, 0
        for length in lengths:
            ids = batch["input_ids"][:, start : start + length]
            alone, alone_targets, _ = labelled_logits(model, {"input_ids": ids, "labels": ids})
            torch.testing.assert_close(packed[place : place + length - 1], alone, atol=1e-4, rtol=1e-4)
            assert targets[place : place + length - 1].equal(alone_targets)
            start, place = start + length, place + length - 1
    assert place == len(targets)  # nothing is predicted across a document's beginning


def test_replay_has_its_share_of_the_tokens():
    rows = [row(100) for _ in range(30)] + [row(50, replay=True) for _ in range(40)]
    mixed = mix(rows, 0.25, 10**9, seed=1)
    replayed = sum(len(one["input_ids"]) for one in mixed if one["replay"])
    assert replayed == 1_000
    assert sum(len(one["input_ids"]) for one in mixed) == 4_000
    assert mix(rows, 0.25, 10**9, seed=1) == mixed != mix(rows, 0.25, 10**9, seed=2)


def test_the_token_budget_cuts_both_kinds():
    rows = [row(100) for _ in range(30)] + [row(50, replay=True) for _ in range(40)]
    mixed = mix(rows, 0.2, 1_000, seed=1)
    assert sum(len(one["input_ids"]) for one in mixed) == pytest.approx(1_000, abs=2)


def test_replay_without_general_text_is_refused():
    with pytest.raises(InputError, match="hold no general text to replay"):
        mix([row(100)], 0.05, 10**9, seed=1)


def test_bits_per_byte_of_a_uniform_model(tiny_model):
    model = load_model(tiny_model.path)
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    scores = bits_per_byte(model, [row(41), row(21, replay=True)], 10_000)
    vocabulary = model.config.vocab_size
    assert scores["vertical"] == pytest.approx(40 * math.log2(vocabulary) / (3 * 41), abs=1e-3)
    assert scores["general"] == pytest.approx(20 * math.log2(vocabulary) / (3 * 21), abs=1e-3)
    assert scores["by_source"]["news"] == pytest.approx(math.log(vocabulary), abs=1e-3)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_stage_lowers_bits_per_byte(method, tiny_model, tokens, out_dir):
    artifact, usage = cpt(section(method), {"model": tiny_model, "tokens": tokens}, out_dir)
    metrics = artifact.metrics
    assert metrics["bits_per_byte_after"]["vertical"] < metrics["bits_per_byte_before"]["vertical"]
    assert set(metrics["loss_by_source_after"]) == {"news", "general"}
    assert metrics["replay_share"] == pytest.approx(0.25, abs=0.02)
    assert metrics["layers"] == 2 and usage.tokens_in > 0
    assert "golden.json" in artifact.files
    load_model(out_dir)
