"""SIGKILL at random moments of curation: the next run ends with the same bytes as one that nobody disturbed.

Each round kills a run of the stage (or its publishing), then runs it again in the folder that was left behind. The
corpus holds every format and the hostile files. With ``--layered`` they come as a later layer of an inbox.

    .venv/bin/python -m benchmarks.curation_kills --kills 50 [--layered]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from contracts.artifacts import digest, load, publish
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


@dataclass
class Found:
    """What the rounds gave."""

    kills: int = 0
    by_phase: Counter[str] = field(default_factory=Counter)
    """The last progress that a killed run had told."""
    different: list[str] = field(default_factory=list)
    """Rounds after which the bytes were others."""


def rounds(
    kills: int, folder: Path, seed: int = 7, hostile: bool = True, in_a_row: int = 1, layered: bool = False
) -> Found:
    """Kill ``kills`` runs, each at a moment drawn anew; ``folder`` is for the corpus and the outputs.

    ``in_a_row``: so many are killed, one in the leavings of the other, before one runs to its end.
    """
    place, chance = corpus(folder / "corpus"), random.Random(seed)
    told = section(place)
    if hostile:
        make(place / "odd", SMALL, beside=folder)
        odd = Source(path="odd", use="pretraining", licence="CC0-1.0", date="date")
        told = told.model_copy(update={"sources": told.sources | {"odd": odd}})
    if layered:
        told = _later(told, folder / FIRST)
    started = time.monotonic()
    _run(told, folder / "undisturbed", None)
    seconds = time.monotonic() - started
    wanted, found = _bytes_of(folder / "undisturbed"), Found()
    while found.kills < kills:
        work = folder / f"round-{found.kills}"
        phases = [_run(told, work, chance.uniform(0, seconds)) for _ in range(in_a_row)]
        found.by_phase.update(phases)
        found.kills += sum(phase != AFTER for phase in phases)
        _run(told, work, None)
        if _bytes_of(work) != wanted:
            found.different.append(f"{work.name}, killed at: {', '.join(phases)}")
        else:
            shutil.rmtree(work)
    return found


def _later(told: CurateSection, work: Path) -> CurateSection:
    """Curates the sample corpus as a first layer; the section of a later one, which repeats its stories."""
    first = told.model_copy(
        update={"inbox": Inbox(), "sources": {n: one for n, one in told.sources.items() if n != "odd"}}
    )
    (work / "out").mkdir(parents=True)
    made, _ = curate(first, {}, work / "out")
    publish(made.model_copy(update={"fingerprint": FIRST}), work / "published")
    sources = {"again": told.sources["stories"], **{n: one for n, one in told.sources.items() if n == "odd"}}
    return told.model_copy(update={"inbox": Inbox(described=tuple(sources)), "sources": sources, "tasks": {}})


def _run(told: CurateSection, work: Path, kill_after_seconds: float | None) -> str:
    """The stage and its publishing in a process of its own; returns the phase it was killed in."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "section.json").write_text(told.model_dump_json())
    with (work / "log").open("w") as log:
        child = subprocess.Popen([sys.executable, "-m", MODULE, "--stage", str(work)], stderr=log)
        if kill_after_seconds is not None:
            time.sleep(kill_after_seconds)
            child.kill()
        code = child.wait()
    said = (work / "log").read_text()
    if code == -signal.SIGKILL:
        lines = [line for line in said.splitlines() if line.startswith("@progress")]
        return str(json.loads(lines[-1].partition(" ")[2])["what"]) if lines else "starting"
    if code:
        raise SystemExit(said)
    return AFTER


def _stage(work: Path) -> None:
    """What a killed process was doing. As in the house, only the outputs that are left behind are used again."""
    told = CurateSection.model_validate_json((work / "section.json").read_text())
    (work / "out").mkdir(exist_ok=True)
    first = load(work.parent / FIRST / "published")
    artifact, _ = curate(told, {f"{LAYER}1": first} if first else {}, work / "out")
    publish(artifact, work / "published")


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
    arguments.add_argument("--stage", type=Path, help=argparse.SUPPRESS)
    told = arguments.parse_args()
    if told.stage:
        _stage(told.stage)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = rounds(told.kills, Path(folder), told.seed, layered=told.layered)
    print(json.dumps({"kills": found.kills, "by_phase": found.by_phase, "different": found.different}))
    sys.exit(bool(found.different))


if __name__ == "__main__":
    main()
