"""A build's report for people: the page on disk, and the same as Prefect artifacts."""

from __future__ import annotations

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from contracts.reports import BuildReport
from flows.build import Build
from flows.report import markdown_summary, write_page


def publish_report(build: Build, report: BuildReport) -> str:
    """Write ``report.json`` and ``report.html`` into the build's folder and tell Prefect; returns the page's path."""
    page = build.folder / "report.html"
    (build.folder / "report.json").write_text(report.model_dump_json(indent=1), encoding="utf-8")
    write_page(report, page)
    key = report.vertical.replace("_", "-")
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
