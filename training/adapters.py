"""LoRA adapters: built from the recipe's section, kept in fp32 whatever the trainer does to them."""

from __future__ import annotations

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from recipes.training_sections import Lora
from training.loading import trainable_parameters


def lora_config(lora: Lora) -> LoraConfig:
    """PEFT's configuration; ``all-linear`` is every linear layer but the head."""
    modules = list(lora.target_modules)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if modules == ["all-linear"] else modules,
        task_type="CAUSAL_LM",
    )


def with_adapter(model: PreTrainedModel, lora: Lora, seed: int) -> PeftModel:
    """``model`` frozen, with a fresh trainable adapter in fp32; the same seed gives the same weights."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return to_fp32(get_peft_model(model, lora_config(lora)))


def to_fp32(model: PeftModel) -> PeftModel:
    """Cast the trainable parameters to fp32, in place.

    Needed again after a TRL trainer was built around a 4-bit model: it casts them to bf16, where an update smaller
    than 2^-8 of the weight is lost.
    """
    for _, parameter in trainable_parameters(model):
        parameter.data = parameter.data.to(torch.float32)
    return model
