"""The inbox of one vertical: its drops, and which of them are complete. Nothing but ``corpus.yaml`` is read here.

A drop is complete when its marker ``.complete`` is newer than all else in it, or when nothing in it has changed for a
while. The time of change is the inode's (``st_ctime``): a copying tool that sets old modification times, or times in
the future, does not deceive it.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contracts.errors import InputError
from recipes import corpus
from recipes.schema import Curation

MARKER = ".complete"
MARKER_SLACK_SECONDS = 1.0
"""A file system's clock may be coarse: what changed this little after the marker came with it."""
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".download", "~")
"""Names that copying tools give to what they have not finished."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Entry:
    """A file or folder of a drop. ``changed`` is in seconds since 1970."""

    path: str
    size: int
    modified_ns: int
    changed: float
    is_folder: bool


@dataclass(frozen=True)
class Drop:
    """One folder of an inbox, as it was found."""

    name: str
    status: Literal["complete", "waiting", "quarantined"]
    reason: str = ""
    """Why it is not complete, or may not be read."""
    corpus: corpus.Corpus | None = None
    entries: tuple[Entry, ...] = ()

    @property
    def files(self) -> list[Entry]:
        """Its documents' files: no notes, no marker, nothing hidden."""
        return [one for one in self.entries if not one.is_folder and one.path != corpus.FILE and not _hidden(one.path)]

    @property
    def state(self) -> str:
        """SHA-256 over name, reason, and every file's path, size and time: equal where nothing has changed."""
        told = [f"{self.name}/{self.status}/{self.reason}"]
        told += [f"{e.path}:{e.size}:{e.modified_ns}" for e in self.entries if not e.is_folder and not _hidden(e.path)]
        return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()


def look(inbox: Path, curation: Curation, now: float, rest_seconds: float) -> list[Drop]:
    """The drops of ``inbox/<vertical>``, by name. Raises InputError where there is no such folder."""
    if not inbox.is_dir():
        hint = "make it: inbox/VERTICAL/CORPUS/ with corpus.yaml and documents"
        raise InputError(str(inbox), "is no folder", hint=hint)
    with os.scandir(inbox) as found:
        places = sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
    return [_drop(place, curation, now, rest_seconds) for place in places]


def state_of(drops: list[Drop]) -> str:
    """SHA-256 over all drops that are not waiting: what a curation of this inbox would see."""
    settled = sorted(drop.state for drop in drops if drop.status != "waiting")
    return hashlib.sha256("\n".join(settled).encode()).hexdigest()


def _drop(place: os.DirEntry[str], curation: Curation, now: float, rest_seconds: float) -> Drop:
    if place.is_symlink():
        return Drop(place.name, "quarantined", "is a symbolic link: copy what it points to")
    if not place.is_dir(follow_symlinks=False):
        return Drop(place.name, "quarantined", "lies beside the drops: put it into a folder with a corpus.yaml")
    entries = tuple(sorted(_entries(Path(place.path)), key=lambda one: one.path))
    waits_for = _waits_for(entries, now, rest_seconds)
    if waits_for:
        return Drop(place.name, "waiting", waits_for, None, entries)
    if not NAME.fullmatch(place.name):
        return Drop(place.name, "quarantined", "its name may hold letters, digits, . _ and - only", None, entries)
    try:
        told = corpus.read(Path(place.path))
    except InputError as error:
        reason = f"{error.line.removeprefix(f'{place.name}/')}; {error.hint}"
        return Drop(place.name, "quarantined", reason, None, entries)
    drop = Drop(place.name, "complete", "", told, entries)
    if told.licence not in curation.licences:
        refused = f"licence {told.licence} is not among the recipe's curation.licences"
        return Drop(place.name, "quarantined", refused, told, entries)
    return drop if drop.files else Drop(place.name, "quarantined", "holds no documents", told, entries)


def _entries(folder: Path) -> list[Entry]:
    """Everything below ``folder``, itself among it as ``""``; links are seen and never followed."""
    found = [_entry("", folder.lstat(), True)]
    for parent, folders, files in os.walk(folder, followlinks=False):
        for name in [*folders, *files]:
            path = Path(parent, name)
            try:
                seen = path.lstat()
            except FileNotFoundError:
                continue  # gone since it was listed; its folder's time of change says so
            found.append(_entry(str(path.relative_to(folder)), seen, name in folders))
    return found


def _entry(path: str, seen: os.stat_result, is_folder: bool) -> Entry:
    return Entry(path, seen.st_size, seen.st_mtime_ns, seen.st_ctime, is_folder)


def _waits_for(entries: tuple[Entry, ...], now: float, rest_seconds: float) -> str:
    """Why a drop is not complete yet; empty where it is."""
    marker = next((one for one in entries if one.path == MARKER), None)
    if marker is not None:
        late = [e for e in entries if e.changed > marker.changed + MARKER_SLACK_SECONDS]
        if not late:
            return ""
    unfinished = next((one.path for one in entries if one.path.endswith(UNFINISHED)), None)
    if unfinished is not None:
        return f"{unfinished} is still being copied"
    age = now - max(one.changed for one in entries)
    if age < rest_seconds:
        return f"changed {max(0, age):.0f} s ago; it must rest for {rest_seconds:g} s, or get a file {MARKER}"
    return ""


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in Path(path).parts)
