"""Bits per byte of held-out text: comparable across tokenizers, unlike perplexity."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from transformers import PreTrainedModel

from training.compact_loss import compact_loss


def bits_per_byte(model: PreTrainedModel, rows: Iterable[dict[str, Any]], max_tokens: int) -> dict[str, Any]:
    """Score rows of ``TEXT_SCHEMA`` with ``model``: ``{"vertical", "general", "by_source", "tokens"}``.

    ``vertical`` and ``general`` (replay text) are bits per UTF-8 byte, None without such text; each takes at most
    half of ``max_tokens``. ``by_source`` is the loss in nats a token.
    """
    nats: dict[bool, float] = defaultdict(float)
    text_bytes: dict[bool, int] = defaultdict(int)
    tokens: dict[bool, int] = defaultdict(int)
    source_nats: dict[str, float] = defaultdict(float)
    source_tokens: dict[str, int] = defaultdict(int)
    model.eval()
    for row in rows:
        replay, count = row["replay"], len(row["input_ids"]) - 1
        if count < 1 or (tokens[replay] and tokens[replay] + count > max_tokens // 2):
            continue
        ids = torch.tensor([row["input_ids"]], device=model.device)
        with torch.no_grad():
            loss = float(compact_loss(model, {"input_ids": ids, "labels": ids}, 1))
        nats[replay] += loss
        text_bytes[replay] += row["utf8_bytes"]
        tokens[replay] += count
        source_nats[row["source"]] += loss
        source_tokens[row["source"]] += count

    def rate(replay: bool) -> float | None:
        return round(nats[replay] / math.log(2) / text_bytes[replay], 4) if text_bytes[replay] else None

    by_source = {source: round(source_nats[source] / count, 4) for source, count in source_tokens.items()}
    return {"vertical": rate(False), "general": rate(True), "by_source": by_source, "tokens": sum(tokens.values())}
