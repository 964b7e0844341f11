"""The main job, end to end: documents to two served students through Prefect, and again from the cache."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from contracts.artifacts import broken_files, load
from contracts.build_report import BuildReport
from flows.settings import Settings
from tests.e2e.conftest import Platform

pytestmark = pytest.mark.e2e
STAGES = {
    "write", "curate", "base:SmolLM2-135M-Instruct", "select", "tokenise", "cpt", "residual", "sft", "merge:sft",
    "sample:sft", "dpo", "merge:dpo", "teacher", "distil", "capture", "prune", "student:student-14b",
    "student:student-7b", "serve:teacher", "serve:student-14b", "serve:student-7b",
}  # fmt: skip


@pytest.fixture(scope="module")
def first(platform: Platform) -> subprocess.CompletedProcess[str]:
    return platform.stillroom("demo", "finance", "--scale", "smoke", timeout=1500)


def test_demo_builds_serves_and_books_everything(platform: Platform, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stderr[-3000:]
    (folder,) = platform.builds()
    report = BuildReport.model_validate(json.loads((folder / "report.json").read_text()))
    assert {line.stage for line in report.stages} >= STAGES
    assert not any(line.cached for line in report.stages)
    assert [one.model for one in report.evaluations][:3] == ["base", "cpt", "sft"]
    assert {one.model for one in report.servings} == {"teacher", "student-14b", "student-7b"}
    assert all(card.golden_ids_equal for card in report.servings)
    assert report.synthetic_input
    assert str(folder / "report.html") in first.stdout
    total = platform.books()["total"]
    assert (total["gpu_hours"] == 0) == (Settings().device == "cpu")
    assert total["device_seconds"] > 60
    assert total["micro_usd"] is not None


def test_every_artifact_is_whole(platform: Platform, first: subprocess.CompletedProcess[str]) -> None:
    artifacts = [load(record.parent) for record in (platform.home / "store").glob("*/*/artifact.json")]
    assert len(artifacts) >= len(STAGES)
    assert all(one is not None and broken_files(one) == [] for one in artifacts)


def test_second_run_is_all_cached(platform: Platform, first: subprocess.CompletedProcess[str]) -> None:
    again = platform.stillroom("demo", "finance", "--scale", "smoke")
    assert again.returncode == 0, again.stderr[-3000:]
    lines = platform.books()["lines"]
    assert {line["status"] for line in lines} == {"cached"}
    assert sum(line["saved_seconds"] for line in lines) > 60


def test_why_and_only(platform: Platform, first: subprocess.CompletedProcess[str]) -> None:
    said = platform.stillroom("why", "finance", "sft", "--scale", "smoke", "--set", "sft.lora.rank=8")
    assert said.stdout.strip() == "section.lora.rank: 16 -> 8", said.stderr
    said = platform.stillroom("why", "finance", "sft", "--scale", "smoke")
    assert "cached" in said.stdout
    said = platform.stillroom("run", "finance", "--scale", "smoke", "--only", "sft", "--set", "sft.lora.rank=8")
    assert said.returncode == 0, said.stderr[-3000:]
    assert "Failed(" not in said.stderr and "Traceback" not in said.stderr
    said = platform.stillroom("plan", "finance", "--scale", "smoke", "--json")
    assert all(stage["cached"] for stage in json.loads(said.stdout)["stages"])


def test_a_build_that_is_refused_says_why_without_a_call_stack(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    said = platform.stillroom("run", "finance", "--scale", "smoke", "--corpus", str(tmp_path / "empty.jsonl"))
    assert said.returncode == 2, said.stderr[-3000:]
    assert "empty.jsonl: is empty\n\nhint: give a file with documents" in said.stderr
    assert "Traceback" not in said.stderr
    report = json.loads((platform.builds()[-1] / "report.json").read_text())
    assert report["stopped_at"] == "curate"
