"""A chat example as token ids: prompt and answer, cut after the stop token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contracts.documents import ChatExample
from contracts.errors import GateError


@dataclass(frozen=True)
class Rendered:
    """One example in the teacher's ids; ``input_ids[prompt_tokens:]`` is supervised and ends with the stop token."""

    example_id: str
    input_ids: list[int]
    prompt_tokens: int


def render(tokenizer: Any, example: ChatExample) -> Rendered:
    """Token ids of an example under the tokenizer's chat template.

    Raises GateError where the rendered prompt is no prefix of the whole, or no stop token closes the answer: a
    student trained on that would never stop.
    """
    answered = [*example.prompt, {"role": "assistant", "content": example.completion}]
    prompt_ids = _ids(tokenizer, example.prompt, add_generation_prompt=True)
    all_ids = _ids(tokenizer, answered, add_generation_prompt=False)
    if all_ids[: len(prompt_ids)] != prompt_ids:
        raise GateError(
            f"example {example.id}",
            "the rendered prompt must be a prefix of the rendered conversation",
            hint="the chat template changes earlier turns when an answer follows; correct the template",
        )
    if tokenizer.eos_token_id not in all_ids[len(prompt_ids) :]:
        raise GateError(
            f"example {example.id}",
            "the rendered answer must end with the stop token",
            got=tokenizer.decode(all_ids[-3:]),
            hint="the chat template has to close the assistant's turn with the tokenizer's eos_token",
        )
    stop = len(all_ids) - all_ids[::-1].index(tokenizer.eos_token_id)
    return Rendered(example_id=example.id, input_ids=all_ids[:stop], prompt_tokens=len(prompt_ids))


def _ids(tokenizer: Any, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
