"""Bring-up and take-down: Prefect's server, pool, deployments, worker and the inbox's watcher, all on loopback."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import yaml

from contracts.errors import BusyError, StageError
from flows.settings import CHECKOUT, Settings, inherited
from ledger.processes import alive, start_ticks

POOL = "stillroom"
SERVER_SECONDS = 120
ZOMBIE_SECONDS = 90


def environment(settings: Settings) -> dict[str, str]:
    """The variables that keep Prefect to itself: one home, no telemetry, no ephemeral server, leases on disk."""
    return {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_API_URL": settings.api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "STILLROOM_HOME": str(settings.home),
        "PYTHONPATH": str(CHECKOUT),
    }


def adopt(settings: Settings) -> None:
    """Put the variables into this process, before Prefect is imported."""
    os.environ.update(environment(settings))


def healthy(settings: Settings) -> bool:
    """Whether our server answers."""
    try:
        return httpx.get(f"{settings.api_url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def up(settings: Settings, say: Any) -> None:
    """Start what is not running yet; safe to call again. Raises BusyError (port), StageError (server died)."""
    settings.home.mkdir(parents=True, exist_ok=True)
    if healthy(settings):
        _refuse_foreign_server(settings)
        say(f"Prefect answers at {settings.api_url}")
    else:
        _refuse_taken_port(settings)
        say("starting the Prefect server (the first start takes up to a minute)")
        served = ["server", "start", "--host", "127.0.0.1", "--port", str(settings.prefect_port)]
        _launch(settings, "server", ["prefect", *served])
        _await_server(settings)
    adopt(settings)
    _register(say)
    if not _alive(_pids(settings).get("worker")):
        _launch(settings, "worker", ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", POOL])
        say(f"worker started on pool {POOL}")
    if not _alive(_pids(settings).get("reconciler")):
        _launch(settings, "reconciler", ["flows.reconciler"])
        say("reconciler started: the leases of dead processes are ended each minute")
    if settings.inbox.is_dir() and not _alive(_pids(settings).get("watcher")):
        _launch(settings, "watcher", ["flows.watch"])
        say(f"watching {settings.inbox} for drops")


def works(settings: Settings) -> bool:
    """Whether the worker that ``up`` started is alive: without it no run is taken up."""
    return _alive(_pids(settings).get("worker"))


def down(settings: Settings, say: Any) -> None:
    """Stop watcher, reconciler, worker and server, by their pids, and wait until they are gone."""
    pids = _pids(settings)
    for name in ("watcher", "reconciler", "worker", "server"):
        one = pids.get(name)
        if one is not None and _alive(one):
            _stop(int(one["pid"]))
            say(f"{name} stopped")
    (settings.home / "pids.json").unlink(missing_ok=True)


def _register(say: Any) -> None:
    """The work pool, the deployments of prefect.yaml, and the automation that names a dead run dead."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.utilities.callables import parameter_schema

    told = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    with get_client(sync_client=True) as client:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        for row in told["deployments"]:
            module, name = row["entrypoint"].replace("/", ".").split(".py:")
            flow = getattr(importlib.import_module(module), name)
            schedules = [
                DeploymentScheduleCreate(
                    schedule=CronSchedule(cron=one["cron"], timezone=one.get("timezone", "UTC")),
                    active=bool(one.get("active", True)),
                )
                for one in row.get("schedules") or []
            ]
            deployment = client.create_deployment(
                flow_id=client.create_flow(flow),
                name=row["name"],
                entrypoint=row["entrypoint"],
                parameters=row.get("parameters") or {},
                description=row.get("description"),
                tags=row.get("tags") or [],
                work_pool_name=POOL,
                schedules=schedules,
                parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
                pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(CHECKOUT)}}],
            )
            client.delete_resource_owned_automations(f"prefect.deployment.{deployment}")
            for automation in automations(row, flow.name, deployment):
                client.create_automation(automation)
            say(f"deployment {flow.name}/{row['name']}")
    _watch_zombies()


def automations(row: dict[str, Any], flow: str, deployment: UUID) -> list[Any]:
    """What runs a deployment of prefect.yaml when an event comes, as ``prefect deploy`` would make it."""
    from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

    made = []
    for number, told in enumerate(row.get("triggers") or [], start=1):
        trigger = DeploymentEventTrigger.model_validate({"name": f"{flow}/{row['name']}__automation_{number}"} | told)
        trigger.set_deployment_id(deployment)
        made.append(trigger.as_automation())
    return made


def _watch_zombies() -> None:
    """A flow run whose heartbeats stop is marked Crashed; without this it stays Running for ever."""
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    name = "stillroom-dead-runs"
    with contextlib.suppress(ValueError):  # raised where there is none of that name
        cast(Any, Automation).read(name=name)  # synchronous here; its type names the asynchronous twin
        return
    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    watcher: Any = Automation(
        name=name,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat"} | ends,
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=ZOMBIE_SECONDS),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="its heartbeats stopped")],
    )
    watcher.create()


def _launch(settings: Settings, name: str, arguments: list[str]) -> None:
    """Start ``python -m`` in a session of its own, with SIGINT at its default, and remember its pid."""
    log = settings.home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=CHECKOUT,
            env=inherited() | environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    pids = _pids(settings) | {name: {"pid": child.pid, "started": start_ticks(child.pid)}}
    (settings.home / "pids.json").write_text(json.dumps(pids), encoding="utf-8")


def _await_server(settings: Settings) -> None:
    deadline = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < deadline:
        if healthy(settings):
            return
        if not _alive(_pids(settings).get("server")):
            break
        time.sleep(0.5)
    log = settings.home / "logs" / "server.log"
    tail = "\n  ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    raise StageError("Prefect server", "did not come up", got=settings.api_url, hint=f"see {log}; its end:\n  {tail}")


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex(("127.0.0.1", settings.prefect_port)) == 0:
            hint = "stop what listens there, or set STILLROOM_PREFECT_PORT to a free port"
            raise BusyError(f"port {settings.prefect_port}", "is in use and is no Prefect server of ours", hint=hint)


def _refuse_foreign_server(settings: Settings) -> None:
    """Another home's worker would take our runs and put what they make into its own home."""
    if not _alive(_pids(settings).get("server")):
        hint = "stop it where it was started (stillroom down), or set STILLROOM_PREFECT_PORT to a free port"
        fact = f"is a Prefect server that was not started for {settings.home}"
        raise BusyError(f"port {settings.prefect_port}", fact, hint=hint)


def _stop(pid: int, patience_seconds: float = 20.0) -> None:
    """SIGTERM, then SIGKILL to the whole session."""
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, wanted)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline and start_ticks(pid) is not None:
            _reap(pid)
            time.sleep(0.1)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _pids(settings: Settings) -> dict[str, Any]:
    path: Path = settings.home / "pids.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _alive(one: dict[str, Any] | None) -> bool:
    return one is not None and one["started"] is not None and alive(int(one["pid"]), int(one["started"]))
