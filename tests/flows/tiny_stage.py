"""A real stage, small: writes a file, can be slow, die, refuse or leave a checkpoint. Runs in a process of its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from contracts.artifacts import Artifact, describe
from contracts.errors import GateError
from contracts.stage import checkpointed, progress, stage_main
from contracts.usage import Usage
from recipes.section import Section, not_identity

CODE_VERSION = "1"


class TinySection(Section):
    """What to do."""

    text: str = "hello"
    seconds: float = not_identity(0.0)
    die_once: bool = False
    refuse: bool = False
    checkpoints: bool = False
    """Tell of a checkpoint at every tick."""


def tiny(section: TinySection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Write ``text`` and what the inputs hold; resume from a checkpoint where a killed attempt left one."""
    checkpoint = out_dir / ".checkpoint"
    resumed = checkpoint.is_file()
    checkpoint.write_text("half")
    for done in range(int(section.seconds * 10)):
        progress(done, section.seconds * 10, "ticks")
        time.sleep(0.1)
        if section.checkpoints and not resumed:
            checkpointed(done)
    if section.die_once and not resumed:
        os.kill(os.getpid(), signal.SIGKILL)
    if section.refuse:
        raise GateError("tiny", "refuses", got=section.text, hint="ask kindly")
    before = "".join((one.path / "out.txt").read_text() for one in inputs.values())
    (out_dir / "out.txt").write_text(before + section.text)
    return describe(out_dir, "tiny", {"resumed": resumed}), Usage(tokens_out=len(section.text))


if __name__ == "__main__":
    stage_main(tiny, TinySection)
