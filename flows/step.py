"""The choke point: fingerprint -> cached? -> lease -> run the stage in its own process -> record -> close the lease.

Every device-second passes here, so truth is kept here: the lease is open in the ledger before the child starts, and
closed with its exit code whatever happened. Prefect sees each step as a task; it decides nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from contracts.artifacts import Artifact
from contracts.errors import BusyError, InputError, StillroomError
from contracts.reports import StageLine
from contracts.stage import StageSpec
from contracts.usage import Usage
from flows.build import Build, Enough
from flows.chain import Step
from flows.code_version import code_version
from flows.process import StageProcess
from ledger import Heartbeat
from ledger.processes import start_ticks
from recipes.fingerprint import components, fingerprint
from recipes.schema import Section


@task(name="stage", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def stage_task(
    build: Build, name: str, module: str, section: Section, inputs: Mapping[str, Artifact], device: bool
) -> Artifact:
    """One stage as Prefect shows it."""
    return run_step(build, name, module, section, inputs, device)


def steps(build: Build) -> Step:
    """The chain's ``Step`` for a build under Prefect: every stage a task."""

    def step(
        name: str, module: str, section: Section, inputs: Mapping[str, Artifact], *, device: bool = False
    ) -> Artifact:
        return stage_task(build, name, module, section, dict(inputs), device)

    return step


def run_step(
    build: Build, name: str, module: str, section: Section, inputs: Mapping[str, Artifact], device: bool
) -> Artifact:
    """The artifact of a stage: from the store, or made now and booked.

    Raises the stage's own StillroomError, or StageError where its process died.
    """
    parts = components(
        name, section, {key: one.fingerprint for key, one in inputs.items()}, code_version(module), build.data(name)
    )
    identity = fingerprint(parts)
    found = build.store.find(name, identity)
    if found is not None and not build.forced(name):
        saved = build.ledger.record_saved(build.id, name, identity)
        build.record(
            StageLine(
                stage=name,
                fingerprint=identity,
                kind=found.kind,
                cached=True,
                saved_device_seconds=saved,
                metrics=found.metrics,
            )
        )
        return found
    if build.only and not build.wanted(name):
        if any(not line.cached for line in build.lines):
            raise Enough(name)
        hint = f"run without --only first; stillroom why {build.recipe.vertical} {name} tells what changed"
        raise InputError(f"--only {build.only}", "needs an artifact that is not built yet", got=name, hint=hint)
    build.store.remember(name, parts)
    return _run(build, name, module, section, inputs, device, identity, parts)


def _run(
    build: Build,
    name: str,
    module: str,
    section: Section,
    inputs: Mapping[str, Artifact],
    device: bool,
    identity: str,
    parts: dict[str, Any],
) -> Artifact:
    work = build.store.work(name, identity)
    with _alone(work):
        spec = StageSpec(
            stage=name,
            section=section.model_dump(mode="json"),
            out_dir=work / "out",
            parent_pid=os.getpid(),
            inputs={key: one.path for key, one in inputs.items()},
        )
        process = StageProcess(
            module,
            spec,
            work,
            build.settings.allow_downloads,
            lambda told: build.progress(name, told),
            lambda line: build.log(name, line),
        )
        build.running = name
        build.progress(name, {"done": 0, "total": 0, "what": ""})
        artifact, usage = _booked(build, name, identity, process, device)
        stamped = artifact.model_copy(update={
            "fingerprint": identity, "stage": name, "inputs": parts["inputs"], "section": parts["section"],
            "code_version": parts["code_version"], "usage": usage,
        })  # fmt: skip
        published = build.store.publish(stamped, name)
    shutil.rmtree(work, ignore_errors=True)
    build.record(StageLine(stage=name, fingerprint=identity, kind=published.kind, device=usage.device,
                           wall_seconds=usage.wall_seconds, metrics=published.metrics))  # fmt: skip
    return published


def _booked(build: Build, name: str, identity: str, process: StageProcess, device: bool) -> tuple[Artifact, Usage]:
    lease = build.open_lease(name, identity, device)
    exit_code, usage = 1, Usage(device=lease.device, device_count=lease.device_count)
    try:
        with Heartbeat(build.ledger, lease.id, build.settings.heartbeat_seconds):
            child = process.start(build.interpreter(process.module, device))
            build.ledger.attach_child(lease.id, child.pid, start_ticks(child.pid) or 0)
            artifact, usage = process.finish(child)
            exit_code = 0
    except Exception as error:  # the only one in the house: it records and re-raises
        exit_code = error.exit_code if isinstance(error, StillroomError) else 1
        raise
    finally:
        build.ledger.close(lease.id, exit_code, usage)
    return artifact, usage


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Hold a stage's work folder; the lock goes with the process that holds it, however it dies."""
    work.mkdir(parents=True, exist_ok=True)
    with (work.parent / f"{work.name}.lock").open("w", encoding="utf-8") as lock:
        for _ in range(50):  # a killed flow's child needs a moment to follow it
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
        else:
            raise BusyError(str(work), "another build works on the same artifact", hint="wait for it, then run again")
        yield
