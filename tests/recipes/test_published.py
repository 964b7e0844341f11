"""Every published figure is computed within its tolerance; those that contradict themselves are known to."""

from __future__ import annotations

import pytest

from recipes.published import Published, compute, published


@pytest.mark.parametrize("row", published(), ids=lambda row: f"{row.kind}: {row.id}")
def test_published_figures_are_reproduced(row: Published) -> None:
    assert row.stands, f"computed {row.computed:.6g}, published {row.published:.6g}: {row.error:+.1%}"


def test_tolerances_are_no_wider_than_twice_the_error_or_an_eighth() -> None:
    loose = [
        row.id for row in published() if not row.contradicts and row.tolerance > max(2 * abs(row.error), 0.125) + 0.05
    ]
    assert loose == []


def test_the_quoted_return_on_investment_does_not_follow_from_its_prices() -> None:
    assert compute("product", {"factors": [5, 30, 3.00]}) == 450
    assert compute("product", {"factors": [2, 365, 3.00]}) == 2_190


def test_a_wrong_figure_is_noticed() -> None:
    row = published()[0]
    assert not row.model_copy(update={"published": row.published * 1.1}).stands
    assert not row.model_copy(update={"contradicts": True}).stands
