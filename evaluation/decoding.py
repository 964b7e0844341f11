"""Greedy and sampled decoding of a batch: left padding, a key-value cache with room, finished rows leave the batch.

``model.generate`` keeps a finished row in the batch until the longest one ends, and its cache is copied whole at every
token; both cost more than the arithmetic on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "grouped_sdpa"
"""Name under which the attention below is known to transformers."""

Choose = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]
"""``(logits_B_V, rows) -> ids_B``: the next token of each row still alive; ``rows`` are their places in the batch."""


@dataclass(frozen=True)
class Decoded:
    """One finished row: its place in the batch, the ids without the stop token, and whether it stopped by itself."""

    row: int
    ids: list[int]
    stopped: bool


def decode(
    model: Any, prompts: Sequence[Sequence[int]], stop_ids: frozenset[int], max_new_tokens: int, choose: Choose
) -> Iterator[Decoded]:
    """Complete the token ids of ``prompts``; yields each row as soon as it ends. Not one row waits for another."""
    ids, mask = _left_padded(prompts, model.device)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = _roomy_cache(model.config, ids.shape[1] + max_new_tokens)
    rows = list(range(len(prompts)))
    written: list[list[int]] = [[] for _ in prompts]
    for step in range(max_new_tokens):
        with torch.inference_mode():
            logits_B_V = model(
                input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, logits_to_keep=1
            ).logits[:, -1]
            next_ids = choose(logits_B_V, rows)
        alive = []
        for index, token in enumerate(next_ids.tolist()):
            row, stopped = rows[index], token in stop_ids
            if not stopped:
                written[row].append(token)
            if stopped or step == max_new_tokens - 1:
                yield Decoded(row, written[row], stopped)
            else:
                alive.append(index)
        if not alive:
            return
        if len(alive) < len(rows):
            keep = torch.tensor(alive, device=model.device)
            cache.batch_select_indices(keep)
            next_ids, mask, places = next_ids[keep], mask[keep], places[keep]
            rows = [rows[index] for index in alive]
        ids = next_ids[:, None]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)
        places = places[:, -1:] + 1


def next_token_logits(model: Any, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Logits ``[B, V]`` of the token after each prompt."""
    ids, mask = _left_padded(prompts, model.device)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        out = model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=1)
    logits_B_V: torch.Tensor = out.logits[:, -1]
    return logits_B_V


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(prompt) for prompt in prompts)
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer whose memory is taken once: a new token is written into its place, nothing is copied."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.length = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values ``[B, heads, new, size]``; returns views of all so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys = key_states.new_empty(*key_states.shape[:2], self.room, key_states.shape[3])
            self.values = value_states.new_empty(*value_states.shape[:2], self.room, value_states.shape[3])
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Tokens held, not the room taken."""
        return self.length


def _roomy_cache(config: Any, room: int) -> DynamicCache:
    """A cache with room for the whole answer; layers with a window or a state of their own stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def grouped_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one new token without repeating the shared key heads; anything else goes to transformers' own.

    The query heads ``[B, H, 1, D]`` that share a key head are laid out as its query positions ``[B, H/g, g, D]``:
    for a single new token all of them see the same keys, so the result is the same and the cache is read once.
    """
    group = getattr(module, "num_key_value_groups", 1)
    if query.shape[2] != 1 or group == 1 or options.get("position_bias") is not None:
        whole: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return whole
    batch, heads, _, size = query.shape
    out = scaled_dot_product_attention(
        query.reshape(batch, heads // group, group, size),
        key,
        value,
        attn_mask=attention_mask,
        scale=options.get("scaling"),
    )
    return out.reshape(batch, 1, heads, size), None


AttentionInterface.register(ATTENTION, grouped_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
