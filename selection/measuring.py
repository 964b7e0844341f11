"""What a model that is present scores: bits per byte on held-out text, and fields found without any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from contracts.answers import atoms, parse
from contracts.documents import ChatExample
from contracts.errors import InputError
from contracts.precision import cpu_multiplies_bf16

WINDOW_TOKENS = 1_024
CONTEXT_TOKENS = 256
"""Tokens at the head of each window but the first that were scored before and only serve as context."""
NEW_TOKENS = 200
BATCH = 8

Told = Callable[[int, int], None]


def load(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a folder: safetensors only; bf16, or fp32 on a CPU without units for it."""
    if not (folder / "config.json").is_file():
        raise InputError(str(folder), "holds no model: config.json is missing", hint="make the base artifact again")
    cuda = torch.cuda.is_available()
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16 if cuda or cpu_multiplies_bf16() else torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return model.to("cuda" if cuda else "cpu").eval(), tokenizer


def device_name() -> str:
    """``cpu``, or the accelerator's name as its driver gives it."""
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"


def windows(model: Any) -> tuple[int, int]:
    """Window and carried context that the model has positions for."""
    window = min(WINDOW_TOKENS, int(getattr(model.config, "max_position_embeddings", WINDOW_TOKENS)))
    return window, min(CONTEXT_TOKENS, window // 2)


def bits_per_byte(model: Any, tokenizer: Any, texts: Sequence[str], window: int, context: int) -> float:
    """Bits a UTF-8 byte of the texts, comparable across tokenizers. Every token is scored once.

    A text's first token is predicted from the start token (the end token where there is none); later windows begin
    with ``context`` tokens of the one before.
    """
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    nats, length = 0.0, 0
    for text in texts:
        ids = [start, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        length += len(text.encode("utf-8"))
        scored = 1
        while scored < len(ids):
            begin = 0 if scored == 1 else scored - context
            end = min(len(ids), begin + window)
            nats += _nats(model, ids[begin:end], scored - begin)
            scored = end
    return nats / math.log(2) / max(1, length)


def _nats(model: Any, ids: list[int], first: int) -> float:
    """Negative log-likelihood of ``ids[first:]``, given all before."""
    device = model.device
    with torch.inference_mode():
        logits_T_V = model(
            input_ids=torch.tensor([ids[:-1]], device=device), use_cache=False, logits_to_keep=len(ids) - first
        ).logits[0]
        loss = cross_entropy(logits_T_V.float(), torch.tensor(ids[first:], device=device), reduction="sum")
    return float(loss)


def zero_shot(model: Any, tokenizer: Any, examples: Sequence[ChatExample], told: Told) -> tuple[float, int, int]:
    """Micro-averaged field F1 of greedy answers, with the tokens read and written."""
    ready = sorted(examples, key=lambda one: len(one.prompt[-1]["content"]))
    right = claimed = wanted = tokens_in = tokens_out = 0
    tokenizer.padding_side = "left"
    for begin in range(0, len(ready), BATCH):
        batch = ready[begin : begin + BATCH]
        prompts = [
            tokenizer.apply_chat_template(one.prompt, add_generation_prompt=True, tokenize=False) for one in batch
        ]
        encoded = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            ids = model.generate(**encoded, max_new_tokens=NEW_TOKENS, do_sample=False)
        answers = ids[:, encoded["input_ids"].shape[1] :]
        tokens_in += int(encoded["attention_mask"].sum())
        tokens_out += int((answers != tokenizer.pad_token_id).sum())
        for example, text in zip(batch, tokenizer.batch_decode(answers, skip_special_tokens=True), strict=True):
            gold, given = atoms(example.gold or {}), atoms(parse(text) or {})
            right, claimed, wanted = right + len(gold & given), claimed + len(given), wanted + len(gold)
        told(begin + len(batch), len(ready))
    return 2 * right / max(1, claimed + wanted), tokens_in, tokens_out
