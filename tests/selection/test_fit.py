"""Memory and cost of a candidate."""

from __future__ import annotations

import pytest

from recipes.catalogue import devices, models
from selection.fit import cost, device_for, qlora_memory_gib


@pytest.mark.parametrize(("model", "published_gib"), [("Qwen3-8B", 14.1), ("Qwen3-14B", 18.8), ("Qwen3-32B", 29.8)])
def test_memory_agrees_with_published_figures(model: str, published_gib: float) -> None:
    assert qlora_memory_gib(models()[model], 4096, overhead=False) == pytest.approx(published_gib, rel=0.06)


def test_memory_without_a_shape_is_near_that_with_one() -> None:
    row = models()["Qwen3-14B"]
    bare = row.model_copy(update={"layers": None, "hidden": None})
    assert qlora_memory_gib(bare, 4096) == pytest.approx(qlora_memory_gib(row, 4096), rel=0.1)


def test_the_device_is_the_smallest_that_holds_it() -> None:
    assert device_for(80)[0] == "H100-SXM"
    assert device_for(141)[0] == "H200"
    assert device_for(20)[0] == "cpu"
    assert device_for(5_000)[0] == "B200"


def test_costs_follow_active_parameters() -> None:
    h100 = devices()["H100-SXM"]
    dense, sparse = cost(models()["Qwen3-32B"], h100, 1e9, 1e8), cost(models()["Qwen3-235B-A22B"], h100, 1e9, 1e8)
    flops = 6 * 32.8e9 * 1e9 + 4 * 32.8e9 * 1e8
    assert dense.train_usd == pytest.approx(flops / (989e12 * 0.28) / 3600 * 2.95)
    assert sparse.train_usd / dense.train_usd == pytest.approx(22 / 32.8)
    # 8.03 billion parameters at 16,200 tokens a second on this device cost 0.051 USD a million tokens.
    assert cost(models()["Llama-3.1-8B"], h100, 1, 1).serve_usd_per_1m_tokens == pytest.approx(0.0506, rel=0.1)
