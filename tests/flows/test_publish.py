"""Progress reaches Prefect once a stage and then rarely."""

from __future__ import annotations

import logging
from typing import Any

import httpx
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
    show = StageProgress(logging.getLogger("build"))
    for done in range(101):
        show("merge:sft", {"done": done, "total": 100})
    show("curate", {"done": 0, "total": 0})
    assert told == [("progress-merge-sft", 0.0), ("progress-merge-sft", 100.0)]


def test_a_server_that_does_not_answer_costs_the_picture_and_no_build(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def refused(progress: float, key: str, description: str) -> None:
        asked.append(key)
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(flows.publish, "create_progress_artifact", refused)
    show = StageProgress(logging.getLogger("build"))
    for done in range(101):
        show("sft", {"done": done, "total": 100})
    assert asked == ["progress-sft"]  # and then it is left alone for a while
    assert "the progress of sft is not shown by Prefect: connection refused" in caplog.text
