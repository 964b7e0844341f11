"""How the choke point and a stage's process speak: a spec goes in, a result comes out, both as JSON files.

A secret is in neither: it comes on stdin, since a pipe leaves no trace on the disk, in a command line or in the
environment of what the stage starts itself.

A stage is a function ``stage(section, inputs, out_dir) -> (Artifact, Usage)``. Its module ends with
``if __name__ == "__main__": stage_main(stage, Section)`` and so runs as ``python -m training.sft SPEC.json``.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr

from contracts.artifacts import FULL, Artifact, load, unwritable
from contracts.errors import InputError, StillroomError
from contracts.lifeline import die_with
from contracts.usage import Usage

Section = TypeVar("Section", bound=BaseModel)
Stage = Callable[[Section, dict[str, Artifact], Path], tuple[Artifact, Usage]]


class StageSpec(BaseModel):
    """What a stage's process is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    section: dict[str, Any]
    inputs: dict[str, Path]
    """Input name to the folder of the published artifact."""
    out_dir: Path
    """Where the stage writes. Kept between attempts: what a killed attempt left there may be resumed from."""
    parent_pid: int
    secrets: bool = False
    """Whether the section's secret fields follow on stdin, as one JSON line."""


class StageResult(BaseModel):
    """What a stage's process says: an artifact's draft and its usage, or an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: Artifact | None = None
    usage: Usage | None = None
    error: dict[str, str | None] | None = None
    """What ``StillroomError.as_data`` tells."""


def result_path(spec_path: Path) -> Path:
    """Where the result of the spec at ``spec_path`` is written."""
    return spec_path.with_name("result.json")


def progress(done: float, total: float, what: str = "") -> None:
    """Tell the choke point how far the work is: one line on stderr that it turns into a progress bar."""
    sys.stderr.write("@progress " + json.dumps({"done": done, "total": total, "what": what}) + "\n")
    sys.stderr.flush()


def checkpointed(step: int) -> None:
    """Tell the choke point that a checkpoint is whole: a run that is ended now goes on from here."""
    sys.stderr.write("@checkpoint " + json.dumps({"step": step}) + "\n")
    sys.stderr.flush()


def stage_main(stage: Stage[Section], section_type: type[Section]) -> None:
    """Run one stage from ``sys.argv[1]``, a spec's path. Exit code 0, or the error's own."""
    spec_path = Path(sys.argv[1])
    spec = StageSpec.model_validate_json(spec_path.read_text(encoding="utf-8"))
    die_with(spec.parent_pid)
    started = time.monotonic()
    try:
        inputs = {name: _load_input(name, folder) for name, folder in spec.inputs.items()}
        spec.out_dir.mkdir(parents=True, exist_ok=True)
        section = section_type.model_validate(spec.section | (_secrets() if spec.secrets else {}))
        artifact, usage = stage(section, inputs, spec.out_dir)
    except StillroomError as error:
        _refuse(spec_path, error)
    except OSError as error:
        if error.errno not in FULL:
            raise
        _refuse(spec_path, unwritable(error.filename or spec.out_dir, error))
    measured = _measured(usage, time.monotonic() - started)
    _write(result_path(spec_path), StageResult(artifact=artifact, usage=measured))


def _refuse(spec_path: Path, error: StillroomError) -> NoReturn:
    """Leave the error as the result, and end with its exit code."""
    sys.stderr.write(f"{error}\n")
    with contextlib.suppress(OSError):  # no room even for this: the supervisor looks at the disk itself
        _write(result_path(spec_path), StageResult(error=error.as_data()))
    sys.exit(error.exit_code)


def _measured(usage: Usage, wall_seconds: float) -> Usage:
    """Fill what the process itself can tell and the stage left at zero."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return usage.model_copy(
        update={
            "wall_seconds": wall_seconds,
            "device_seconds": usage.device_seconds or wall_seconds * usage.device_count,
            "cpu_seconds": cpu_seconds,
            "peak_memory_bytes": usage.peak_memory_bytes or max(own.ru_maxrss, children.ru_maxrss) * 1024,
        }
    )


def _load_input(name: str, folder: Path) -> Artifact:
    artifact = load(folder)
    if artifact is None:
        raise InputError(f"input {name}", "is not a published artifact", got=folder, hint="run the build again")
    return artifact


def _secrets() -> dict[str, SecretStr]:
    """Wrapped at once: a ``SecretStr`` shows itself in no error."""
    return {name: SecretStr(value) for name, value in json.loads(sys.stdin.readline()).items()}


def _write(path: Path, result: StageResult) -> None:
    part = path.with_suffix(".part")
    part.write_text(result.model_dump_json(), encoding="utf-8")
    part.rename(path)
