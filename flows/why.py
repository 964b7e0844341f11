"""Why a stage would run again: what differs between its newest artifact and the one that is asked for now."""

from __future__ import annotations

from pathlib import Path

from flows.build import meant
from flows.plan import PlannedStage, plan
from flows.settings import Settings
from flows.stage_names import require_stage
from flows.store import Store
from recipes.calibration import Calibration
from recipes.fingerprint import changes
from recipes.schema import Recipe


def why(recipe: Recipe, settings: Settings, corpus: Path | None, word: str) -> list[str]:
    """A line a changed part of the fingerprint, of every stage that ``word`` means. Raises InputError for none."""
    stages = plan(recipe, settings, corpus, past=(Calibration(), [])).stages
    require_stage("stage", word, [one.stage for one in stages])
    wanted = [one for one in stages if meant(word, one.stage)]
    told = [(one.stage, line) for one in wanted for line in _reasons(settings, one)]
    return [f"{stage}: {line}" if len(wanted) > 1 else line for stage, line in told]


def _reasons(settings: Settings, asked: PlannedStage) -> list[str]:
    if asked.cached:
        return ["cached, nothing changed"]
    earlier = Store(settings.home).remembered(asked.stage)
    if not earlier:
        return ["has never been built"]
    return changes(earlier[0], asked.components) or [f"its artifact {asked.fingerprint} is damaged or gone"]
