"""Chat templates and supervision: what a conversation is as text, as ids, and which of them are learnt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from contracts.errors import GateError, InputError

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>' + '\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML with the assistant's tokens marked, the stop token among them; no system message is put in unasked."""
CHATML_STOP = "<|im_end|>"
PADS = ("<|endoftext|>", "<pad>", "<|pad|>", "<|finetune_right_pad_id|>", "<unk>")
Message = dict[str, str]


@dataclass(frozen=True)
class Supervised:
    """Token ids of a conversation; ``mask`` is 1 where the model learns to produce the id."""

    input_ids: list[int]
    mask: list[int]


def install_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Give a ChatML tokenizer the marked template; returns ``chatml-marked`` or ``own``.

    Other templates stay: their supervision is found by comparing prompt and conversation.
    Raises InputError where the tokenizer has no chat template at all.
    """
    own = tokenizer.chat_template
    if own is None:
        raise InputError("tokenizer", "has no chat template", hint="choose the instruct version of the model")
    # A template with tools or thinking does more than ChatML and must not be replaced.
    if CHATML_STOP in own and "tool" not in own and "think" not in own:
        tokenizer.chat_template = CHATML
        tokenizer.eos_token = CHATML_STOP
        return "chatml-marked"
    return "own"


def install_pad(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make sure the pad token is not the stop token: else the stop token's label is masked with the padding."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return
    vocabulary = tokenizer.get_vocab()
    for candidate in PADS:
        if candidate in vocabulary and vocabulary[candidate] != tokenizer.eos_token_id:
            tokenizer.pad_token = candidate
            return
    raise InputError(
        "tokenizer", "has no token that can pad", got=tokenizer.eos_token, hint=f"it needs one of {', '.join(PADS)}"
    )


def render(tokenizer: PreTrainedTokenizerBase, messages: list[Message], *, answer_next: bool) -> str:
    """The conversation as text; ``answer_next`` opens the assistant's turn at its end."""
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer_next))


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Ids of rendered text; the template has put in every special token, so none is added."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def supervise(tokenizer: PreTrainedTokenizerBase, prompt: list[Message], completion: str) -> Supervised:
    """A prompt with its answer: the answer and the stop token after it are learnt, nothing else.

    The prompt's ids are those the server will see, and what follows the stop token is cut. Raises GateError where the
    template does not render the prompt as the beginning of the conversation.
    """
    prompt_ids = encode(tokenizer, render(tokenizer, prompt, answer_next=True))
    answered = [*prompt, {"role": "assistant", "content": completion}]
    all_ids = encode(tokenizer, render(tokenizer, answered, answer_next=False))
    if all_ids[: len(prompt_ids)] != prompt_ids:
        raise GateError(
            "chat template",
            "the prompt's ids must begin the conversation's",
            got=f"a difference within the last of {len(prompt_ids)} ids",
            hint="the model would be trained on other prompts than the server gives it; correct the template",
        )
    answer_ids = all_ids[len(prompt_ids) :]
    if tokenizer.eos_token_id in answer_ids:
        last = len(answer_ids) - 1 - answer_ids[::-1].index(tokenizer.eos_token_id)
        answer_ids = answer_ids[: last + 1]
    return Supervised(prompt_ids + answer_ids, [0] * len(prompt_ids) + [1] * len(answer_ids))


def marked_mask(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> tuple[list[int], list[int]]:
    """``(ids, mask)`` as the template's generation markers give them; the mask is all zero without markers."""
    marked = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    return list(marked["input_ids"]), list(marked["assistant_masks"])


def golden(tokenizer: PreTrainedTokenizerBase, system_prompt: str) -> dict[str, Any]:
    """Conversations with their text and ids; the server that loads the model must give the same ids."""
    system = {"role": "system", "content": system_prompt}
    question = {"role": "user", "content": "Revenue in Q3 2025 was $1,204.50 million.\nWhich figure is stated?"}
    odd = {"role": "user", "content": '  Ünïcode – 株式会社, {"a": [1, 2]}\t<b>&amp;</b>  '}
    answer = {"role": "assistant", "content": '{"revenue_musd": 1204.5}'}
    conversations = [
        ([system, question], True),
        ([question], True),
        ([system, odd], True),
        ([system, question, answer, odd], True),
        ([system, question, answer], False),
    ]
    rows = []
    for messages, answer_next in conversations:
        text = render(tokenizer, messages, answer_next=answer_next)
        ids = encode(tokenizer, text)
        rows.append({"messages": messages, "add_generation_prompt": answer_next, "text": text, "ids": ids})
    return {"stop_token_ids": [tokenizer.eos_token_id], "conversations": rows}


def require_golden(tokenizer: PreTrainedTokenizerBase, file: Path) -> int:
    """Compare the tokenizer with the golden ids stored beside the model; returns how many conversations there are.

    Raises GateError at the first that differs.
    """
    rows = json.loads(file.read_text(encoding="utf-8"))["conversations"]
    for number, row in enumerate(rows):
        text = render(tokenizer, row["messages"], answer_next=row["add_generation_prompt"])
        if text != row["text"] or encode(tokenizer, text) != row["ids"]:
            raise GateError(
                f"{file}: conversation {number}",
                "renders to other ids than those stored with the model",
                hint="the template or the tokenizer has changed since; build the base model again",
            )
    return len(rows)
