"""A stage's process: started with a spec, listened to, and brought to an end whatever happens to us."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, SecretStr

from contracts.artifacts import Artifact
from contracts.errors import PublishError, StageError, from_data
from contracts.stage import StageResult, StageSpec, result_path
from contracts.usage import Usage
from flows.settings import CHECKOUT, inherited
from flows.warm import hand_over

TAIL_LINES = 15
LEAST_FREE_BYTES = 16 * 1024 * 1024
"""Below it a process that died is taken to have died of the disk."""
Listen = Callable[[str], None]


@dataclass
class StageProcess:
    """One attempt at one stage: ``python -m MODULE SPEC.json``."""

    module: str
    spec: StageSpec
    work: Path
    environment: dict[str, str] = field(repr=False)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Fields of the section that are in no spec; see ``secrets_of``."""
    on_progress: Callable[[dict[str, Any]], None] = lambda _: None
    on_line: Listen = lambda _: None
    on_checkpoint: Callable[[], None] = lambda: None
    """Called at each whole checkpoint; what it raises ends the process, which goes on from there another time."""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))

    def start(self, ready: subprocess.Popen[str] | None = None) -> subprocess.Popen[str]:
        """Start the process, in the interpreter made ready for it where there is one; ``finish`` reads its output."""
        spec_path = self.work / "spec.json"
        spec_path.write_text(self.spec.model_dump_json(), encoding="utf-8")
        result_path(spec_path).unlink(missing_ok=True)
        if ready is not None and hand_over(ready, self.module, str(spec_path)):
            child = ready
        else:
            child = subprocess.Popen(
                [sys.executable, "-m", "contracts.lifeline", str(self.spec.parent_pid), self.module, str(spec_path)],
                cwd=CHECKOUT,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        self._tell_secrets(child)
        (self.work / "pid").write_text(f"{child.pid}\n", encoding="ascii")
        return child

    def finish(self, child: subprocess.Popen[str]) -> tuple[Artifact, Usage]:
        """Read the output to its end and return what the stage made; raises the stage's own error, or StageError."""
        try:
            with (self.work / "log.txt").open("a", encoding="utf-8") as log:
                self._pump(child.stdout, log)
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        return self._result(code)

    def _tell_secrets(self, child: subprocess.Popen[str]) -> None:
        """Close the child's stdin, after a line with the secrets where there are any."""
        if child.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):  # a child that is dead already says so by its exit code
            if self.secrets:
                child.stdin.write(json.dumps(self.secrets) + "\n")
            child.stdin.close()

    def _pump(self, stream: IO[str] | None, log: IO[str]) -> None:
        for line in stream or ():
            text = line.rstrip()
            if text.startswith("@progress "):
                self.on_progress(json.loads(text.removeprefix("@progress ")))
                continue
            if text.startswith("@checkpoint "):
                self.on_checkpoint()
                continue
            log.write(line)
            log.flush()
            if text:
                self.tail.append(text)
                self.on_line(text)

    def _result(self, code: int) -> tuple[Artifact, Usage]:
        path = result_path(self.work / "spec.json")
        result = StageResult.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else StageResult()
        if result.error is not None:
            raise from_data(result.error)
        if code != 0 or result.artifact is None or result.usage is None:
            self._refuse_full_disk()
            got = f"signal {-code}" if code < 0 else f"exit code {code}"
            hint = "the same command goes on from the last complete checkpoint; the log's end:\n  " + "\n  ".join(
                self.tail
            )
            raise StageError(f"stage {self.spec.stage}", "its process ended early", got=got, hint=hint)
        return result.artifact.model_copy(update={"path": self.spec.out_dir}), result.usage

    def _refuse_full_disk(self) -> None:
        """A full disk kills a process in many ways, each library with an error of its own; it is told apart here."""
        free = shutil.disk_usage(self.work).free
        if free < LEAST_FREE_BYTES:
            hint = "free disk space, then run the same command: it goes on from the last complete checkpoint"
            raise PublishError(str(self.work), "the disk is full", got=f"{free:,} bytes free", hint=hint)


def secrets_of(section: BaseModel) -> dict[str, str]:
    """The section's fields that are written down nowhere: not in a spec, a fingerprint, an artifact or a log."""
    return {name: value.get_secret_value() for name, value in section if isinstance(value, SecretStr)}


def environment(allow_downloads: bool, without: str = "") -> dict[str, str]:
    """What a stage's process inherits: ours less one variable, quiet, and off the hubs unless downloads are allowed."""
    offline = {} if allow_downloads else {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    quiet = {"TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1", "DO_NOT_TRACK": "1"}
    return inherited(without) | quiet | offline | {"PYTHONPATH": str(CHECKOUT)}
