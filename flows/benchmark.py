"""The flow of the platform team: serve the models of the last build again and measure them."""

from __future__ import annotations

from prefect import flow

from flows.build_vertical import build_vertical
from flows.lifeline import die_with_worker


@flow(name="benchmark", persist_result=False)
def benchmark(vertical: str = "finance", scale: str = "local", overrides: list[str] | None = None) -> str:
    """Measure anew what is already built, and build nothing; returns the report's path.

    Raises InputError where a model is not built yet.
    """
    die_with_worker()
    return build_vertical(vertical=vertical, scale=scale, overrides=overrides, from_stage="serve", only="serve")
