"""Models and tokenizers between disk and memory: safetensors only, no code from model folders, no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from contracts.errors import InputError
from training.device import Device, device_in_use

if TYPE_CHECKING:  # importing peft costs two seconds, and most stages have no adapter
    from peft import PeftModel

GOLDEN = "golden.json"
logging.disable_progress_bar()  # one @progress line serves instead


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer stored with a model. Raises InputError where there is none."""
    _require(path, "tokenizer.json")
    return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)


def load_model(path: Path, dtype: torch.dtype | None = None, device: Device | None = None) -> PreTrainedModel:
    """A causal model on the device in use, in the device's precision unless ``dtype`` is given; in eval mode.

    Raises InputError where the folder holds no model.
    """
    _require(path, "config.json")
    device = device or device_in_use()
    return _from_folder(path, device, dtype=dtype or device.dtype).to(device.kind).eval()


def load_model_4bit(path: Path, device: Device | None = None) -> PreTrainedModel:
    """A causal model with its linear layers in NF4 with double quantisation, multiplied in the device's precision.

    The head and the embeddings stay unquantised.
    """
    _require(path, "config.json")
    device = device or device_in_use()
    four_bit = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=device.compute_dtype,
        # FSDP2 shards storage of one dtype only: the packed weights must look like the rest.
        bnb_4bit_quant_storage=device.dtype if device.kind == "cuda" else torch.uint8,
    )
    place = {"": torch.cuda.current_device() if device.kind == "cuda" else "cpu"}
    return _from_folder(path, device, dtype=device.dtype, quantization_config=four_bit, device_map=place).eval()


def load_adapter(model: PreTrainedModel, path: Path, trainable: bool = False) -> PeftModel:
    """``model`` with the adapter stored at ``path`` (``model`` is changed in place by PEFT)."""
    _require(path, "adapter_model.safetensors")
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(path), is_trainable=trainable, local_files_only=True)


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    out_dir: Path,
    source: Path | None = None,
    dtype: torch.dtype | None = torch.bfloat16,
) -> None:
    """Write safetensors and the tokenizer; ``source`` is the model it was made from, whose golden ids go along.

    ``dtype`` casts the model in place first; None leaves it as it is.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    if dtype is not None:
        model = model.to(dtype)
        model.config.dtype = dtype
    model.config._name_or_path = ""  # where it was loaded from is no part of what it is
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    copy_golden(source, out_dir)


def save_adapter(model: PeftModel, out_dir: Path) -> None:
    """Write an adapter as fp32 safetensors, without the place its base was loaded from."""
    out_dir.mkdir(parents=True, exist_ok=True)
    for config in model.peft_config.values():
        config.base_model_name_or_path = ""
    model.save_pretrained(out_dir)
    (out_dir / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    config_file = out_dir / "adapter_config.json"
    settings = json.loads(config_file.read_text(encoding="utf-8"))
    # PEFT writes a set; its order changes between runs and would change the artifact's digest.
    settings["target_modules"] = sorted(settings["target_modules"])
    config_file.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")


def model_metrics(model: PreTrainedModel) -> dict[str, Any]:
    """Sizes that later stages and reports read from a model artifact."""
    config = model.config.get_text_config()
    return {
        "layers": int(config.num_hidden_layers),
        "hidden": int(config.hidden_size),
        "vocab": int(config.vocab_size),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def copy_golden(source: Path | None, out_dir: Path) -> None:
    """Carry the golden conversations from one model folder to the next."""
    if source is not None and (source / GOLDEN).is_file():
        shutil.copyfile(source / GOLDEN, out_dir / GOLDEN)


def weight_bytes(path: Path) -> int:
    """Size of a model's weights on disk."""
    return sum(file.stat().st_size for file in path.glob("*.safetensors"))


def trainable_parameters(model: torch.nn.Module) -> Iterable[tuple[str, torch.nn.Parameter]]:
    """The parameters that the optimiser will change, by name."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def _from_folder(path: Path, device: Device, **options: Any) -> PreTrainedModel:
    try:
        return AutoModelForCausalLM.from_pretrained(
            path,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="sdpa",
            **options,
        )
    except (OSError, ValueError) as error:
        raise InputError(
            str(path), "holds no model that can be loaded", got=error, hint="run the build again"
        ) from error


def _require(path: Path, name: str) -> None:
    if not (path / name).is_file():
        raise InputError(str(path), f"has no {name}", hint="is this the folder of a published model?")
