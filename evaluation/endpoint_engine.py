"""The same questions over an ``Endpoint``: a server of ours, or somebody's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import Any

from contracts.documents import ChatExample, ModelAnswer
from contracts.endpoint import Endpoint
from contracts.errors import ServeError
from evaluation.asking import Wanted
from evaluation.choices import named_letter
from recipes.training_sections import Answering

CHOICE_TOKENS = 32
"""Enough for ``{"answer": "B"}``."""


@dataclass(frozen=True)
class EndpointEngine:
    """Asks over HTTP, ``batch_size`` requests at a time.

    A choice is read from the written answer, not from likelihoods: the protocol does not let the answer's opening be
    fixed. So an endpoint is compared with an endpoint only.
    """

    endpoint: Endpoint

    @property
    def name(self) -> str:
        """Both sides of a comparison carry this name."""
        return "endpoint"

    def answers(self, wanted: Sequence[Wanted], settings: Answering) -> Iterator[ModelAnswer]:
        """Answers as they come."""
        calls = [
            partial(
                self._ask,
                example,
                sample,
                max_tokens=settings.max_new_tokens,
                temperature=settings.temperature,
                seed=settings.seed + sample,
            )
            for example, sample in wanted
        ]
        yield from _at_once(calls, settings.batch_size)

    def choices(self, examples: Sequence[ChatExample], batch_size: int) -> Iterator[ModelAnswer]:
        """The letter that each written answer names; empty where it names none."""
        calls = [partial(self._ask, one, 0, max_tokens=CHOICE_TOKENS, temperature=0.0) for one in examples]
        for given in _at_once(calls, batch_size):
            yield given.model_copy(update={"text": named_letter(given.text)})

    def _ask(self, example: ChatExample, sample: int, **options: Any) -> ModelAnswer:
        body = self.endpoint.chat(example.prompt, **options)
        try:
            choice, usage = body["choices"][0], body.get("usage") or {}
            return ModelAnswer(
                example_id=example.id,
                sample=sample,
                text=choice["message"]["content"] or "",
                finish="stop" if choice["finish_reason"] == "stop" else "length",
                prompt_tokens=usage.get("prompt_tokens", 0),
                completion_tokens=usage.get("completion_tokens", 0),
            )
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            hint = "the address must be that of a chat completion server, up to and with /v1"
            got = str(body)[:200]
            raise ServeError(self.endpoint.base_url, "answered no chat completion", got=got, hint=hint) from error


def _at_once(calls: Sequence[Callable[[], ModelAnswer]], workers: int) -> Iterator[ModelAnswer]:
    """Run the calls in a pool and yield their results; the first failure stops those not yet started."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running = [pool.submit(call) for call in calls]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for one in running:
                one.cancel()
