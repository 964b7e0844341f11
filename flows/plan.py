"""The plan: the chain walked without running anything. What is cached, what a stage would take, what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from contracts.artifacts import Artifact
from contracts.errors import BudgetError, StillroomError
from contracts.reports import Candidate
from flows.build import source_digests
from flows.chain import Surroundings, build
from flows.code_version import code_version
from flows.inbox import as_inbox
from flows.removals import requested
from flows.settings import Settings
from flows.store import Store
from recipes.catalogue import device_row, devices
from recipes.estimate import Estimate, estimate
from recipes.fingerprint import changes, components, fingerprint
from recipes.schema import Recipe
from recipes.section import Section
from recipes.stage_sections import CurateSection
from selection.checks import select_section, weigh


class PlannedStage(BaseModel):
    """One stage of a plan. Seconds and USD as p10, p50, p90; None where the stage holds no device."""

    model_config = ConfigDict(frozen=True)

    stage: str
    fingerprint: str
    cached: bool
    components: dict[str, object]
    device_seconds: tuple[float, float, float] | None = None
    usd: tuple[float, float, float] | None = None
    memory_gib: float | None = None
    fits: bool | None = None


class Plan(BaseModel):
    """A whole build, planned."""

    model_config = ConfigDict(frozen=True)

    vertical: str
    scale: str
    device: str
    stages: list[PlannedStage]
    candidates: list[Candidate]
    """As the catalogue states them; ``select`` judges by the files of those that are on disk."""
    notes: list[str]

    @property
    def seconds_to_run(self) -> tuple[float, float, float]:
        """Device-seconds of what is not cached."""
        bands = [one.device_seconds for one in self.stages if one.device_seconds and not one.cached]
        return (sum(b[0] for b in bands), sum(b[1] for b in bands), sum(b[2] for b in bands))

    @property
    def usd_to_run(self) -> tuple[float, float, float] | None:
        """USD of what is not cached; None where the device has no price."""
        bands = [one.usd for one in self.stages if one.usd and not one.cached]
        return (sum(b[0] for b in bands), sum(b[1] for b in bands), sum(b[2] for b in bands)) if bands else None


def plan(recipe: Recipe, settings: Settings, corpus: Path | None, device: str = "") -> Plan:
    """Walk the chain; nothing runs, nothing is leased.

    Raises BudgetError when the usual case is over the budget, and LicenceError, TokenizerMismatch or FitError when the
    catalogue leaves no candidate.
    """
    seen = as_inbox(corpus, recipe, settings)
    recipe = seen.recipe if seen else recipe
    planned_on = device or default_device(recipe, settings)
    store = Store(settings.home)
    stages: list[PlannedStage] = []
    notes: list[str] = []

    def step(
        name: str,
        module: str,
        section: Section,
        inputs: Mapping[str, Artifact],
        *,
        device: bool = False,
        unread: bool = False,
    ) -> Artifact:
        data = {}
        if corpus is not None and isinstance(section, CurateSection):
            data = source_digests(corpus, section, seen.digests if seen else {})
        parts = components(name, section, {k: a.fingerprint for k, a in inputs.items()}, code_version(module), data)
        identity = fingerprint(parts)
        found = store.find(name, identity, unread)
        expected = estimate(recipe, name, planned_on) if device else None
        stages.append(_planned(name, identity, found is not None, parts, expected, planned_on))
        return found or Artifact(kind="planned", fingerprint=identity, path=store.place(name, identity))

    around = Surroundings(
        corpus,
        settings.vllm_python,
        None,
        settings.allow_downloads,
        layers=seen.layers if seen else (),
        removals=requested(settings.home, recipe.sources),
    )
    build(step, recipe, around, notes.append)
    made = Plan(
        vertical=recipe.vertical,
        scale=recipe.scale,
        device=planned_on,
        stages=stages,
        candidates=weigh(select_section(recipe)),
        notes=notes,
    )
    over = made.usd_to_run
    if over is not None and over[1] > recipe.budget.usd:
        hint = "raise budget.usd, or lower the sizes of the dearest stage below"
        raise BudgetError(
            "plan", f"is over the budget of {recipe.budget.usd:,.0f} USD", got=f"{over[1]:,.0f} USD", hint=hint
        )
    return made


def why(recipe: Recipe, settings: Settings, corpus: Path | None, stage: str) -> list[str]:
    """What differs between the newest published artifact of a stage and the one this recipe asks for."""
    planned = {one.stage: one for one in plan(recipe, settings, corpus).stages}
    if stage not in planned:
        names = ", ".join(planned)
        raise StillroomError("stage", "is not in this chain", got=repr(stage), hint=f"its stages: {names}")
    wanted = planned[stage]
    if wanted.cached:
        return []
    earlier = Store(settings.home).remembered(stage)
    if not earlier:
        return [f"{stage} has never been built"]
    return changes(earlier[0], wanted.components) or [f"{stage}: its artifact {wanted.fingerprint} is damaged or gone"]


def default_device(recipe: Recipe, settings: Settings) -> str:
    """The catalogue device a plan is for: an H100 for the large scales, else the one at hand."""
    if recipe.scale in ("single-gpu", "production"):
        return "H100-SXM"
    known = device_row(settings.device)
    return known[0] if known else "cpu"


def table(made: Plan) -> Group:
    """The plan as terminal tables: its stages, and what the catalogue says of the candidates."""
    return Group(_stages(made), _candidates(made))


def _stages(made: Plan) -> Table:
    shown = Table(title=f"{made.vertical} at scale {made.scale} on {made.device}", title_justify="left")
    for heading in ("stage", "cached", "device-hours p10 / p50 / p90", "USD p50", "memory GiB", "fits"):
        shown.add_column(heading, justify="left" if heading == "stage" else "right")
    for one in made.stages:
        hours = " / ".join(_hours(s) for s in one.device_seconds) if one.device_seconds else "-"
        usd = f"{one.usd[1]:,.2f}" if one.usd else "-"
        memory = f"{one.memory_gib:.1f}" if one.memory_gib is not None else "-"
        fits = "-" if one.fits is None else "yes" if one.fits else "[red]no[/red]"
        shown.add_row(one.stage, "yes" if one.cached else "no", hours, usd, memory, fits)
    total = made.usd_to_run
    hours = " / ".join(_hours(s) for s in made.seconds_to_run)
    shown.add_section()
    shown.add_row("to run", "", hours, f"{total[1]:,.2f}" if total else "no price", "", "")
    return shown


def _candidates(made: Plan) -> Table:
    shown = Table(title="candidates, as the catalogue states them", title_justify="left")
    for heading in ("candidate", "verdict", "check", "passed", "reason"):
        shown.add_column(heading, overflow="fold")
    for one in made.candidates:
        shown.add_section()
        for at, check in enumerate(one.checks):
            name, verdict = (escape(one.model), one.verdict) if at == 0 else ("", "")
            passed = "yes" if check.passed else "[red]no[/red]"
            shown.add_row(name, verdict, check.kind, passed, escape(check.reason))
    return shown


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}" if seconds >= 36 else f"{seconds / 3600:.4f}"


def _planned(
    stage: str, identity: str, cached: bool, parts: dict[str, object], expected: Estimate | None, device: str
) -> PlannedStage:
    row = devices()[device]
    if expected is None:
        return PlannedStage(stage=stage, fingerprint=identity, cached=cached, components=parts)
    price = row.usd_per_hour[1] / 3600 if row.usd_per_hour else None
    low, usual, high = expected.seconds
    return PlannedStage(
        stage=stage,
        fingerprint=identity,
        cached=cached,
        components=parts,
        device_seconds=expected.seconds,
        usd=(low * price, usual * price, high * price) if price is not None else None,
        memory_gib=expected.memory_gib,
        fits=expected.memory_gib * 2**30 <= row.memory_gb * 1e9 * 0.92,
    )
