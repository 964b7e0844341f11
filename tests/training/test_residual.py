"""The instruction residual: identities, shards, and models that do not match."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import training.residual as residual_module
from contracts.artifacts import Artifact, describe
from contracts.errors import FitError, InputError
from recipes.training_sections import Residual
from tests.tiny_model import tiny_model
from training.loading import load_model
from training.residual import residual

WEIGHTS = "model.safetensors"


@pytest.fixture
def three(tmp_path: Path) -> dict[str, Artifact]:
    (tmp_path / "out").mkdir()
    return {name: tiny_model(tmp_path / name, seed=seed) for seed, name in enumerate(("model", "base", "instruct"))}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def test_base_plus_its_residual_is_instruct(three: dict[str, Artifact], tmp_path: Path):
    artifact, _ = residual(Residual(), three | {"model": three["base"]}, tmp_path / "out")
    made, wanted = weights(tmp_path / "out"), weights(three["instruct"].path)
    assert made.keys() == wanted.keys()
    assert all(torch.equal(made[name], wanted[name]) for name in wanted)
    assert artifact.metrics["identity"] is False
    assert artifact.metrics["layers"] == 2


def test_the_sum_is_the_definition_at_any_scale_and_loads(three: dict[str, Artifact], tmp_path: Path):
    artifact, _ = residual(Residual(scale=0.5), three, tmp_path / "out")
    made = weights(tmp_path / "out")
    model, base, instruct = (weights(three[name].path) for name in ("model", "base", "instruct"))
    for name, tensor in made.items():
        torch.testing.assert_close(tensor, model[name] + 0.5 * (instruct[name] - base[name]))
    assert artifact.metrics["mean_absolute_shift"] > 0
    assert load_model(tmp_path / "out").config.num_hidden_layers == 2


def test_many_shards_hold_the_same_as_one(three: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    residual(Residual(), three, tmp_path / "out")
    one = weights(tmp_path / "out")
    monkeypatch.setattr(residual_module, "SHARD_BYTES", 9_000)
    monkeypatch.setattr(residual_module, "BLOCK_ELEMENTS", 100)
    (tmp_path / "many").mkdir()
    residual(Residual(), three, tmp_path / "many")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    many = weights(tmp_path / "many")
    assert all(torch.equal(one[name], many[name]) for name in one)
    index = json.loads((tmp_path / "many" / residual_module.INDEX).read_text())
    assert index["weight_map"].keys() == one.keys()
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(load_model(tmp_path / "many")(ids).logits, load_model(tmp_path / "out")(ids).logits)


@pytest.mark.parametrize("case", ["twin", "scale"])
def test_nothing_to_add_passes_the_weights_through(case: str, three: dict[str, Artifact], tmp_path: Path):
    inputs = three | ({"base": three["instruct"]} if case == "twin" else {})
    section = Residual() if case == "twin" else Residual(scale=0.0)
    artifact, _ = residual(section, inputs, tmp_path / "out")
    assert artifact.metrics["identity"] is True
    assert artifact.files[WEIGHTS] == three["model"].files[WEIGHTS]
    assert "artifact.json" not in artifact.files
    assert "tokenizer.json" in artifact.files


def test_another_shape_or_a_missing_tensor_is_named(three: dict[str, Artifact], tmp_path: Path):
    base = weights(three["base"].path)
    name = "model.layers.1.mlp.up_proj.weight"
    (tmp_path / "odd").mkdir()
    save_file(base | {name: base[name][:-1].contiguous()}, tmp_path / "odd" / WEIGHTS)
    with pytest.raises(FitError, match=f"{name}.*got \\[63, 32\\]"):
        residual(Residual(), three | {"base": describe(tmp_path / "odd", "model")}, tmp_path / "out")
    save_file({key: value for key, value in base.items() if key != name}, tmp_path / "odd" / WEIGHTS)
    with pytest.raises(FitError, match=f"{name}: is missing in base"):
        residual(Residual(), three | {"base": describe(tmp_path / "odd", "model")}, tmp_path / "out")
    (tmp_path / "odd" / WEIGHTS).unlink()
    with pytest.raises(InputError, match="no safetensors"):
        residual(Residual(), three | {"base": describe(tmp_path / "odd", "model")}, tmp_path / "out")
