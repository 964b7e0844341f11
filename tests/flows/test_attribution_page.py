"""The attribution page where there are more artifacts than it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.dashboard import attribution_pages
from flows.dashboard.query import parse
from flows.dashboard.source import Source
from ledger.breakdown import break_down
from tests.flows.dashboard_sample import fp, sample_home


@pytest.mark.parametrize("most", [1, 3, 200])
def test_the_costliest_artifacts_are_shown_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(attribution_pages, "MOST_ROWS", most)
    source = Source(sample_home(tmp_path / "home"))
    told = attribution_pages.attribution(source, parse({})).told
    every = break_down((row for row in source.told().charges if row.artifact), lambda row: row.artifact)
    ranked = sorted((one.known_micro_usd for one in every.values()), reverse=True)
    assert [one.known_micro_usd for _, _, one, _ in told["artifacts"]] == ranked[:most]
    assert told["left_out"] == max(0, len(every) - most)
    assert told["artifacts"][0][0] == fp("student:small")
    assert set(told["costs"]) == {artifact for artifact, *_ in told["artifacts"]}
