"""Small real things: a two-layer Llama with random weights, a byte-level tokenizer, a corpus of a few items."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from contracts.artifacts import Artifact, describe, publish
from contracts.documents import ChatExample, write_jsonl

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and the two marks of a chat turn."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={char: number for number, char in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    wrapped.chat_template = TEMPLATE
    return wrapped


def model_folder(folder: Path, seed: int = 0, context: int = 512) -> Path:
    """A model folder whose answers differ from prompt to prompt and often stop by themselves."""
    torch.manual_seed(seed)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.6,
        tie_word_embeddings=False,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=[words.eos_token_id], pad_token_id=words.pad_token_id)
    with torch.no_grad():  # some of the rows shall end early
        model.lm_head.weight[words.eos_token_id] *= 2.5
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def model_artifact(folder: Path, seed: int = 0, context: int = 512) -> Artifact:
    """The same as an artifact."""
    return describe(model_folder(folder, seed, context), "model")


def example(number: int, task: str = "cover_page", **changes: object) -> ChatExample:
    """An extraction item; its prompt's length grows with ``number``."""
    gold = {"name": f"Company {number}", "shares": str(1000 + number)}
    text = f"Company {number} has {1000 + number} shares. " + "More text. " * (number % 5)
    plain = {
        "id": f"{task}/{number}",
        "task": task,
        "source": "filings",
        "document_id": f"filings/{number}",
        "prompt": [{"role": "user", "content": text + "Fill in as JSON: name, shares."}],
        "completion": json.dumps(gold),
        "gold": gold,
        "context": text,
    }
    return ChatExample.model_validate(plain | changes)


def general_example(number: int) -> ChatExample:
    """A multiple-choice item."""
    letter = "ABCD"[number % 4]
    question = f"Which is the {number}th?\nA. one\nB. two\nC. three\nD. four"
    prompt = [{"role": "user", "content": question}]
    fields = {"prompt": prompt, "completion": f'{{"answer": "{letter}"}}', "gold": {"answer": letter}, "context": ""}
    return example(number, "general_knowledge", **fields)


def corpus_artifact(folder: Path, items: int = 6, general: int = 5) -> Artifact:
    """A published corpus with train, eval and general items."""
    draft = folder.with_name(folder.name + ".draft")
    draft.mkdir(parents=True)
    write_jsonl(draft / "eval.jsonl", [example(number) for number in range(items)])
    write_jsonl(draft / "train.jsonl", [example(100 + number) for number in range(items)])
    write_jsonl(draft / "general.jsonl", [general_example(number) for number in range(general)])
    held = {"id": "h", "text": "The committee kept rates unchanged. 利率", "source": "fed", "licence": "MIT"}
    write_jsonl(draft / "pretraining_heldout.jsonl", [held])
    write_jsonl(draft / "pretraining.jsonl", [held])
    return publish(describe(draft, "corpus"), folder)
