"""The local engine: one way to ask a model folder, the same for every model of a comparison."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from contracts.documents import ChatExample, ModelAnswer
from contracts.errors import FitError, InputError
from contracts.precision import cpu_multiplies_bf16
from contracts.usage import Usage
from evaluation.asking import Wanted
from evaluation.choices import answer_opening, letters
from evaluation.decoding import ATTENTION, decode, next_token_logits
from recipes.training_sections import Answering


@dataclass(frozen=True)
class Engine:
    """A loaded model. Answers do not depend on which prompts share a batch (up to rounding of equal logits)."""

    name: str
    model: Any
    tokenizer: Any
    stop_ids: frozenset[int]
    max_context: int

    def answers(self, wanted: Sequence[Wanted], settings: Answering) -> Iterator[ModelAnswer]:
        """Answers in batches of similar length, longest prompts first, each as soon as its row ends."""
        for batch in self._batches(wanted, settings.batch_size, settings.max_new_tokens):
            prompts = [ids for _, _, ids in batch]
            choose = _greedy if settings.temperature == 0 else sampler(batch, settings)
            for row in decode(self.model, prompts, self.stop_ids, settings.max_new_tokens, choose):
                example, sample, prompt = batch[row.row]
                yield ModelAnswer(
                    example_id=example.id,
                    sample=sample,
                    text=self.tokenizer.decode(row.ids, skip_special_tokens=True),
                    finish="stop" if row.stopped else "length",
                    prompt_tokens=len(prompt),
                    completion_tokens=len(row.ids) + row.stopped,
                )

    def choices(self, examples: Sequence[ChatExample], batch_size: int) -> Iterator[ModelAnswer]:
        """The option letter with the highest likelihood after the prompt and the answer's opening."""
        wanted = [(example, 0) for example in examples]
        for batch in self._batches(wanted, batch_size, 1, answer_opening):
            logits_B_V = next_token_logits(self.model, [ids for _, _, ids in batch])
            for (example, _, ids), logits_V in zip(batch, logits_B_V, strict=True):
                offered = letters(example)
                scores = logits_V[[self._letter_id(answer_opening(example), letter) for letter in offered]]
                best = offered[int(scores.argmax())]
                yield ModelAnswer(
                    example_id=example.id, text=best, finish="stop", prompt_tokens=len(ids), completion_tokens=1
                )

    def prompt_ids(self, example: ChatExample, opening: str = "") -> list[int]:
        """Token ids of the rendered prompt, with the assistant's turn opened."""
        text = self.tokenizer.apply_chat_template(example.prompt, add_generation_prompt=True, tokenize=False)
        ids: list[int] = self.tokenizer(text + opening, add_special_tokens=False)["input_ids"]
        return ids

    def _letter_id(self, opening: str, letter: str) -> int:
        """The token that a letter is, right after the opening."""
        before = self.tokenizer("\n" + opening, add_special_tokens=False)["input_ids"]
        after = self.tokenizer("\n" + opening + letter, add_special_tokens=False)["input_ids"]
        place = next(
            (at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), len(before)
        )
        return int(after[place])

    def _batches(
        self,
        wanted: Sequence[Wanted],
        batch_size: int,
        max_new_tokens: int,
        opening: Callable[[ChatExample], str] = lambda example: "",
    ) -> Iterator[list[tuple[ChatExample, int, list[int]]]]:
        ready = [(example, sample, self.prompt_ids(example, opening(example))) for example, sample in wanted]
        for example, _, ids in ready:
            if len(ids) + max_new_tokens > self.max_context:
                raise FitError(
                    f"example {example.id}",
                    f"prompt and answer must fit the model's context of {self.max_context} tokens",
                    got=f"{len(ids)} + {max_new_tokens}",
                    hint="lower evaluation.answering.max_new_tokens, or the source's max_chars",
                )
        ready.sort(key=lambda one: (-len(one[2]), one[0].id, one[1]))
        for start in range(0, len(ready), batch_size):
            yield ready[start : start + batch_size]


def load_engine(folder: Path) -> Engine:
    """Load a model folder: safetensors only, no code of its own; bf16, or fp32 on a CPU without units for that."""
    if not (folder / "config.json").is_file():
        hint = "give a whole model; an adapter is merged first"
        raise InputError(str(folder), "holds no model: config.json is missing", hint=hint)
    cuda = torch.cuda.is_available()
    precision = "bf16" if cuda or cpu_multiplies_bf16() else "fp32"
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        attn_implementation=ATTENTION,
    )
    model = model.to("cuda" if cuda else "cpu").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise InputError(str(folder), "its tokenizer has no chat template", hint="make the base artifact again")
    return Engine(
        name=f"local {precision} {'cuda' if cuda else 'cpu'}",
        model=model,
        tokenizer=tokenizer,
        stop_ids=_stop_ids(folder, tokenizer),
        max_context=int(getattr(model.config, "max_position_embeddings", 1 << 30)),
    )


def usage_of(answers: Iterable[ModelAnswer]) -> Usage:
    """What the answers took, with the device's name as its driver gives it and its peak memory."""
    tokens_in = tokens_out = 0
    for one in answers:
        tokens_in, tokens_out = tokens_in + one.prompt_tokens, tokens_out + one.completion_tokens
    if not torch.cuda.is_available():
        return Usage(tokens_in=tokens_in, tokens_out=tokens_out)
    return Usage(
        device=torch.cuda.get_device_name(),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        peak_memory_bytes=torch.cuda.max_memory_allocated(),
    )


def _stop_ids(folder: Path, tokenizer: Any) -> frozenset[int]:
    """End tokens of generation_config.json; the tokenizer's own where there are none."""
    path = folder / "generation_config.json"
    stated = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
    listed = stated if isinstance(stated, list) else [stated if stated is not None else tokenizer.eos_token_id]
    return frozenset(int(one) for one in listed if one is not None)


def _greedy(logits_B_V: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
    return logits_B_V.argmax(-1)


def sampler(
    batch: Sequence[tuple[ChatExample, int, list[int]]], settings: Answering
) -> Callable[[torch.Tensor, Sequence[int]], torch.Tensor]:
    """Sampling whose draws belong to (seed, example, sample): neither batch nor resume changes an answer."""
    draws = [
        random.Random(hashlib.sha256(f"{settings.seed}:{example.id}:{sample}".encode()).digest())
        for example, sample, _ in batch
    ]

    def choose(logits_B_V: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        cumulated = torch.softmax(logits_B_V.double() / settings.temperature, -1).cumsum(-1)
        uniform = torch.tensor([draws[row].random() for row in rows], dtype=torch.double, device=logits_B_V.device)
        chosen = torch.searchsorted(cumulated, uniform[:, None] * cumulated[:, -1:], right=True)
        return chosen[:, 0].clamp(max=logits_B_V.shape[-1] - 1)

    return choose
