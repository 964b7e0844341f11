"""Merging: the merged model says what the adapter said, and the gate notices when it does not."""

import pytest
import torch

from contracts.artifacts import describe
from contracts.errors import GateError
from recipes.training_sections import Lora, Merge
from training.adapters import with_adapter
from training.loading import load_model, load_model_4bit, save_adapter, trainable_parameters
from training.merge import Probe, answer_logits, compare, greedy, merge, require_parity


def adapter_with_effect(model, seed=3):
    """A LoRA adapter whose second factor is not zero."""
    tuned = with_adapter(model, Lora(rank=4, alpha=8), seed=seed)
    torch.manual_seed(seed)
    for name, parameter in trainable_parameters(tuned):
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return tuned.eval()


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_the_merged_model_passes(method, tiny_model, corpus, tmp_path, out_dir):
    load = load_model_4bit if method == "qlora" else load_model
    save_adapter(adapter_with_effect(load(tiny_model.path)), tmp_path / "adapter")
    adapter = describe(tmp_path / "adapter", "adapter", {"method": method})
    inputs = {"model": tiny_model, "adapter": adapter, "corpus": corpus}
    # The 4-bit noise on random weights of this size is large; the merge itself adds next to nothing.
    artifact, _ = merge(Merge(max_kl=1e-3, max_quantised_kl=0.3, probe_prompts=2), inputs, out_dir)
    assert 0 <= artifact.metrics["parity_kl"] <= 1e-3
    if method == "qlora":
        assert artifact.metrics["parity_kl"] < artifact.metrics["quantised_kl"] <= 0.3
    else:
        assert "quantised_kl" not in artifact.metrics
    assert artifact.metrics["layers"] == 2
    assert {"model.safetensors", "tokenizer.json", "golden.json"} <= set(artifact.files)
    merged, base = load_model(out_dir).state_dict(), load_model(tiny_model.path).state_dict()
    changed = [name for name in base if not torch.equal(base[name], merged[name])]
    assert changed and all("proj" in name for name in changed)


def test_a_tune_that_leans_on_the_rounding_of_its_base_fails(tiny_model, corpus, tmp_path, out_dir):
    save_adapter(adapter_with_effect(load_model_4bit(tiny_model.path)), tmp_path / "adapter")
    adapter = describe(tmp_path / "adapter", "adapter", {"method": "qlora"})
    inputs = {"model": tiny_model, "adapter": adapter, "corpus": corpus}
    with pytest.raises(GateError, match=r"within 1e-06 nats a token of the adapter on the 4-bit base"):
        merge(Merge(max_quantised_kl=1e-6, probe_prompts=2), inputs, out_dir)


def test_a_wrongly_scaled_merge_fails(tiny_model):
    right, wrong = (adapter_with_effect(load_model(tiny_model.path)) for _ in range(2))
    prompt = list(range(5, 25))
    probe = Probe(prompt, greedy(right, prompt, stop_id=2))
    wanted = [answer_logits(right, probe)]
    for module in wrong.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling["default"] *= 4
    good = compare(wanted, [answer_logits(right.merge_and_unload(), probe)], [probe])
    bad = compare(wanted, [answer_logits(wrong.merge_and_unload(), probe)], [probe])
    require_parity(good, 1e-4)
    assert good.agreement == 1.0
    with pytest.raises(GateError, match=r"merged model: must be within 0\.05 nats"):
        require_parity(bad, 0.05)


def test_not_a_number_fails():
    parity = compare([torch.full((1, 4), float("nan"))], [torch.zeros(1, 4)], [Probe([1], [2])])
    with pytest.raises(GateError):
        require_parity(parity, 0.05)
