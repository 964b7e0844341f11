"""The flow of the platform team: serve the models of the last build again and measure them."""

from __future__ import annotations

from prefect import flow

from flows.build_vertical import build_vertical


@flow(name="benchmark", persist_result=False)
def benchmark(vertical: str = "finance", scale: str = "local", overrides: list[str] | None = None) -> str:
    """Measure anew what is already built; returns the report's path."""
    return build_vertical(vertical=vertical, scale=scale, overrides=overrides, from_stage="serve")
