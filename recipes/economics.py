"""From scratch, fine-tuned, or an API: what each costs over the years, computed from the dated facts of economics.yaml.

API prices fall along their class's trajectory, by a constant yearly decline between the years that it names. A rented
device keeps its price, which favours the API. Every token is counted at the API's input price, which favours it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from typing import Literal

import yaml
from pydantic import Field

from recipes.catalogue import FOLDER
from recipes.catalogue_rows import Device
from recipes.published import between, pretraining_flops
from recipes.section import Section
from recipes.shapes import Shape
from recipes.speed import MEGATRON_SHARE, Band, flops_seconds, saturated_tokens_per_second

DAYS_A_MONTH = 365 / 12
BUSY_SHARE = 0.5
"""Of what a device could serve, what it is planned to: traffic has hours."""
MOST_DEVICES = 1_024
Range = tuple[float, float]


class TrainedOn(Section):
    """A published model: parameters, and tokens of its pretraining."""

    params: float = Field(gt=0)
    tokens: float = Field(gt=0)

    @property
    def tokens_per_param(self) -> float:
        """The over-training ratio's numerator."""
        return self.tokens / self.params


class Api(Section):
    """A model behind an API: its price on the facts' day, and the trajectory it follows."""

    usd_per_million: float = Field(gt=0)
    follows: Literal["large", "small", "open", "fine_tuned"]


class Stress(Section):
    """A price to test against, whoever asks it."""

    usd_per_million: float = Field(gt=0)
    name: str


class Economics(Section):
    """All facts."""

    as_of: date
    chinchilla_tokens_per_param: float = Field(gt=0)
    over_training: dict[str, TrainedOn]
    apis: dict[str, Api]
    stress: Stress
    trajectories: dict[str, dict[int, float]]
    beyond_compute: dict[str, Range]
    programme: dict[str, Range]
    quarterly_refresh: Range
    task_fit: dict[str, Range]

    def price(self, api: Api, year: float) -> float:
        """USD per 1 million tokens in a year (2027.5: its middle)."""
        return api.usd_per_million * self._level(api.follows, year) / self._level(api.follows, year_of(self.as_of))

    def mean_price(self, api: Api | Stress, start: date, months: int) -> float:
        """The mean over ``months`` from ``start``, each month at its middle. A stressed price stays where it is."""
        if isinstance(api, Stress):
            return api.usd_per_million
        middles = (year_of(start) + (month + 0.5) / 12 for month in range(months))
        return math.fsum(self.price(api, middle) for middle in middles) / months

    def all_in(self, compute_usd: float) -> Range:
        """The compute bill with all that comes on top of it, least and most."""
        least, most = (1 + sum(band[at] for band in self.beyond_compute.values()) for at in (0, 1))
        return compute_usd * least, compute_usd * most

    def _level(self, follows: str, year: float) -> float:
        """A class's price in a year; before the first and after the last year by the decline nearest to it."""
        known = sorted(self.trajectories[follows].items())
        pairs = list(pairwise(known))
        first, last = next((pair for pair in pairs if year <= pair[1][0]), pairs[-1])
        return between((first[0], year, last[0]), (first[1], last[1]))


@cache
def economics() -> Economics:
    """The facts as they stand in the file."""
    return Economics.model_validate(yaml.safe_load((FOLDER / "economics.yaml").read_text(encoding="utf-8")))


def year_of(day: date) -> float:
    """A day as a year and its part."""
    return day.year + (day.timetuple().tm_yday - 1) / 365.25


@dataclass(frozen=True)
class Scratch:
    """Pretraining a model from nothing. Hours as p10 / p50 / p90 of a Megatron-class stack."""

    params: float
    tokens: float
    flops: float
    device_hours: Band


def from_scratch(params: float, tokens: float, device: Device) -> Scratch:
    """``tokens`` on a model of ``params``: 6 N D."""
    flops = pretraining_flops(params, tokens)
    quick, usual, slow = (seconds / 3600 for seconds in flops_seconds(flops, device, MEGATRON_SHARE))
    return Scratch(params, tokens, flops, (quick, usual, slow))


@dataclass(frozen=True)
class Hosting:
    """One model on rented devices of a kind, for requests of one size."""

    tokens_a_request: float
    requests_per_second: float
    """Of one device, prompt read and answer written, when it is never idle."""
    usd_per_hour: float

    @property
    def tokens_a_day(self) -> float:
        """What one device is planned to serve."""
        return self.requests_per_second * self.tokens_a_request * 86_400 * BUSY_SHARE

    @property
    def usd_a_month(self) -> float:
        """Of one device."""
        return self.usd_per_hour * 24 * DAYS_A_MONTH

    @property
    def usd_per_million(self) -> float:
        """At the planned share of its time."""
        return self.usd_a_month / (self.tokens_a_day * DAYS_A_MONTH) * 1e6

    def devices(self, tokens_a_day: float) -> int:
        """Whole ones, at least one."""
        return max(1, math.ceil(tokens_a_day / self.tokens_a_day))


def hosting(model: Shape, device: Device, usd_per_hour: float, prompt: int, answer: int) -> Hosting | None:
    """None where the model does not fit the device."""
    written = saturated_tokens_per_second(model, device, prompt + answer)[1]
    if not written:
        return None
    reading = flops_seconds(2 * model.matmul * prompt, device, MEGATRON_SHARE)[1]
    return Hosting(prompt + answer, 1 / (reading + answer / written), usd_per_hour)


@dataclass(frozen=True)
class Against:
    """A hosted model of one's own against one API, over a horizon. USD."""

    api: str
    usd_per_million_now: float
    usd_per_million_mean: float
    api_usd: float
    """Over the horizon."""
    own_usd: float
    """Devices over the horizon, and the build."""
    payback_months: int | None
    """The first month by which the savings have paid the build; None: not within the horizon."""
    break_even_tokens_a_day: float | None
    """None: at no volume."""

    @property
    def saved_usd(self) -> float:
        """Negative: the API is cheaper."""
        return self.api_usd - self.own_usd

    @property
    def return_on_investment(self) -> float:
        """What is saved a USD spent on one's own."""
        return self.saved_usd / self.own_usd


@dataclass(frozen=True)
class Demand:
    """What is asked of a model, over which horizon, and what making and keeping it costs. USD."""

    tokens_a_day: float
    months: int
    start: date
    build_usd: float
    refresh_usd_a_quarter: float = 0.0


def against(facts: Economics, name: str, api: Api | Stress, own: Hosting, demand: Demand) -> Against:
    """One comparison: month by month for the payback, by the mean price for the break-even."""
    months, start = demand.months, demand.start
    upkeep = demand.refresh_usd_a_quarter / 3
    monthly = own.devices(demand.tokens_a_day) * own.usd_a_month + upkeep
    volume = demand.tokens_a_day * DAYS_A_MONTH / 1e6
    mean = facts.mean_price(api, start, months)
    now = api.usd_per_million if isinstance(api, Stress) else facts.price(api, year_of(start))
    bills = [facts.mean_price(api, _later(start, month), 1) * volume for month in range(months)]
    return Against(
        api=name,
        usd_per_million_now=now,
        usd_per_million_mean=mean,
        api_usd=math.fsum(bills),
        own_usd=demand.build_usd + monthly * months,
        payback_months=next(
            (at for at, left in enumerate(_left(demand.build_usd, bills, monthly), 1) if left <= 0), None
        ),
        break_even_tokens_a_day=break_even(own, mean, demand.build_usd / months + upkeep),
    )


def break_even(own: Hosting, usd_per_million: float, build_usd_a_month: float) -> float | None:
    """The least tokens a day at which devices and a month's part of the build cost what the API would.

    A step function: each further device is a whole one. None where even full devices cost more a token.
    """
    count = 1
    while count <= MOST_DEVICES:
        wanted = (count * own.usd_a_month + build_usd_a_month) / usd_per_million * 1e6 / DAYS_A_MONTH
        if wanted <= count * own.tokens_a_day:
            return wanted
        count += 1
    return None


def _left(build_usd: float, bills: list[float], monthly: float) -> Iterator[float]:
    """Of the build, what the savings have not paid after each month."""
    left = build_usd
    for bill in bills:
        left -= bill - monthly
        yield left


def _later(start: date, months: int) -> date:
    at = start.month - 1 + months
    return date(start.year + at // 12, at % 12 + 1, 1)
