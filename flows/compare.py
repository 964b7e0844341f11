"""``stillroom plan compare``: the planned build beside training from scratch and beside an API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from contracts.errors import FitError, InputError
from flows.plan import Plan, Shown
from recipes.economics import (
    Against,
    Api,
    Demand,
    Economics,
    Hosting,
    Range,
    Stress,
    against,
    economics,
    from_scratch,
    hosting,
)
from recipes.estimate import Group
from recipes.schema import Recipe
from recipes.speed import Band, plus
from recipes.work import model_of

MOST_MONTHS = 240
MOST_YEARS = 8
"""Shown of a horizon's prices."""
MOST_TOKENS_A_DAY = 1e15
MOST_USD = 1e12
OVER_TRAINED_AS = "Qwen2.5 7B"
"""The published model whose tokens a parameter a serious model of today is trained on."""


class Trained(Shown):
    """How much a model has been, or would be, trained."""

    model: str
    params: float
    tokens: float
    tokens_per_param: float
    over_chinchilla: float
    """Times the compute-optimal ratio."""


class Way(Shown):
    """One way to models of one's own. ``all_in`` adds the published multiples for people and data."""

    way: str
    flops: float
    device_hours: Band
    usd: Band | None
    all_in_usd: Range | None
    days: float
    """On the plan's devices."""


class Served(Shown):
    """One model on rented devices."""

    model: str
    usd_per_million: float
    requests_per_second: float
    devices: int
    usd_a_month: float


class Comparison(Shown):
    """All of it, with the assumptions it stands on."""

    vertical: str
    scale: str
    device: str
    served_on: str
    demand: Demand
    student: str
    trained: list[Trained]
    ways: list[Way]
    serving: list[Served]
    prices: dict[str, dict[int, float]]
    """USD per 1 million tokens of each API, in the middle of each year of the horizon."""
    against: list[Against]
    programme_usd: Range
    task_fit: dict[str, Range]
    notes: list[str]


@dataclass(frozen=True)
class Wish:
    """What the comparison is asked for. ``student`` empty: the smallest; ``build_usd`` None: the plan's compute."""

    serve_on: Group
    tokens_a_day: float
    months: int
    start: date
    student: str = ""
    build_usd: float | None = None
    refresh_usd_a_quarter: float = 0.0


def compare(recipe: Recipe, made: Plan, on: Group, wish: Wish) -> Comparison:
    """From the plan, the catalogues and economics.yaml. Raises InputError and FitError for what has no answer."""
    _check(wish, made)
    facts, student = economics(), _student(recipe, wish.student)
    host = wish.serve_on
    hosted = _hosted(recipe, host)
    if student not in hosted:
        hint = "name a larger device with --serve-on, or a smaller student"
        raise FitError(f"--serve-on {host.name}", "does not hold the student", got=student, hint=hint)
    build_usd = _total(made, "usd")[1] if wish.build_usd is None else wish.build_usd
    demand = Demand(wish.tokens_a_day, wish.months, wish.start, build_usd, wish.refresh_usd_a_quarter)
    apis: dict[str, Api | Stress] = {**facts.apis, facts.stress.name: facts.stress}
    return Comparison(
        vertical=recipe.vertical,
        scale=recipe.scale,
        device=made.device,
        served_on=host.name,
        demand=demand,
        student=student,
        trained=_trained(recipe, facts),
        ways=_ways(recipe, made, on, facts),
        serving=[_served(name, one, wish.tokens_a_day) for name, one in hosted.items()],
        prices={name: _prices(facts, api, wish) for name, api in facts.apis.items()},
        against=[against(facts, name, api, hosted[student], demand) for name, api in apis.items()],
        programme_usd=_range(facts.programme.values()),
        task_fit=facts.task_fit,
        notes=_notes(recipe, facts, wish),
    )


def _student(recipe: Recipe, wanted: str) -> str:
    """The student named, else the smallest."""
    if wanted and wanted not in recipe.students:
        hint = f"one of: {', '.join(recipe.students)}"
        raise InputError("--student", "is not in this recipe", got=repr(wanted), hint=hint)
    base = recipe.selection.candidates[0]
    return wanted or min(recipe.students, key=lambda name: model_of(recipe, base, name).params)


def _check(wish: Wish, made: Plan) -> None:
    """Figures that no comparison can be made of; ``not 0 <= x`` refuses what is no number as well."""
    if not 0 < wish.tokens_a_day <= MOST_TOKENS_A_DAY:
        hint = "prompts and answers together, e.g. 5e6"
        raise InputError(
            "--tokens-a-day", f"must be over 0, at most {MOST_TOKENS_A_DAY:g}", got=wish.tokens_a_day, hint=hint
        )
    if not 1 <= wish.months <= MOST_MONTHS:
        raise InputError("--months", f"must be 1 to {MOST_MONTHS}", got=wish.months, hint="36 is usual")
    for name, usd in (("--build-usd", wish.build_usd), ("--refresh-usd", wish.refresh_usd_a_quarter)):
        if usd is not None and not 0 <= usd <= MOST_USD:
            raise InputError(name, f"must be 0 to {MOST_USD:g} USD", got=usd, hint="an amount in USD, without a sign")
    if wish.build_usd is None and made.price.usual is None:
        raise InputError("--device", "has no price", got=made.device, hint="give --build-usd, or name another device")
    if wish.serve_on.device.usd_per_hour is None:
        hint = "give its usd_per_hour in recipes/devices.yaml, or name another"
        raise InputError("--serve-on", "is a device without a price", got=wish.serve_on.name, hint=hint)


def _hosted(recipe: Recipe, on: Group) -> dict[str, Hosting]:
    """Teacher and students that fit one device, for the recipe's workload."""
    found, price = {}, on.device.usd_per_hour
    for name in ("teacher", *recipe.students):
        model = model_of(recipe, recipe.selection.candidates[0], name)
        usd = price[1] if price else 0.0
        one = hosting(model, on.device, usd, recipe.serving.input_tokens, recipe.serving.output_tokens)
        if one is not None:
            found[name] = one
    return found


def _trained(recipe: Recipe, facts: Economics) -> list[Trained]:
    """Published models, and what the recipe adds to its own."""
    base = model_of(recipe, recipe.selection.candidates[0], "")
    rows = {name: (one.params, one.tokens) for name, one in facts.over_training.items()}
    if recipe.cpt.enabled:
        rows[f"{recipe.selection.candidates[0]}: continued pretraining"] = (base.params, float(recipe.cpt.max_tokens))
    optimal = facts.chinchilla_tokens_per_param
    return [
        Trained(model=name, params=params, tokens=tokens, tokens_per_param=tokens / params,
                over_chinchilla=tokens / params / optimal)
        for name, (params, tokens) in rows.items()
    ]  # fmt: skip


def _ways(recipe: Recipe, made: Plan, on: Group, facts: Economics) -> list[Way]:
    """The students from scratch, compute-optimal and as long as published models are trained; and the plan."""
    usual = facts.over_training[OVER_TRAINED_AS].tokens_per_param
    ways = [
        _scratch(recipe, on, facts, f"students from scratch, {facts.chinchilla_tokens_per_param:g} tokens a parameter",
                 facts.chinchilla_tokens_per_param),
        _scratch(recipe, on, facts, f"students from scratch, {usual:,.0f} tokens a parameter as {OVER_TRAINED_AS}",
                 usual),
    ]  # fmt: skip
    hours = _total(made, "device_seconds", made.device)
    usd = _total(made, "usd") if made.price.usual is not None else None
    flops = sum(one.flops or 0.0 for one in made.stages)
    ways.append(_way("this build: a tuned teacher and its students", flops, _per(hours, 3600), usd, on, facts))
    return ways


def _scratch(recipe: Recipe, on: Group, facts: Economics, name: str, tokens_per_param: float) -> Way:
    base = recipe.selection.candidates[0]
    sizes = [model_of(recipe, base, student).params for student in recipe.students]
    all_of_it = [from_scratch(params, tokens_per_param * params, on.device) for params in sizes]
    hours = plus(*(one.device_hours for one in all_of_it))
    price = on.device.usd_per_hour
    usd = _per(hours, 1 / price[1]) if price else None
    return _way(name, sum(one.flops for one in all_of_it), hours, usd, on, facts)


def _way(name: str, flops: float, hours: Band, usd: Band | None, on: Group, facts: Economics) -> Way:
    all_in = facts.all_in(usd[1]) if usd else None
    days = hours[1] / on.count / 24
    return Way(way=name, flops=flops, device_hours=hours, usd=usd, all_in_usd=all_in, days=days)


def _prices(facts: Economics, api: Api, wish: Wish) -> dict[int, float]:
    years = range(wish.start.year, wish.start.year + MOST_YEARS)
    end = wish.start.year + (wish.start.month - 1 + wish.months) / 12
    return {year: facts.price(api, year + 0.5) for year in years if year < end}


def _served(name: str, own: Hosting, tokens_a_day: float) -> Served:
    count = own.devices(tokens_a_day)
    return Served(
        model=name,
        usd_per_million=own.usd_per_million,
        requests_per_second=own.requests_per_second,
        devices=count,
        usd_a_month=count * own.usd_a_month,
    )


def _notes(recipe: Recipe, facts: Economics, wish: Wish) -> list[str]:
    serving = recipe.serving
    return [
        f"a request reads {serving.input_tokens:,} tokens and writes {serving.output_tokens:,}; "
        "devices are planned to be busy half of the time, and are whole ones",
        f"prices of {facts.as_of} (economics.yaml), falling along their class's trajectory from {wish.start}; "
        "all tokens at the input price, which favours the API",
        "all in adds the published multiples for data, people, failures and storage to the compute bill",
        "the build counts as compute alone: --build-usd takes what it costs in all"
        if wish.build_usd is None
        else "the build counts as it was given",
        f"published for a refresh each quarter: {facts.quarterly_refresh[0]:,.0f} to {facts.quarterly_refresh[1]:,.0f} "
        f"USD; {wish.refresh_usd_a_quarter:,.0f} are counted (--refresh-usd)",
    ]


def _total(made: Plan, figure: str, device: str = "") -> Band:
    """All stages, cached ones among them: what the build costs whoever has nothing yet."""
    stages = [one for one in made.stages if not device or one.device == device]
    return plus((0.0, 0.0, 0.0), *(band for one in stages if (band := getattr(one, figure)) is not None))


def _per(band: Band, unit: float) -> Band:
    return (band[0] / unit, band[1] / unit, band[2] / unit)


def _range(bands: Iterable[Range]) -> Range:
    least, most = (sum(values) for values in zip(*bands, strict=True))
    return (least, most)
