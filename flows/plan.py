"""The plan: the chain walked without running anything. What is cached, what a stage would take, what does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, computed_field

from contracts.artifacts import Artifact
from contracts.errors import BudgetError
from contracts.reports import Candidate
from flows.build import source_digests
from flows.chain import build
from flows.code_version import code_version
from flows.history import history
from flows.inbox import as_inbox
from flows.priced_ledger import device_price
from flows.settings import Settings
from flows.stage_call import StageCall, Step
from flows.store import Store
from flows.surroundings import planned
from recipes.calibration import Calibration
from recipes.catalogue import AS_OF, device_row, devices
from recipes.estimate import Estimate, Group, estimate, group
from recipes.fingerprint import components, fingerprint
from recipes.schema import Recipe
from recipes.speed import Band, plus, times
from recipes.stage_sections import CurateSection
from recipes.verdicts import Verdict, verdicts
from recipes.work import api_tokens
from selection.checks import select_section, weigh

NOTHING: Band = (0.0, 0.0, 0.0)


class Shown(BaseModel):
    """Base of a plan's parts."""

    model_config = ConfigDict(frozen=True)


class PlannedStage(Shown):
    """One stage of a plan. Seconds and USD as p10, p50, p90; None where nothing is known."""

    stage: str
    fingerprint: str
    cached: bool
    components: dict[str, object]
    device: str
    """What it holds: the plan's devices, or one ``cpu``."""
    flops: float | None = None
    wall_seconds: Band | None = None
    device_seconds: Band | None = None
    usd: Band | None = None
    basis: str = ""
    """What the seconds rest on: published bands, or so many runs of the ledger."""
    memory_bytes: dict[str, float] | None = None
    """On each device, by part."""
    fits: bool | None = None
    nearest: tuple[str, ...] = ()
    """Where it does not fit: settings with which it does."""


class Price(Shown):
    """USD per device-hour: the usual one, and the band where the catalogue has one."""

    usual: float | None
    low: float | None = None
    high: float | None = None
    source: str


class Plan(Shown):
    """A whole build, planned."""

    vertical: str
    scale: str
    device: str
    price: Price
    budget_usd: float
    stages: list[PlannedStage]
    candidates: list[Candidate]
    """As the catalogue states them; ``select`` judges by the files of those that are on disk."""
    verdicts: list[Verdict]
    """On students, corpora, and what of it may be released."""
    calibration: str
    notes: list[str]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def seconds_to_run(self) -> Band:
        """Device-seconds of what is not cached, on the plan's devices."""
        return _sum(one.device_seconds for one in self._to_run if one.device == self.device)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def wall_seconds_to_run(self) -> Band:
        """The clock from the first stage to the last, one after the other, as far as it is known."""
        return _sum(one.wall_seconds for one in self._to_run)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def flops_to_run(self) -> float:
        """Operations of what is not cached."""
        return sum(one.flops or 0.0 for one in self._to_run)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def usd_to_run(self) -> Band | None:
        """USD of what is not cached; None where the device has no price."""
        return None if self.price.usual is None else _sum(one.usd for one in self._to_run)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def saved_seconds(self) -> float:
        """Device-seconds (p50) that cached stages spare."""
        return sum(one.device_seconds[1] for one in self.stages if one.cached and one.device_seconds)

    @property
    def _to_run(self) -> list[PlannedStage]:
        return [one for one in self.stages if not one.cached]


def plan(
    recipe: Recipe,
    settings: Settings,
    corpus: Path | None,
    device: str = "",
    past: tuple[Calibration, list[str]] | None = None,
) -> Plan:
    """Walk the chain for a device list as ``group`` reads it; nothing runs, nothing is leased.

    ``past`` is the history, where it has been read already. Raises InputError for an unknown device, and LicenceError,
    TokenizerMismatch or FitError when the catalogue leaves no candidate.
    """
    seen = as_inbox(corpus, recipe, settings)
    recipe = seen.recipe if seen else recipe
    on = group(device) if device else default_group(recipe, settings)
    price = _price(on, settings)
    calibration, told = past or history(settings)
    store, notes = Store(settings.home), list(told)
    stages: dict[str, PlannedStage] = {}

    def look(call: StageCall) -> Artifact:
        data = {}
        if corpus is not None and isinstance(call.section, CurateSection):
            data = source_digests(corpus, call.section, seen.digests if seen else {})
        made_of = {key: one.fingerprint for key, one in call.inputs.items()}
        parts = components(call.name, call.section, made_of, code_version(call.module), data)
        identity = fingerprint(parts)
        found = store.find(call.name, identity, call.unread)
        bare = PlannedStage(stage=call.name, fingerprint=identity, cached=found is not None, components=parts,
                            device=str(on) if call.device else "cpu")  # fmt: skip
        base = next((one.removeprefix("base:") for one in stages if one.startswith("base:")), "")
        expected = estimate(recipe, call.name, on, base) if call.device else None
        stages[call.name] = _expected(
            bare, expected, on if call.device else Group("cpu"), price, calibration, recipe.scale
        )
        return found or Artifact(kind="planned", fingerprint=identity, path=store.place(call.name, identity))

    build(Step(look), recipe, planned(recipe, settings, corpus, seen.layers if seen else ()), notes.append)
    notes += _provisos(recipe, on)
    return Plan(
        vertical=recipe.vertical,
        scale=recipe.scale,
        device=str(on),
        price=price,
        budget_usd=recipe.budget.usd,
        stages=list(stages.values()),
        candidates=weigh(select_section(recipe)),
        verdicts=verdicts(recipe),
        calibration=str(calibration),
        notes=notes,
    )


def _provisos(recipe: Recipe, on: Group) -> list[str]:
    """What the figures leave out."""
    found = []
    if on.count > 1:
        found.append(f"training on {on.count} devices wants `accelerate launch`: the flow starts one process a stage")
    if recipe.capture.endpoint:
        read, written = api_tokens(recipe)
        found.append(
            f"the teacher's API reads about {read:,.0f} tokens and writes {written:,.0f}: its bill is not in the cost"
        )
    return found


def require_budget(made: Plan) -> None:
    """Raises BudgetError when the usual case is over the recipe's budget."""
    expected = made.usd_to_run
    if expected is not None and expected[1] > made.budget_usd:
        dearest = sorted((one for one in made.stages if one.usd and not one.cached), key=_usd, reverse=True)[:3]
        named = ", ".join(f"{one.stage} ({_usd(one):,.0f})" for one in dearest)
        hint = f"raise budget.usd, or lower the sizes of the dearest stages: {named}"
        raise BudgetError(
            "plan", f"is over the budget of {made.budget_usd:,.0f} USD", got=f"{expected[1]:,.0f} USD", hint=hint
        )


def default_group(recipe: Recipe, settings: Settings) -> Group:
    """What a plan is for where nobody says: the devices at hand; an H100 for large scales on a machine without one."""
    known = device_row(settings.device)
    if settings.device == "cpu" and recipe.scale in ("single-gpu", "production"):
        return Group("H100-SXM")
    return Group(known[0], settings.device_count) if known else Group("cpu")


def _price(on: Group, settings: Settings) -> Price:
    """The catalogue's price of a planned device, or the user's own of the one at hand."""
    at_hand = device_row(settings.device)
    if settings.usd_per_device_hour is not None and at_hand is not None and at_hand[0] == on.name:
        usual, source = device_price(settings)
        return Price(usual=usual, source=source)
    band = on.device.usd_per_hour
    if band is None:
        return Price(usual=None, source=f"recipes/devices.yaml names no price of {on.name}")
    source = f"recipes/devices.yaml, on demand, since {AS_OF[:10]}"
    return Price(low=band[0], usual=band[1], high=band[2], source=source)


def _expected(
    bare: PlannedStage, expected: Estimate | None, on: Group, price: Price, calibration: Calibration, scale: str
) -> PlannedStage:
    """A stage with what it is expected to take, as history corrects it."""
    predicted = expected.device_seconds if expected else None
    seconds, basis = calibration.corrected(bare.stage, on.name, scale, predicted)
    cpu = devices()["cpu"].usd_per_hour
    hourly = price.usual if expected else (cpu[1] if cpu else None)
    figures: dict[str, object] = {
        "device_seconds": seconds,
        "wall_seconds": times(seconds, 1 / on.count) if seconds else None,
        "usd": times(seconds, hourly / 3600) if seconds and hourly is not None else None,
        "basis": basis,
    }
    if expected is not None:
        figures |= {"flops": expected.flops, "memory_bytes": expected.memory_bytes, "fits": expected.fits}
        figures["nearest"] = expected.nearest
    return bare.model_copy(update=figures)


def _sum(bands: Iterable[Band | None]) -> Band:
    return plus(NOTHING, *(band for band in bands if band))


def _usd(one: PlannedStage) -> float:
    return one.usd[1] if one.usd else 0.0
