"""Progress reaches Prefect once a stage and then rarely."""

from __future__ import annotations

from typing import Any

import pytest

import flows.publish
from flows.publish import StageProgress


def test_one_artifact_a_stage_and_few_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []

    def created(progress: float, key: str, description: str) -> str:
        told.append((key, progress))
        return key

    # The server's side is Prefect's own; what is tested is how often it is called.
    monkeypatch.setattr(flows.publish, "create_progress_artifact", created)
    monkeypatch.setattr(flows.publish, "update_progress_artifact", lambda key, progress: told.append((key, progress)))
    show = StageProgress()
    for done in range(101):
        show("merge:sft", {"done": done, "total": 100})
    show("curate", {"done": 0, "total": 0})
    assert told == [("progress-merge-sft", 0.0), ("progress-merge-sft", 100.0)]
