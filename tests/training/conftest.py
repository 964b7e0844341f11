"""A whole training room in small: a two-layer model with a byte-level tokenizer, a corpus, its tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.artifacts import Artifact, describe, publish
from contracts.documents import ChatExample, Document, write_jsonl
from recipes.schema import Tokenise

SYSTEM = "Answer with JSON."
WORDS = ("copper", "silver", "cobalt", "nickel", "zinc", "lead", "iron", "tin")


@pytest.fixture(autouse=True, scope="session")
def exact_arithmetic():
    """Figures are compared to many digits here, so the processor's bf16 units stay unused; one test turns them on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.device.cpu_multiplies_bf16", lambda: False)
        yield


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """Byte-level BPE with ChatML's special tokens, trained on the fixtures' own words."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    from training.chat import CHATML

    trained = ByteLevelBPETokenizer()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trained.train_from_iterator(
        [f"{SYSTEM} The price of {word} is 41 dollars." for word in WORDS], 400, 2, False, special
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer, bos_token=special[1], eos_token=special[2], pad_token=special[0]
    )
    tokenizer.chat_template = CHATML
    return tokenizer


@pytest.fixture(scope="session")
def tiny_model(tiny_tokenizer, tmp_path_factory) -> Artifact:
    """Published random-init Llama: 2 layers, hidden 64."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from training.chat import golden
    from training.loading import save_model

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.15,  # at the usual 0.02 all logits are near 0 and no comparison can fail
        pad_token_id=tiny_tokenizer.pad_token_id,
        eos_token_id=tiny_tokenizer.eos_token_id,
        bos_token_id=tiny_tokenizer.bos_token_id,
    )
    folder = tmp_path_factory.mktemp("model")
    save_model(LlamaForCausalLM(config), tiny_tokenizer, folder / "draft")
    (folder / "draft" / "golden.json").write_text(json.dumps(golden(tiny_tokenizer, SYSTEM)), encoding="utf-8")
    return publish(describe(folder / "draft", "model", {"layers": 2}), folder / "published")


@pytest.fixture(scope="session")
def examples() -> list[ChatExample]:
    """24 questions of one task with JSON answers."""
    return [
        ChatExample(
            id=f"price/{number}",
            task="price",
            source="prices",
            document_id=f"doc/{number}",
            prompt=[
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"The price of {WORDS[number % 8]} is {number + 10} dollars. Which price?"},
            ],
            completion=json.dumps({"price": str(number + 10)}),
            gold={"price": str(number + 10)},
        )
        for number in range(24)
    ]


@pytest.fixture(scope="session")
def corpus(examples, tmp_path_factory) -> Artifact:
    """Published corpus with the files that curation writes."""
    folder = tmp_path_factory.mktemp("corpus")
    draft = folder / "draft"
    draft.mkdir()

    def documents(source: str, count: int, length: int) -> list[Document]:
        texts = [f"{WORDS[n % 8]} rose to {n} dollars. " * length for n in range(count)]
        return [Document(id=f"{source}/{n}", text=t, source=source, licence="CC0-1.0") for n, t in enumerate(texts)]

    write_jsonl(draft / "train.jsonl", examples)
    write_jsonl(draft / "eval.jsonl", examples[:4])
    write_jsonl(draft / "pretraining.jsonl", documents("news", 20, 6))
    write_jsonl(draft / "pretraining_heldout.jsonl", documents("news", 2, 3))
    write_jsonl(draft / "replay.jsonl", documents("general", 20, 5))
    write_jsonl(draft / "replay_heldout.jsonl", documents("general", 2, 3))
    return publish(describe(draft, "corpus"), folder / "published")


@pytest.fixture(scope="session")
def tokens(tiny_model, corpus, tmp_path_factory) -> Artifact:
    """The corpus through the real tokenise stage."""
    from training.tokenise import tokenise

    folder = tmp_path_factory.mktemp("tokens")
    draft = folder / "draft"
    draft.mkdir()
    section = Tokenise(max_tokens=256, pack_tokens=128)
    artifact, _ = tokenise(section, {"model": tiny_model, "corpus": corpus}, draft)
    return publish(artifact, folder / "published")


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    """Where a stage under test writes."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder
