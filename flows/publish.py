"""A build's report for people: the page on disk, and the same as Prefect artifacts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger, LoggerAdapter
from typing import Any

import httpx
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from contracts.build_report import BuildReport
from flows.build import Build
from flows.report import markdown_summary, write_page

PROGRESS_EVERY_SECONDS = 5.0
QUIET_SECONDS = 60.0
"""A server that does not answer is left alone for so long: every call waits for it, and the stage's output with it."""
Log = Logger | LoggerAdapter[Any]


@contextmanager
def if_heard(log: Log, what: str) -> Iterator[None]:
    """Prefect shows a build and does not hold it: a server that is down or ill costs the picture, never the run."""
    try:
        yield
    except httpx.HTTPError as error:
        log.warning("%s is not shown by Prefect: %s", what, str(error).partition("\n")[0] or type(error).__name__)


class StageProgress:
    """The running stage's progress as one Prefect artifact a stage, told to the server at most every five seconds."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._stage, self._told_at = "", 0.0
        self._artifact: Any = None

    def __call__(self, stage: str, told: dict[str, Any]) -> None:
        """``told`` holds ``done`` and ``total``; a stage that does not know its total is not shown."""
        share = 100.0 * told["done"] / told["total"] if told["total"] else 0.0
        since = time.monotonic() - self._told_at
        if not told["total"] or since < 0 or (since < PROGRESS_EVERY_SECONDS and share < 100.0):
            return
        self._told_at = time.monotonic() + QUIET_SECONDS
        with if_heard(self._log, f"the progress of {stage}"):
            self._tell(stage, share)
            self._told_at = time.monotonic()

    def _tell(self, stage: str, share: float) -> None:
        if stage != self._stage:
            key = "progress-" + "".join(letter if letter.isalnum() else "-" for letter in stage.lower())
            self._artifact, self._stage = create_progress_artifact(share, key=key, description=stage), stage
        else:
            update_progress_artifact(self._artifact, progress=share)


def publish_report(build: Build, report: BuildReport) -> str:
    """Write ``report.json`` and ``report.html`` into the build's folder and tell Prefect; returns the page's path."""
    page = build.folder / "report.html"
    (build.folder / "report.json").write_text(report.model_dump_json(indent=1), encoding="utf-8")
    write_page(report, page)
    key = report.vertical.replace("_", "-")
    with if_heard(build.logger, "the report"):
        create_markdown_artifact(markdown_summary(report), key=f"build-{key}", description=f"Build {build.id}")
        create_table_artifact(_scores(report), key=f"scores-{key}", description="Scores of every model in the chain")
        create_table_artifact(_costs(report), key=f"costs-{key}", description="Device-seconds by stage, as booked")
        create_link_artifact(page.as_uri(), link_text="report.html", key=f"page-{key}")
    return str(page)


def _scores(report: BuildReport) -> list[dict[str, str]]:
    return [
        {"model": one.model, "suite": suite, "items": str(score.items)}
        | {name: f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]" for name, value in score.scores.items()}
        for one in report.evaluations
        for suite, score in one.suites.items()
    ]


def _costs(report: BuildReport) -> list[dict[str, str]]:
    return [
        {
            "stage": line.stage,
            "device": line.device,
            "device_seconds": f"{line.device_seconds:.1f}",
            "usd": "no price" if line.usd is None else f"{line.usd:.6f}",
            "saved_device_seconds": f"{line.saved_device_seconds:.1f}",
            "wasted_device_seconds": f"{line.wasted_device_seconds:.1f}",
        }
        for line in report.stages
    ]
