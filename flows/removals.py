"""Removal requests: an append-only list in the home folder, one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from recipes.schema import Source

FILE = "removals.jsonl"


def requested(home: Path, sources: Mapping[str, Source]) -> tuple[str, ...]:
    """What was asked to be removed of these sources: document ids, names of sources or drops; each once, sorted.

    What is asked of another vertical is left out: it would make this one's corpus anew for nothing.
    """
    known = {part for name, source in sources.items() for part in (name, *PurePosixPath(source.path).parts)}
    written = tuple(f"written-{name}-" for name in sources)
    return tuple(sorted(what for what in _all(home) if what.partition("/")[0] in known or what.startswith(written)))


def _all(home: Path) -> set[str]:
    path = home / FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {json.loads(line)["what"] for line in lines if line.strip()}


def request(home: Path, what: str, why: str) -> bool:
    """Write a request down; False where it stands there already."""
    if what in _all(home):
        return False
    home.mkdir(parents=True, exist_ok=True)
    told = {"what": what, "why": why, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    with (home / FILE).open("a", encoding="utf-8") as out:
        out.write(json.dumps(told, ensure_ascii=False) + "\n")
        out.flush()
        os.fsync(out.fileno())
    return True
