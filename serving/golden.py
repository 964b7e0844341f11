"""Golden ids: the served template and tokenizer must give the ids that the model was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contracts.errors import GateError, InputError
from serving.server import Server

GOLDEN = "golden.json"


def require_golden_ids(server: Server, model: Path) -> int:
    """Ask the server to tokenise every golden conversation of ``model``; returns how many agreed.

    Raises InputError where the model carries none, GateError at the first id that differs (a wrong template, another
    tokenizer, a doubled first token: each would change the answers without an error).
    """
    conversations = _conversations(model / GOLDEN)
    for number, row in enumerate(conversations):
        # Without add_generation_prompt in the row, the conversation is one that awaits its answer.
        answer_next = bool(row.get("add_generation_prompt", True))
        served = server.post(
            "/tokenize",
            {
                "model": server.settings.name,
                "messages": row["messages"],
                "add_generation_prompt": answer_next,
                "add_special_tokens": False,
            },
        )
        if served["tokens"] != row["ids"]:
            raise GateError(
                f"{model / GOLDEN}: conversation {number}",
                "the server gives other token ids than the model was trained on",
                got=first_difference(row["ids"], served["tokens"]),
                hint="the chat template or the tokenizer beside the weights was changed after training",
            )
    return len(conversations)


def first_difference(expected: list[int], served: list[int]) -> str:
    """Where two lists of ids part, for people."""
    for position, (trained, other) in enumerate(zip(expected, served, strict=False)):
        if trained != other:
            return f"id {other} at position {position}, trained on {trained}"
    return f"{len(served)} ids, trained on {len(expected)}"


def _conversations(file: Path) -> list[dict[str, Any]]:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        rows = stored["conversations"] if isinstance(stored, dict) else stored
        if not rows or not all(row["messages"] and row["ids"] for row in rows):
            raise ValueError("no conversations in it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(file), "cannot be read as golden ids", got=error, hint="build the base model again: it writes them"
        ) from error
    return list(rows)
