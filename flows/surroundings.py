"""What a chain needs to know of this machine."""

from __future__ import annotations

from flows.build import Build, device_price
from flows.chain import Surroundings


def surroundings(running: Build) -> Surroundings:
    """The documents, the engine and the device's price of a build that is under way."""
    price, _ = device_price(running.settings)
    return Surroundings(
        corpus=running.corpus,
        engine_python=running.settings.vllm_python,
        usd_per_device_hour=price,
        allow_downloads=running.settings.allow_downloads,
    )
