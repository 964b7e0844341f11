"""The demo: the whole product by one command, launched as a team would launch it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.errors import StageError
from flows import platform
from flows.assemble import load_report
from flows.books import show
from flows.report import markdown_summary
from flows.settings import CHECKOUT, Settings, inherited

ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def demo(settings: Settings, vertical: str, scale: str, corpus: Path | None, stdout: Console, stderr: Console) -> int:
    """Bring-up, ``prefect deployment run``, progress, report; returns the exit code."""
    platform.up(settings, stderr.print)
    run_id = _launch(settings, vertical, scale, corpus)
    stderr.print(f"flow run {run_id}: {settings.api_url.removesuffix('/api')}/runs/flow-run/{run_id}", soft_wrap=True)
    state, message = _follow(settings, run_id, stderr)
    folder = settings.home / "builds" / run_id
    if state != "COMPLETED" or not (folder / "report.json").is_file():
        told = re.sub(r"^Flow run encountered an exception:? (\w+: )?", "", message)
        stderr.print(f"the build ended {state.lower()}: {told}", style="red", markup=False, soft_wrap=True)
        if (folder / "report.html").is_file():
            stderr.print(f"what was made before: {folder / 'report.html'}", markup=False, soft_wrap=True)
        return 1
    report = load_report(folder)
    stdout.print(markdown_summary(report), markup=False, highlight=False, soft_wrap=True)
    show(settings, run_id, False, False, stdout)
    stdout.print(f"report: {folder / 'report.html'}", soft_wrap=True)
    return 0


def _launch(settings: Settings, vertical: str, scale: str, corpus: Path | None) -> str:
    """``prefect deployment run``, the command that a team uses; returns the flow run's id."""
    parameters: dict[str, Any] = {"scale": scale} | ({"corpus": str(corpus)} if corpus else {})
    command = [sys.executable, "-m", "prefect", "deployment", "run", f"build-vertical/{vertical}",
               "--params", json.dumps(parameters)]  # fmt: skip
    said = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=inherited() | platform.environment(settings),
        check=False,
    )
    found = re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", said.stdout)
    if said.returncode != 0 or found is None:
        hint = "\n  ".join((said.stdout + said.stderr).splitlines()[-8:])
        raise StageError(" ".join(command[2:6]), "did not start a run", got=said.returncode, hint=hint)
    return found.group()


def _follow(settings: Settings, run_id: str, stderr: Console) -> tuple[str, str]:
    """Show the running stage until the run has ended; returns its final state and message."""
    from prefect.client.orchestration import get_client

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
    )
    with get_client(sync_client=True) as client, Progress(*columns, console=stderr) as bars:
        bar, stage = bars.add_task("waiting for the worker", total=None, what=""), ""
        while True:
            state = _state(client, run_id, settings)
            if state is not None and state.type.value in ENDED:
                bars.update(bar, description=state.type.value.lower(), what="")
                return state.type.value, state.message or ""
            told = _told(settings.home / "builds" / run_id / "progress.json")
            if told and told["stage"] != stage:
                if stage:
                    bars.update(bar, total=1, completed=1)
                stage = told["stage"]
                bar = bars.add_task(stage, total=None, what="")
            if told:
                bars.update(bar, completed=told["done"], total=told["total"] or None, what=str(told["what"])[:40])
            time.sleep(1.0)


def _state(client: Any, run_id: str, settings: Settings) -> Any:
    """The run's state. Raises StageError where nobody is left who could change it."""
    logs = settings.home / "logs"
    try:
        state = client.read_flow_run(UUID(run_id)).state
    except httpx.HTTPError as error:
        hint = f"see {logs / 'server.log'}; the same command starts it again and goes on from what is complete"
        raise StageError("Prefect server", "answers no more", got=type(error).__name__, hint=hint) from error
    if (state is None or state.type.value not in ENDED) and not platform.works(settings):
        hint = f"see {logs / 'worker.log'}; the same command starts it again and goes on from what is complete"
        raise StageError("Prefect worker", "ended before the build did", got=run_id, hint=hint)
    return state


def _told(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
