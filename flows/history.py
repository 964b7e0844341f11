"""What earlier builds took, for the planner: the ledger's whole attempts beside what today's formulas say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from contracts.errors import LedgerError, RecipeError
from flows.build import RECIPE
from flows.priced_ledger import open_ledger
from flows.settings import Settings
from ledger import Ledger, StageLine, build_lines
from recipes.calibration import Calibration, Run
from recipes.catalogue import device_row, models
from recipes.estimate import Group, estimate
from recipes.load import validate
from recipes.schema import Recipe

NEWEST_BUILDS = 20
"""Older ones say little of today's machine and code."""


def history(settings: Settings) -> tuple[Calibration, list[str]]:
    """The calibration by this home's builds, and what of them cannot be read: a plan does without it."""
    folders = sorted((settings.home / "builds").glob(f"*/{RECIPE}"), key=_modified, reverse=True)[:NEWEST_BUILDS]
    if not folders:
        return Calibration(), []
    try:
        ledger = open_ledger(settings)
    except LedgerError as error:
        return Calibration(), [f"planned without history: {error.line}"]
    runs, told = [], []
    for path in folders:
        try:
            runs += list(_runs(ledger, path, settings))
        except LedgerError as error:
            told.append(f"planned without one build's history: {error.line}")
    return Calibration(tuple(runs)), told


def _runs(ledger: Ledger, path: Path, settings: Settings) -> Iterator[Run]:
    """The stages of one build that were done in one attempt; none where its recipe is no longer one of today's."""
    try:
        recipe = validate(json.loads(path.read_text(encoding="utf-8")), RECIPE)
    except (RecipeError, OSError, ValueError):
        return
    lines = build_lines(ledger, path.parent.name)
    bases = (line.stage.removeprefix("base:") for line in lines if line.stage.startswith("base:"))
    chosen = next((name for name in bases if name in models()), "")
    for line in lines:
        known = device_row(line.device)
        if line.status == "done" and line.attempts == 1 and known is not None:
            yield _run(recipe, line, known[0], settings, chosen)


def _run(recipe: Recipe, line: StageLine, device: str, settings: Settings, base: str) -> Run:
    count = settings.device_count if line.device == settings.device else 1
    expected = estimate(recipe, line.stage, Group(device, count), base)
    predicted = expected.device_seconds[1] if expected else None
    return Run(line.stage, device, recipe.scale, predicted, line.device_seconds, line.build_id)


def _modified(path: Path) -> float:
    return path.stat().st_mtime
