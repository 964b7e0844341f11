"""The artifact store: one folder a fingerprint, under its stage. Skipping is decided here, never by Prefect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contracts.artifacts import Artifact, broken_files, load, publish, touched_files
from recipes.fingerprint import fingerprint


class Store:
    """Published artifacts under ``home/store``, work in progress under ``home/work``."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def place(self, stage: str, identity: str) -> Path:
        """Where an artifact is, or will be."""
        return self.home / "store" / stage.replace(":", "-") / identity

    def work(self, stage: str, identity: str) -> Path:
        """Where a stage works before it is published; kept after a kill, so that it can resume."""
        return self.home / "work" / f"{stage.replace(':', '-')}-{identity}"

    def find(self, stage: str, identity: str, unread: bool = False) -> Artifact | None:
        """The published artifact when it is there and whole; a damaged one does not count.

        ``unread``: whoever asks only refers to it. Then its bytes are read only where a file's time is suspect.
        """
        artifact = load(self.place(stage, identity))
        if artifact is not None and unread and not touched_files(artifact):
            return artifact
        return artifact if artifact is not None and not broken_files(artifact) else None

    def publish(self, draft: Artifact, stage: str) -> Artifact:
        """Move a finished draft into the store."""
        return publish(draft, self.place(stage, draft.fingerprint))

    def remember(self, stage: str, parts: dict[str, Any]) -> None:
        """Keep what a fingerprint was made of, for ``why``."""
        folder = self.home / "identities" / stage.replace(":", "-")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{fingerprint(parts)}.json").write_text(json.dumps(parts, indent=1), encoding="utf-8")

    def remembered(self, stage: str) -> list[dict[str, Any]]:
        """The identities of a stage's artifacts that are published, newest first."""
        folder = self.home / "identities" / stage.replace(":", "-")
        files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [json.loads(path.read_text(encoding="utf-8")) for path in files if load(self.place(stage, path.stem))]
