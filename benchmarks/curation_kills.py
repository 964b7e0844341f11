"""SIGKILL at random moments of curation: the next run ends with the same bytes as one that nobody disturbed.

Each round kills a run of the stage (or its publishing), then runs it again in the folder that was left behind. The
corpus holds every format and the hostile files. With ``--layered`` they come as a later layer of an inbox.

    .venv/bin/python -m benchmarks.curation_kills --kills 50 [--layered]
    .venv/bin/python -m benchmarks.curation_kills --kills 50 --folder FOLDER --portion 8   # eight more, up to 50

A process that has imported everything forks for every run: what is killed is curation, not the start of Python.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from contracts.artifacts import digest, load, publish
from data_curation import text_pool
from data_curation.curate import curate
from data_curation.layer_inputs import LAYER
from recipes.corpus import Inbox
from recipes.schema import Source
from recipes.stage_sections import CurateSection
from tests.data_curation.corpus_sample import corpus, section
from tests.data_curation.hostile_corpus import Size, make

SMALL = Size(line_bytes=17 << 20, bomb_bytes=70 << 20, tags=2_000, folders=20)
AFTER = "after its end"
FIRST = "first-layer"
MODULE = "benchmarks.curation_kills"
WANTED = "undisturbed.json"
ROUNDS = "rounds.jsonl"


@dataclass
class Found:
    """What the rounds gave."""

    kills: int = 0
    by_phase: Counter[str] = field(default_factory=Counter)
    """The last progress that a killed run had told."""
    different: list[str] = field(default_factory=list)
    """Rounds after which the bytes were others."""
    rounds: int = 0

    def add(self, phases: list[str], equal: bool) -> None:
        """Count a round."""
        self.by_phase.update(phases)
        self.kills += sum(phase != AFTER for phase in phases)
        if not equal:
            self.different.append(f"round-{self.rounds}, killed at: {', '.join(phases)}")
        self.rounds += 1


def rounds(
    kills: int, folder: Path, seed: int = 7, hostile: bool = True, in_a_row: int = 1, layered: bool = False,
    portion: int | None = None,
) -> Found:  # fmt: skip
    """Kill until there were ``kills`` runs, each at a moment drawn anew; ``folder`` holds corpus, outputs and rounds.

    ``in_a_row``: so many are killed, one in the leavings of the other, before one runs to its end. ``portion``: at
    most so many more than an earlier call in the same folder had.
    """
    found = _before(folder)
    most = kills if portion is None else min(kills, found.kills + portion)
    with _Runs() as runs:
        if not (folder / WANTED).is_file():
            _prepare(folder, hostile, layered, runs)
        told = json.loads((folder / WANTED).read_text())
        while found.kills < most:
            chance = random.Random(f"{seed}/{found.rounds}")
            work = folder / f"round-{found.rounds}"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            (work / "section.json").write_text((folder / "section.json").read_text())
            phases = [runs.run(work, chance.uniform(0, told["seconds"])) for _ in range(in_a_row)]
            runs.run(work, None)
            equal = _bytes_of(work) == told["bytes"]
            found.add(phases, equal)
            same = "the same bytes" if equal else "OTHER BYTES"
            print(f"{found.kills} of {most} kills, the last at {', '.join(phases)}: {same}", file=sys.stderr)
            with (folder / ROUNDS).open("a") as out:
                out.write(json.dumps({"phases": phases, "equal": equal}) + "\n")
            if equal:
                shutil.rmtree(work)
    return found


def _before(folder: Path) -> Found:
    """What earlier calls found in this folder."""
    found, path = Found(), folder / ROUNDS
    for line in path.read_text().splitlines() if path.is_file() else ():
        found.add(**json.loads(line))
    return found


def _prepare(folder: Path, hostile: bool, layered: bool, runs: _Runs) -> None:
    """The corpus, the section, and what an undisturbed run makes of them in how many seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in ("corpus", FIRST):
        shutil.rmtree(folder / left, ignore_errors=True)
    place = corpus(folder / "corpus")
    told = section(place)
    if hostile:
        make(place / "odd", SMALL, beside=folder)
        odd = Source(path="odd", use="pretraining", licence="CC0-1.0", date="date")
        told = told.model_copy(update={"sources": told.sources | {"odd": odd}})
    if layered:
        told = _later(told, folder / FIRST, runs)
    (folder / "section.json").write_text(told.model_dump_json())
    work = folder / "undisturbed"
    for _ in range(2):  # the first may compile loops: moments drawn from its length would lie behind most runs
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        (work / "section.json").write_text(told.model_dump_json())
        started = time.monotonic()
        runs.run(work, None)
    wanted = {"seconds": time.monotonic() - started, "bytes": _bytes_of(work)}
    (folder / WANTED).write_text(json.dumps(wanted))


def _later(told: CurateSection, work: Path, runs: _Runs) -> CurateSection:
    """Curates the sample corpus as a first layer; the section of a later one, which repeats its stories."""
    first = told.model_copy(
        update={"inbox": Inbox(), "sources": {n: one for n, one in told.sources.items() if n != "odd"}}
    )
    work.mkdir()
    (work / "section.json").write_text(first.model_dump_json())
    runs.run(work, None)
    sources = {"again": told.sources["stories"], **{n: one for n, one in told.sources.items() if n == "odd"}}
    return told.model_copy(update={"inbox": Inbox(described=tuple(sources)), "sources": sources, "tasks": {}})


class _Runs:
    """A process that forks for every run of the stage and its publishing."""

    def __enter__(self) -> _Runs:
        command = [sys.executable, "-m", MODULE, "--server"]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.communicate()

    def run(self, work: Path, kill_after_seconds: float | None) -> str:
        """Run in ``work``; the phase it was killed in."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps([str(work), kill_after_seconds]) + "\n")
        self._server.stdin.flush()
        status = int(self._server.stdout.readline() or 1)
        said = (work / "log").read_text()
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            lines = [line for line in said.splitlines() if line.startswith("@progress")]
            return str(json.loads(lines[-1].partition(" ")[2])["what"]) if lines else "starting"
        if status:
            raise SystemExit(said)
        return AFTER


def _serve() -> None:
    """Fork for every line of stdin: a run's folder, and after how many seconds it is killed; tell its status."""
    for line in sys.stdin:
        work, kill_after_seconds = json.loads(line)
        child = os.fork()
        if child == 0:
            _forked(Path(work))
        if kill_after_seconds is not None:
            time.sleep(kill_after_seconds)
            os.kill(child, signal.SIGKILL)
        sys.stdout.write(f"{os.waitpid(child, 0)[1]}\n")
        sys.stdout.flush()


def _forked(work: Path) -> None:
    log = os.open(work / "log", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    for number, place in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(number, place)
    try:
        _stage(work)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the parent tells it
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _stage(work: Path) -> None:
    """What a killed process was doing, with workers. As in the house, only outputs left behind are used again."""
    text_pool.WORTH_BYTES = 0
    told = CurateSection.model_validate_json((work / "section.json").read_text())
    (work / "out").mkdir(exist_ok=True)
    first = load(work.parent / FIRST / "published") if work.name != FIRST else None
    made, _ = curate(told, {f"{LAYER}1": first} if first else {}, work / "out")
    if work.name == FIRST:
        made = made.model_copy(update={"fingerprint": FIRST})
    publish(made, work / "published")


def _bytes_of(work: Path) -> dict[str, str]:
    """Every file that was published, by its digest. The record is one of them."""
    artifact = load(work / "published")
    if artifact is None:
        return {}
    return {str(one.relative_to(artifact.path)): digest(one) for one in artifact.path.rglob("*") if one.is_file()}


def main() -> None:
    """Print what was found; the last line is JSON. Exit code 1 where bytes differed."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--layered", action="store_true")
    arguments.add_argument("--folder", type=Path, help="keep corpus and rounds there, and go on with them")
    arguments.add_argument("--portion", type=int, help="at most so many kills in this call")
    arguments.add_argument("--server", action="store_true", help=argparse.SUPPRESS)
    told = arguments.parse_args()
    if told.server:
        _serve()
        return
    with tempfile.TemporaryDirectory() as folder:
        place = told.folder or Path(folder) / "kills"
        found = rounds(told.kills, place, told.seed, layered=told.layered, portion=told.portion)
    print(json.dumps({"kills": found.kills, "by_phase": found.by_phase, "different": found.different}))
    sys.exit(bool(found.different))


if __name__ == "__main__":
    main()
