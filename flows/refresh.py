"""The quarterly refresh: every vertical again, on whatever documents have come since."""

from __future__ import annotations

from prefect import flow

from flows.build_vertical import build_vertical
from flows.lifeline import die_with_worker
from recipes.load import verticals


@flow(name="refresh", persist_result=False)
def refresh(scale: str = "production", only_verticals: list[str] | None = None) -> list[str]:
    """Build each vertical in turn; stages whose documents and settings did not change come from the store."""
    die_with_worker()
    return [build_vertical(vertical=name, scale=scale) for name in only_verticals or verticals()]
