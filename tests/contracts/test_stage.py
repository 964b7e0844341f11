"""A stage's process: what it says when it is refused, and when there is no room left."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from contracts.errors import from_data
from contracts.stage import StageResult, StageSpec, result_path

CHECKOUT = Path(__file__).parent.parent.parent


def attempt(tmp_path: Path, section: dict[str, Any], most_bytes: int | None = None) -> StageResult:
    """Run the small stage of the flow's tests in a process of its own, whose files may grow to ``most_bytes``."""
    spec = tmp_path / "spec.json"
    told = StageSpec(stage="tiny", section=section, inputs={}, out_dir=tmp_path / "out", parent_pid=os.getpid())
    spec.write_text(told.model_dump_json(), encoding="utf-8")

    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    subprocess.run(
        [sys.executable, "-m", "tests.flows.tiny_stage", str(spec)],
        cwd=CHECKOUT, capture_output=True, preexec_fn=limit, check=False,
    )  # fmt: skip
    return StageResult.model_validate_json(result_path(spec).read_text(encoding="utf-8"))


def test_a_refusal_crosses_the_border_of_the_process(tmp_path: Path) -> None:
    error = attempt(tmp_path, {"refuse": True}).error
    assert error is not None
    assert str(from_data(error)) == "tiny: refuses, got hello\n\nhint: ask kindly"


def test_no_room_left_is_an_error_of_the_house_and_leaves_no_artifact(tmp_path: Path) -> None:
    result = attempt(tmp_path, {"text": "x" * 100_000}, most_bytes=4096)
    assert result.artifact is None and result.error is not None
    assert result.error["kind"] == "PublishError"
    assert "the disk is full" in str(from_data(result.error)) and "free disk space" in str(from_data(result.error))
    # with room again the same folder serves
    assert attempt(tmp_path, {"text": "x" * 100_000}).artifact is not None
