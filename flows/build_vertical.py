"""The flow that Prefect launches: documents to served students, for one vertical at one scale."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from pydantic import BaseModel, ConfigDict, Field

from contracts.errors import StillroomError
from flows.assemble import assemble
from flows.build import Build, Enough, opened
from flows.chain import build
from flows.corpus_chain import Layer
from flows.history import history
from flows.inbox import Records, as_inbox
from flows.lifeline import die_with_worker
from flows.publish import StageProgress, publish_report
from flows.refusals import tell_without_stack
from flows.settings import Settings, documents
from flows.stage_names import refuse_unknown_stages
from flows.step import steps
from flows.surroundings import surroundings, teacher_key
from recipes.load import load


class BuildOrder(BaseModel):
    """What a build is asked for. Checked by Prefect before a run is created."""

    model_config = ConfigDict(extra="forbid")

    vertical: str = "finance"
    scale: str = "local"
    overrides: list[str] = Field(default_factory=list)
    """``section.key=value``."""
    corpus: str | None = None
    """Folder or file of documents; none: ``STILLROOM_CORPUS``, else the recipe's writer makes them."""
    from_stage: str = ""
    only: str = ""


@flow(name="build-vertical", persist_result=False, validate_parameters=True)
def build_vertical(
    vertical: str = "finance",
    scale: str = "local",
    overrides: list[str] | None = None,
    corpus: str | None = None,
    from_stage: str = "",
    only: str = "",
) -> str:
    """Build a vertical's model family; returns the path of its report."""
    die_with_worker()
    tell_without_stack()
    order = BuildOrder(vertical=vertical, scale=scale, overrides=overrides or [], corpus=corpus,
                       from_stage=from_stage, only=only)  # fmt: skip
    settings = Settings()
    recipe = load(order.vertical, order.scale, tuple(order.overrides))
    found = documents(Path(order.corpus) if order.corpus else None, settings)
    refuse_unknown_stages(recipe, settings, found, order.from_stage, order.only)
    build_id = str(flow_run.id or "by-hand")
    seen = as_inbox(found, recipe, settings)
    recipe = seen.recipe if seen else recipe
    with opened(build_id, recipe, settings, found, order.only, order.from_stage) as running:
        running.logger = get_run_logger()
        running.calibration = history(settings)[0]
        running.shown = StageProgress(running.logger)
        if seen:
            Records(settings).take(seen, seen.digests)
            running.digests = dict(seen.digests)
        return _built(running, seen.layers if seen else ())


def _built(running: Build, layers: tuple[Layer, ...]) -> str:
    try:
        build(steps(running), running.recipe, surroundings(running, teacher_key(running), layers), running.note)
    except Enough as enough:
        running.note(f"--only {running.only}: done, stopped before {enough}")
    except StillroomError as error:
        publish_report(running, assemble(running, error))
        raise
    return publish_report(running, assemble(running, None))
