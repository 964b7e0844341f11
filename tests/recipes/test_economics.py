"""Costs over the years: every figure from volumes and dated prices, none of it quoted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from recipes.catalogue import devices, models
from recipes.economics import (
    DAYS_A_MONTH,
    Demand,
    Hosting,
    against,
    break_even,
    economics,
    from_scratch,
    hosting,
    year_of,
)
from recipes.shapes import shape

FACTS = economics()
TODAY = date(2026, 5, 1)
ONE = Hosting(tokens_a_request=1_000, requests_per_second=10, usd_per_hour=2.0)
SMALL = Demand(tokens_a_day=5e6, months=36, start=TODAY, build_usd=1_000)


def test_a_price_on_the_facts_day_is_the_listed_one_and_falls_afterwards() -> None:
    api = FACTS.apis["GPT-4o"]
    assert FACTS.price(api, year_of(FACTS.as_of)) == pytest.approx(2.50)
    prices = [FACTS.price(api, year) for year in (2025.0, 2026.5, 2027.0, 2029.0, 2030.0, 2032.0)]
    assert prices == sorted(prices, reverse=True) and prices[-1] > 0
    large = FACTS.trajectories["large"]
    assert FACTS.price(api, 2030) / FACTS.price(api, 2026) == pytest.approx(large[2030] / large[2026])


def test_a_stressed_price_stays() -> None:
    assert FACTS.mean_price(FACTS.stress, TODAY, 36) == 0.50


def test_hosting_is_priced_by_the_clock_and_by_whole_devices() -> None:
    assert ONE.tokens_a_day == 10 * 1_000 * 86_400 / 2
    assert ONE.usd_a_month == pytest.approx(2 * 24 * DAYS_A_MONTH)
    assert ONE.usd_per_million == pytest.approx(48 / 432)
    assert [ONE.devices(tokens) for tokens in (1, 432e6, 432e6 + 1, 1e9)] == [1, 1, 2, 3]


def test_the_break_even_is_where_both_cost_the_same() -> None:
    found = break_even(ONE, 0.50, 100.0)
    assert found is not None
    own = ONE.devices(found) * ONE.usd_a_month + 100
    assert found * DAYS_A_MONTH / 1e6 * 0.50 == pytest.approx(own)
    assert break_even(ONE, ONE.usd_per_million * 0.99, 0.0) is None


def test_the_break_even_may_need_a_second_device() -> None:
    dear = 0.9 * ONE.usd_a_month  # a device and this: more than one device's tokens at that price pay for
    found = break_even(ONE, ONE.usd_per_million * 1.6, dear)
    assert found is not None and ONE.devices(found) == 2


def test_saving_payback_and_return_belong_together() -> None:
    large = replace(SMALL, tokens_a_day=400e6)
    for name, api in FACTS.apis.items():
        one = against(FACTS, name, api, ONE, large)
        assert one.saved_usd == pytest.approx(one.api_usd - one.own_usd)
        assert one.return_on_investment == pytest.approx(one.saved_usd / one.own_usd)
        assert (one.payback_months is not None) or one.saved_usd <= 0
        if one.break_even_tokens_a_day is not None and large.tokens_a_day < 432e6:
            assert (one.saved_usd > 0) == (one.break_even_tokens_a_day < large.tokens_a_day)


def test_little_traffic_never_pays_back_and_upkeep_delays_it() -> None:
    api = FACTS.apis["Claude Sonnet"]
    assert against(FACTS, "x", api, ONE, SMALL).payback_months is None
    large = replace(SMALL, tokens_a_day=400e6, build_usd=50_000)
    soon, later = (against(FACTS, "x", api, ONE, replace(large, refresh_usd_a_quarter=usd)) for usd in (0, 30_000))
    assert soon.payback_months is not None and later.payback_months is not None
    assert soon.payback_months < later.payback_months
    assert later.own_usd - soon.own_usd == pytest.approx(30_000 * 12)


def test_from_scratch_is_six_n_d() -> None:
    one = from_scratch(7e9, 2e12, devices()["H100-SXM"])
    assert one.flops == 8.4e22
    assert one.device_hours[1] == pytest.approx(8.4e22 / (989e12 * 0.45) / 3600)
    assert one.device_hours[0] < one.device_hours[1] < one.device_hours[2]


def test_what_does_not_fit_a_device_is_not_hosted_on_it() -> None:
    big, small = shape(models()["Qwen3-32B"]), shape(models()["Qwen3-8B"])
    l40s = devices()["L40S"]
    assert hosting(big, l40s, 1.5, 1024, 256) is None
    longer, shorter = (hosting(small, l40s, 1.5, 1024, answer) for answer in (512, 128))
    assert longer is not None and shorter is not None
    assert longer.requests_per_second < shorter.requests_per_second


def test_all_in_adds_every_multiple() -> None:
    assert FACTS.all_in(100.0) == pytest.approx((500.0, 3_570.0))
