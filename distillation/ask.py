"""Stage ask: a teacher behind an API answers the training prompts, into an append-only file that survives a kill."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, ModelAnswer, read_jsonl, write_jsonl
from contracts.endpoint import Endpoint
from contracts.errors import InputError, ServeError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from recipes.stage_sections import AskSection

CODE_VERSION = "2"
CONCURRENCY = 8
FENCE = re.compile(r"```\w*\s*\n(.*?)\s*```", re.DOTALL)
GIVE_UP_AFTER = 8
"""Failures one after another, each after all its retries: the server is gone, not the one request."""


def ask_teacher(section: AskSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Ask ``section.endpoint`` at most ``max_items`` training prompts of ``corpus``; makes ``answers``.

    Raises InputError where there is nothing to ask, ServeError when the server is gone or answered nothing; what was
    answered is kept for the next attempt.
    """
    endpoint = Endpoint(base_url=section.endpoint.rstrip("/"), model=section.model, api_key=section.api_key)
    if not endpoint.model:
        endpoint = endpoint.model_copy(update={"model": served_model(endpoint)})
    examples = sample(read_jsonl(inputs["corpus"].file("train.jsonl"), ChatExample), section.max_items, section.seed)
    if not examples:
        raise InputError("corpus", "has no training examples", hint="see the curation card for what was rejected")
    kept = out_dir / ".answers.jsonl"
    failed = ask(examples, endpoint, kept, CONCURRENCY, section.max_new_tokens)
    by_id = {answer.example_id: answer for answer in read_jsonl(kept, ModelAnswer)}
    answers = [by_id[example.id] for example in examples if example.id in by_id]
    if not answers:
        hint = "is capture.api_key_env the right key's, and does the server take prompts of that length?"
        raise ServeError(endpoint.base_url, "answered no prompt", got=next(iter(failed.values())), hint=hint)
    write_jsonl(out_dir / "answers.jsonl", answers)
    metrics = {"model": endpoint.model, "asked": len(examples), "answered": len(answers), "failed": failed}
    usage = Usage(
        tokens_in=sum(answer.prompt_tokens for answer in answers),
        tokens_out=sum(answer.completion_tokens for answer in answers),
        device_count=0,
    )
    return describe(out_dir, "answers", metrics), usage


def sample(examples: Iterable[ChatExample], most: int, seed: int) -> list[ChatExample]:
    """At most ``most`` of the examples, by a hash of seed and id: a fair share of every task, whatever their order."""
    ranked = sorted(examples, key=lambda one: hashlib.sha256(f"{seed}:{one.id}".encode()).digest())
    return ranked[:most]


def ask(
    examples: Iterable[ChatExample], endpoint: Endpoint, out_path: Path, concurrency: int, max_new_tokens: int
) -> dict[str, str]:
    """Append one ModelAnswer a line to ``out_path`` for every example that has none there yet.

    Returns example id to error for those that failed after their retries; they are asked again next time. Raises
    ServeError after ``GIVE_UP_AFTER`` failures in a row.
    """
    done = _whole_lines(out_path)
    open_examples = [example for example in examples if example.id not in done]
    failed: dict[str, str] = {}
    in_a_row = 0
    with out_path.open("a", encoding="utf-8") as out, ThreadPoolExecutor(concurrency) as pool:

        def start(example: ChatExample) -> Future[ModelAnswer]:
            return pool.submit(_ask_one, example, endpoint, max_new_tokens)

        for number, (example, result) in enumerate(_bounded(open_examples, start, 2 * concurrency), start=1):
            error = result.exception()
            if error is None:
                in_a_row = 0
                out.write(result.result().model_dump_json() + "\n")
                out.flush()
            elif isinstance(error, ServeError):
                in_a_row += 1
                failed[example.id] = error.line
                if in_a_row >= GIVE_UP_AFTER:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise error
            else:
                pool.shutdown(wait=False, cancel_futures=True)
                raise error
            progress(number + len(done), len(open_examples) + len(done), "asking the teacher")
    return failed


def served_model(endpoint: Endpoint) -> str:
    """The name of the first model that a server lists. Raises ServeError where it lists none."""
    listed = endpoint.get("/models")
    try:
        return str(listed["data"][0]["id"])
    except (LookupError, TypeError) as error:
        hint = "name the teacher in capture.endpoint_model"
        raise ServeError(f"{endpoint.base_url}/models", "lists no model", got=str(listed)[:200], hint=hint) from error


def _ask_one(example: ChatExample, endpoint: Endpoint, max_new_tokens: int) -> ModelAnswer:
    answer = endpoint.chat(example.prompt, max_tokens=max_new_tokens, temperature=0)
    try:
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        return ModelAnswer(
            example_id=example.id,
            text=unfenced(str(choice["message"]["content"] or "")),
            finish="stop" if choice.get("finish_reason") == "stop" else "length",
            prompt_tokens=int(usage.get("prompt_tokens", 0)),
            completion_tokens=int(usage.get("completion_tokens", 0)),
        )
    except (LookupError, TypeError, ValueError) as error:
        shown = json.dumps(answer)[:200]
        raise ServeError(endpoint.base_url, "gave an answer of another shape", got=shown) from error


def unfenced(text: str) -> str:
    """An answer without the code fence that chat models put around JSON: students must not learn to write it."""
    fenced = FENCE.fullmatch(text.strip())
    return fenced.group(1) if fenced else text


def _bounded(
    examples: list[ChatExample], start: Callable[[ChatExample], Future[ModelAnswer]], most: int
) -> Iterable[tuple[ChatExample, Future[ModelAnswer]]]:
    """Finished requests as they come, with at most ``most`` under way: a million examples are no million futures."""
    waiting: dict[Future[ModelAnswer], ChatExample] = {}
    rest = iter(examples)
    exhausted = False
    while waiting or not exhausted:
        while len(waiting) < most and not exhausted:
            example = next(rest, None)
            if example is None:
                exhausted = True
            else:
                waiting[start(example)] = example
        if waiting:
            for finished in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(finished), finished


def _whole_lines(path: Path) -> set[str]:
    """Ids answered so far; a last line that a kill cut is removed from the file."""
    if not path.is_file():
        return set()
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if whole != raw:
        with path.open("r+b") as out:
            out.truncate(len(whole))
    rows: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines() if line.strip()]
    return {str(row["example_id"]) for row in rows}


if __name__ == "__main__":
    stage_main(ask_teacher, AskSection)
