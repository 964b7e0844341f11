"""Stage ask: a teacher behind an API answers the training prompts, into an append-only file that survives a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, ModelAnswer, read_jsonl, write_jsonl
from contracts.endpoint import Endpoint
from contracts.errors import InputError, ServeError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from recipes.schema import Capture

CODE_VERSION = "1"
CONCURRENCY = 8
MAX_NEW_TOKENS = 512
GIVE_UP_AFTER = 8
"""Failures one after another, each after all its retries: the server is gone, not the one request."""


def ask_teacher(section: Capture, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Ask ``section.endpoint`` the first ``teacher_prompts`` training prompts of ``corpus``; makes ``answers``.

    Raises InputError without an endpoint, ServeError when it is gone; what was answered is kept for the next attempt.
    """
    if not section.endpoint:
        raise InputError("capture.endpoint", "must name the teacher's server", hint="e.g. http://teacher:8000/v1")
    endpoint = Endpoint(base_url=section.endpoint.rstrip("/"), model=served_model(section.endpoint.rstrip("/")))
    examples = list(read_jsonl(inputs["corpus"].file("train.jsonl"), ChatExample))[: section.teacher_prompts]
    kept = out_dir / ".answers.jsonl"
    failed = ask(examples, endpoint, kept, CONCURRENCY, MAX_NEW_TOKENS)
    by_id = {answer.example_id: answer for answer in read_jsonl(kept, ModelAnswer)}
    answers = [by_id[example.id] for example in examples if example.id in by_id]
    write_jsonl(out_dir / "answers.jsonl", answers)
    metrics = {"model": endpoint.model, "asked": len(examples), "answered": len(answers), "failed": failed}
    usage = Usage(
        tokens_in=sum(answer.prompt_tokens for answer in answers),
        tokens_out=sum(answer.completion_tokens for answer in answers),
        device_count=0,
    )
    return describe(out_dir, "answers", metrics), usage


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


def served_model(base_url: str) -> str:
    """The name of the first model that a server lists. Raises ServeError where it lists none."""
    try:
        listed = httpx.get(f"{base_url}/models", timeout=30.0)
        return str(listed.json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise ServeError(
            f"{base_url}/models", "lists no model", got=error, hint="is the server up, and is the URL up to /v1?"
        ) from error


def _ask_one(example: ChatExample, endpoint: Endpoint, max_new_tokens: int) -> ModelAnswer:
    answer = endpoint.chat(example.prompt, max_tokens=max_new_tokens, temperature=0)
    try:
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        return ModelAnswer(
            example_id=example.id,
            text=str(choice["message"]["content"]),
            finish="stop" if choice.get("finish_reason") == "stop" else "length",
            prompt_tokens=int(usage.get("prompt_tokens", 0)),
            completion_tokens=int(usage.get("completion_tokens", 0)),
        )
    except (LookupError, TypeError, ValueError) as error:
        shown = json.dumps(answer)[:200]
        raise ServeError(endpoint.base_url, "gave an answer of another shape", got=shown) from error


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
    stage_main(ask_teacher, Capture)
