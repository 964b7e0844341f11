"""Artifacts: folders with a record. An output without its record does not exist.

A stage fills ``out_dir``; the record ``artifact.json`` comes last and the folder is published by one rename: a kill
at any moment leaves either nothing or everything. Names that start with a dot are scratch (checkpoints, logs) and never
published.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.errors import InputError, PublishError
from contracts.usage import Usage

RECORD = "artifact.json"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room: on the disk, within a quota, within a limit on file sizes."""


class Artifact(BaseModel):
    """The record of one published folder.

    ``path`` is where it lies now; it is no part of the record, so a store can be moved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """What it is: ``corpus``, ``tokens``, ``model``, ``adapter``, ``answers``, ``capture``, ``evaluation``, ..."""
    fingerprint: str = ""
    stage: str = ""
    inputs: dict[str, str] = Field(default_factory=dict)
    """Input name to the input's fingerprint."""
    section: dict[str, Any] = Field(default_factory=dict)
    code_version: str = ""
    files: dict[str, str] = Field(default_factory=dict)
    """Relative path to SHA-256."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    usage: Usage | None = None
    path: Path = Field(default=Path(), exclude=True)

    def file(self, name: str) -> Path:
        """A file of the artifact; raises InputError where the record does not know it."""
        if name not in self.files:
            raise InputError(str(self.path), f"has no file {name}", hint=f"its files: {', '.join(sorted(self.files))}")
        return self.path / name


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_files(folder: Path) -> list[Path]:
    """The files of a folder that count: no scratch, not the record itself, no links."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.name != RECORD
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def describe(out_dir: Path, kind: str, metrics: dict[str, Any] | None = None) -> Artifact:
    """The record of what a stage has put into ``out_dir``; the choke point adds the identity."""
    files = {str(path.relative_to(out_dir)): digest(path) for path in content_files(out_dir)}
    return Artifact(kind=kind, files=files, metrics=metrics or {}, path=out_dir)


def load(folder: Path) -> Artifact | None:
    """The artifact published at ``folder``, or None where there is none (no folder, no record, a broken record)."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Artifact(**record, path=folder)
    except (OSError, ValueError, TypeError):
        return None


def broken_files(artifact: Artifact) -> list[str]:
    """Files whose bytes are not those of the record (missing ones too); empty when the artifact is whole."""
    return [
        name
        for name, recorded in artifact.files.items()
        if not (artifact.path / name).is_file() or digest(artifact.path / name) != recorded
    ]


def touched_files(artifact: Artifact) -> list[str]:
    """Files that are gone, or whose time says that they were changed after the record was written; no file is read."""
    written = (artifact.path / RECORD).stat().st_mtime_ns
    return [name for name in artifact.files if _modified(artifact.path / name) > written]


def _modified(path: Path) -> float:
    return path.stat().st_mtime_ns if path.is_file() else float("inf")


def publish(draft: Artifact, target: Path) -> Artifact:
    """Move a finished folder to ``target`` in one rename, record last; returns the published artifact.

    Raises PublishError when the disk is full or the place cannot be written; what was there before stays as it was.
    """
    source = draft.path
    try:
        for scratch in [path for path in source.rglob(".*")]:
            shutil.rmtree(scratch, ignore_errors=True) if scratch.is_dir() else scratch.unlink(missing_ok=True)
        for name in draft.files:
            sync(source / name)
        record = source / f"{RECORD}.part"
        record.write_text(draft.model_dump_json(indent=2), encoding="utf-8")
        sync(record)
        record.rename(source / RECORD)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        source.rename(target)
        sync(target.parent)
    except OSError as error:
        raise unwritable(target, error) from error
    return draft.model_copy(update={"path": target})


def unwritable(place: str | Path, error: OSError) -> PublishError:
    """What the house says of a file that could not be written or read; a full disk is told apart."""
    if error.errno in FULL:
        hint = "free disk space, then run the same command: it goes on from what is complete"
        return PublishError(str(place), "the disk is full", got=error.strerror, hint=hint)
    hint = "look at the path, and at the rights of this user there"
    return PublishError(str(place), "could not be written or read", got=error.strerror or str(error), hint=hint)


def sync(path: Path) -> None:
    """Wait until a file, or the renames in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
