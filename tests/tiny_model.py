"""A model folder in miniature: a random Llama and a byte-level tokenizer with the house's chat template."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from contracts.artifacts import Artifact, describe, publish
from contracts.documents import ChatExample
from training.chat import CHATML, golden
from training.loading import GOLDEN

torch.set_num_threads(1)  # threads that wait for each other cost more than these models compute
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = ['{"name": "Alder Co", "figure": 1204}', "Filed by Birch Ltd for 2025: figure 77.", "system user assistant"]


def tiny_tokenizer(more_text: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Byte-level BPE with a few merges; ``more_text`` gives other merges and so other ids."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*more_text, *TEXT] * 3, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], bos_token=SPECIAL[1], eos_token=SPECIAL[2]
    )
    fast.chat_template = CHATML
    return fast


def tiny_model(
    folder: Path, layers: int = 2, seed: int = 0, more_text: tuple[str, ...] = (), golden_for: str = ""
) -> Artifact:
    """Write a published model of ``layers`` layers into ``folder``, with golden ids if ``golden_for`` is a prompt."""
    tokenizer = tiny_tokenizer(more_text)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.2,
    )
    draft = folder.with_name(f"{folder.name}-draft")
    LlamaForCausalLM(config).save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    if golden_for:
        (draft / GOLDEN).write_text(json.dumps(golden(tokenizer, golden_for)), encoding="utf-8")
    return publish(describe(draft, "model", {"layers": layers, "hidden": 32, "vocab": len(tokenizer)}), folder)


def tiny_examples(count: int) -> list[ChatExample]:
    """Extraction examples of differing lengths."""
    names = ("Alder Co", "Birch Ltd", "Cedar Holdings of the North", "Elm")
    examples = []
    for number in range(count):
        name, figure = names[number % len(names)], 100 + 37 * number
        text = f"Filed by {name} for 2025: figure {figure}." + " Nothing else." * (number % 5)
        examples.append(
            ChatExample(
                id=f"e{number}",
                task="extract",
                source="filings",
                document_id=f"d{number}",
                prompt=[{"role": "user", "content": text}],
                completion=f'{{"name": "{name}", "figure": {figure}}}',
                gold={"name": name, "figure": figure},
                context=text,
            )
        )
    return examples
