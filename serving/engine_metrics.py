"""The engine's own counters (Prometheus text), before and after a cell."""

from __future__ import annotations

import re
from dataclasses import dataclass

LABELS = r'\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}'
"""A label's quoted value may hold braces."""
LINE = re.compile(rf"^(?P<name>[a-zA-Z_:][\w:]*)(?:{LABELS})?\s+(?P<value>[-+.\deE]+|NaN|[-+]?Inf)")


@dataclass(frozen=True)
class Counters:
    """Sums over the engine's replicas since its start. Tokens, events, seconds."""

    prefix_cache_queries: float
    prefix_cache_hits: float
    preemptions: float
    queue_seconds: float
    queued_requests: float
    generation_tokens: float

    def since(self, before: Counters) -> Counters:
        """What happened between ``before`` and now."""
        return Counters(**{name: value - getattr(before, name) for name, value in vars(self).items()})

    @property
    def prefix_cache_hit_share(self) -> float | None:
        """Share of prompt tokens found in the cache; None where the engine counted no query."""
        return self.prefix_cache_hits / self.prefix_cache_queries if self.prefix_cache_queries else None

    @property
    def mean_queue_ms(self) -> float | None:
        """Mean time a request waited inside the engine before it ran."""
        return 1_000 * self.queue_seconds / self.queued_requests if self.queued_requests else None


def read_counters(text: str) -> Counters:
    """The counters of a ``/metrics`` page; one that is not there counts as zero."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        found = LINE.match(line)
        if found:
            sums[found["name"]] = sums.get(found["name"], 0.0) + float(found["value"])
    return Counters(
        prefix_cache_queries=sums.get("vllm:prefix_cache_queries_total", 0.0),
        prefix_cache_hits=sums.get("vllm:prefix_cache_hits_total", 0.0),
        preemptions=sums.get("vllm:num_preemptions_total", 0.0),
        queue_seconds=sums.get("vllm:request_queue_time_seconds_sum", 0.0),
        queued_requests=sums.get("vllm:request_queue_time_seconds_count", 0.0),
        generation_tokens=sums.get("vllm:generation_tokens_total", 0.0),
    )
