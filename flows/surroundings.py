"""What a chain needs to know of this machine."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from flows.build import Build
from flows.corpus_chain import Layer, Surroundings
from flows.priced_ledger import device_price
from flows.removals import requested
from flows.settings import NO_KEY, Settings, secret
from recipes.schema import Recipe


def surroundings(running: Build, api_key: SecretStr = NO_KEY, layers: tuple[Layer, ...] = ()) -> Surroundings:
    """The documents, the engine and the device's price of a build that is under way."""
    price, _ = device_price(running.settings)
    return Surroundings(
        corpus=running.corpus,
        engine_python=running.settings.vllm_python,
        ray_python=running.settings.ray_python,
        usd_per_device_hour=price,
        allow_downloads=running.settings.allow_downloads,
        api_key=api_key,
        layers=layers,
        removals=requested(running.settings.home, running.recipe.sources),
    )


def planned(recipe: Recipe, settings: Settings, corpus: Path | None, layers: tuple[Layer, ...]) -> Surroundings:
    """What a build here would have around it: no key and no price, which enter no fingerprint."""
    return Surroundings(
        corpus,
        settings.vllm_python,
        None,
        settings.allow_downloads,
        layers=layers,
        removals=requested(settings.home, recipe.sources),
    )


def teacher_key(running: Build) -> SecretStr:
    """The key of the teacher's API; empty where none is named, or ``--only`` does not ask it.

    Read before the first stage: that it is missing must not come out after hours of training. Raises InputError.
    """
    name = running.recipe.capture.api_key_env
    return secret(name) if name and (not running.only or running.wanted("teacher")) else NO_KEY
