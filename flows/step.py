"""The choke point: fingerprint -> cached? -> lease -> run the stage in its own process -> record -> close the lease.

Every device-second passes here, so truth is kept here: the lease is open in the ledger before the child starts, and
closed with its exit code whatever happened. Prefect sees each step as a task; it decides nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from contracts.artifacts import Artifact
from contracts.build_report import StageLine
from contracts.errors import BudgetError, BusyError, StillroomError
from contracts.stage import StageSpec
from contracts.usage import Usage
from flows.api_tokens import book_api_tokens
from flows.build import Build
from flows.code_version import code_version
from flows.process import StageProcess, secrets_of
from flows.stage_call import StageCall, Step
from ledger import Heartbeat
from ledger.leases import STOPPED_EXIT_CODE
from ledger.processes import start_ticks
from recipes.fingerprint import components, fingerprint


@dataclass(frozen=True)
class Asked:
    """One stage as the chain asks for it, and what the store has of it."""

    call: StageCall
    parts: dict[str, Any]
    """What the fingerprint is made of."""
    identity: str
    found: Artifact | None
    """The artifact in the store; None where it has to be made."""

    @property
    def name(self) -> str:
        """The stage's; Prefect's task is called so."""
        return self.call.name


@task(name="stage", task_run_name="{asked.name}", cache_policy=NO_CACHE, persist_result=False)
def stage_task(build: Build, asked: Asked) -> Artifact:
    """One stage as Prefect shows it."""
    return carried_out(build, asked)


def steps(build: Build) -> Step:
    """The chain's steps for a build under Prefect: every stage a task, but those that ``--only`` leaves out."""
    return Step(lambda call: stage_task(build, looked_up(build, call)))


def plain_steps(build: Build) -> Step:
    """The same without Prefect."""
    return Step(lambda call: carried_out(build, looked_up(build, call)))


def looked_up(build: Build, call: StageCall) -> Asked:
    """What a stage is, and whether the store has it.

    Raises Enough or InputError where it has not and ``--only`` names another stage: before there is a task of it.
    """
    made_of = {key: one.fingerprint for key, one in call.inputs.items()}
    parts = components(call.name, call.section, made_of, code_version(call.module), build.data(call.section))
    identity = fingerprint(parts)
    found = None if build.forced(call.name) else build.store.find(call.name, identity, call.unread)
    if found is None:
        build.refuse_unwanted(call.name)
    return Asked(call, parts, identity, found)


def carried_out(build: Build, asked: Asked) -> Artifact:
    """The artifact of a stage: from the store, or made now and booked.

    Raises the stage's own StillroomError, or StageError where its process died.
    """
    if asked.found is None:
        build.store.remember(asked.name, asked.parts)
        return _made(build, asked)
    saved = build.ledger.record_saved(build.id, asked.name, asked.identity)
    build.record(StageLine(stage=asked.name, fingerprint=asked.identity, kind=asked.found.kind, cached=True,
                           saved_device_seconds=saved, metrics=asked.found.metrics))  # fmt: skip
    return asked.found


def _made(build: Build, asked: Asked) -> Artifact:
    name, call, secrets = asked.name, asked.call, secrets_of(asked.call.section)
    work = build.store.work(name, asked.identity)
    with _alone(work):
        spec = StageSpec(
            stage=name,
            section=call.section.model_dump(mode="json", exclude=set(secrets)),
            out_dir=work / "out",
            parent_pid=os.getpid(),
            inputs={key: one.path for key, one in call.inputs.items()},
            secrets=bool(secrets),
        )
        process = StageProcess(
            call.module,
            spec,
            work,
            build.child_environment,
            secrets,
            lambda told: build.progress(name, told),
            lambda line: build.log(name, line),
        )
        build.running = name
        build.progress(name, {"done": 0, "total": 0, "what": ""})
        artifact, usage = _booked(build, name, asked.identity, process, call.device)
        stamped = artifact.model_copy(update={
            "fingerprint": asked.identity, "stage": name, "inputs": asked.parts["inputs"],
            "section": asked.parts["section"], "code_version": asked.parts["code_version"], "usage": usage,
        })  # fmt: skip
        published = build.store.publish(stamped, name)
        book_api_tokens(build, name, asked.identity, call.section, usage)
    shutil.rmtree(work, ignore_errors=True)
    build.record(StageLine(stage=name, fingerprint=asked.identity, kind=published.kind, device=usage.device,
                           wall_seconds=usage.wall_seconds, metrics=published.metrics))  # fmt: skip
    return published


def _booked(build: Build, name: str, identity: str, process: StageProcess, device: bool) -> tuple[Artifact, Usage]:
    lease = build.open_lease(name, identity, device)
    process.on_checkpoint = partial(build.check_budgets, lease)
    exit_code, usage = 1, Usage(device=lease.device, device_count=lease.device_count)
    try:
        with Heartbeat(build.ledger, lease.id, build.settings.heartbeat_seconds):
            child = process.start(build.interpreter(process.module, device))
            build.ledger.attach_child(lease.id, child.pid, start_ticks(child.pid) or 0)
            artifact, usage = process.finish(child)
            exit_code = 0
    except Exception as error:  # the only one in the house: it records and re-raises
        exit_code = error.exit_code if isinstance(error, StillroomError) else 1
        if isinstance(error, BudgetError):  # ended at a checkpoint: nothing of it is lost
            exit_code = STOPPED_EXIT_CODE
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
