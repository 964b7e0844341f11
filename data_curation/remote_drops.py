"""Drops that lie elsewhere: complete ones are copied into a local inbox, with checksums, before anything reads them.

A place is any URL that fsspec knows (``file://``, ``memory://``, ``s3://`` where its driver is installed). What is
there is only looked at and read, never changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from contracts.artifacts import sync
from contracts.errors import InputError
from data_curation.drops import MARKER, MARKER_SLACK_SECONDS, NAME, UNFINISHED

RECORD = ".fetched.json"
"""Of a drop that was copied: the state it had there, and every file's SHA-256."""
LOCK = ".fetching.lock"
MOST_FILES = 100_000
CHUNK = 1 << 20
SPARE_BYTES = 1 << 30
"""Left free on the disk whatever is copied."""
TIMES = ("LastModified", "last_modified", "created", "mtime")
"""What file systems call the time of a file's last change; the first they have counts. Local ones: the inode's."""
VERSIONS = ("ETag", "etag", "md5Hash", "md5", "checksum", *TIMES)
"""What tells one content of a file from another."""
USER = re.compile(r"//[^/@]*@")


@dataclass(frozen=True)
class Fetched:
    """One drop there: copied now, there already, or why not."""

    name: str
    status: str
    """``copied``, ``unchanged``, ``waiting``, ``refused`` or ``gone``."""
    reason: str = ""


@dataclass(frozen=True)
class There:
    """A file of a remote drop; ``at`` in seconds since 1970 where the file system tells."""

    path: str
    place: str
    size: int
    version: str
    at: float | None
    is_link: bool


def fetch_drops(url: str, inbox: Path, now: float, rest_seconds: float) -> list[Fetched]:
    """Bring ``inbox``, a vertical's folder, to what lies at ``url``; copies of drops that are gone go.

    Raises InputError for a URL that cannot be read.
    """
    files, root = _opened(url)
    inbox.mkdir(parents=True, exist_ok=True)
    with (inbox / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the watcher and a run may both look
        return _brought(files, root, shown(url), inbox, (now, rest_seconds))


def folders_at(url: str) -> list[str]:
    """Names of the folders at ``url``. Raises InputError where it cannot be read."""
    files, root = _opened(url)
    return list(_folders(files, root, shown(url)))


def _folders(files: Any, root: str, url: str) -> dict[str, str]:
    """Name to place, sorted, nothing hidden."""
    try:
        listed = sorted(one["name"].rstrip("/") for one in files.ls(root, detail=True) if one["type"] == "directory")
    except (OSError, ValueError) as error:
        raise _unreadable(url, error) from None
    named = {place.rpartition("/")[2]: place for place in listed}
    return {name: place for name, place in named.items() if not name.startswith(".")}


def _unreadable(url: str, error: Exception) -> InputError:
    return InputError(url, "cannot be read", got=_plain(error), hint="check the address and the rights")


def _brought(files: Any, root: str, url: str, inbox: Path, clock: tuple[float, float]) -> list[Fetched]:
    names = _folders(files, root, url)
    try:
        found = [_fetched(files, name, place, inbox, *clock) for name, place in names.items()]
    except (OSError, ValueError) as error:
        raise _unreadable(url, error) from None
    for record in sorted(inbox.glob(f"*/{RECORD}")):
        if record.parent.name not in names:
            shutil.rmtree(record.parent)
            found.append(Fetched(record.parent.name, "gone"))
    return found


def shown(url: str) -> str:
    """A URL without the user and password that it may hold."""
    return USER.sub("//", url)


def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        there = files.isdir(root)
    except (OSError, ValueError, ImportError) as error:
        hint = "its driver must be installed beside Stillroom (s3fs, gcsfs, adlfs, ...)"
        raise InputError(shown(url), "cannot be opened", got=_plain(error), hint=hint) from None
    if not there:
        raise InputError(shown(url), "is no folder", hint="make it: URL/CORPUS/ with corpus.yaml and documents")
    return files, root


def _fetched(files: Any, name: str, place: str, inbox: Path, now: float, rest_seconds: float) -> Fetched:
    if not NAME.fullmatch(name):
        return Fetched(name, "refused", "its name may hold letters, digits, . _ and - only")
    there = _there(files, place)
    refused = _refused(there, inbox)
    if refused:
        return Fetched(name, "refused", refused)
    waits_for = _waits_for(there, now, rest_seconds)
    if waits_for:
        return Fetched(name, "waiting", waits_for)
    state = _state(there)
    if _copied_state(inbox / name) == state:
        return Fetched(name, "unchanged")
    draft = inbox / f".{name}.fetching"
    shutil.rmtree(draft, ignore_errors=True)
    told = {one.path: _copy(files, one, draft / one.path) for one in there if one.path != MARKER}
    if _state(_there(files, place)) != state or None in told.values():
        shutil.rmtree(draft)
        return Fetched(name, "waiting", "changed while it was copied")
    _put(draft, inbox / name, {"state": state, "sha256": told})
    return Fetched(name, "copied")


def _there(files: Any, place: str) -> list[There]:
    """Every file of a drop, sorted, until there are too many; no link is followed."""
    found: list[There] = []
    waiting = [place]
    while waiting and len(found) <= MOST_FILES:
        for info in files.ls(waiting.pop(), detail=True):
            name = info["name"].rstrip("/")
            is_link = bool(info.get("islink"))
            if info["type"] == "directory" and not is_link:
                waiting.append(name)
                continue
            version = next((str(info[key]) for key in VERSIONS if info.get(key) is not None), "")
            at = next((_seconds(info[key]) for key in TIMES if info.get(key) is not None), None)
            found.append(There(name[len(place) :].lstrip("/"), name, int(info["size"] or 0), version, at, is_link))
    return sorted(found, key=lambda one: one.path)


def _refused(there: list[There], inbox: Path) -> str:
    """Why a drop must not be copied; empty where it may be."""
    if len(there) > MOST_FILES:
        return f"more than {MOST_FILES:,} files"
    bad = next((one.path for one in there if not _is_plain(one.path)), None)
    if bad is not None:
        return f"a file's name leads elsewhere: {bad[:80]!r}"
    link = next((one.path for one in there if one.is_link), None)
    if link is not None:
        return f"holds a link: {link}"
    size, free = sum(one.size for one in there), shutil.disk_usage(inbox).free - SPARE_BYTES
    return f"holds {size:,} bytes, and {max(0, free):,} are free here" if size > free else ""


def _is_plain(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and path.isprintable() and "\\" not in path and not {"..", "/", RECORD} & set(parts)


def _waits_for(there: list[There], now: float, rest_seconds: float) -> str:
    """Why a drop is not complete; a file system that tells no times needs the marker."""
    marker = next((one for one in there if one.path == MARKER), None)
    times = [one.at for one in there if one.at is not None]
    if marker is not None and (marker.at is None or marker.at + MARKER_SLACK_SECONDS >= max(times)):
        return ""
    unfinished = next((one.path for one in there if one.path.endswith(UNFINISHED)), None)
    if unfinished is not None:
        return f"{unfinished} is still being copied"
    if len(times) < max(1, len(there)):
        return f"needs a file {MARKER}: its file system tells no times"
    age = now - max(times)
    return f"changed {max(0, age):.0f} s ago; it must rest for {rest_seconds:g} s" if age < rest_seconds else ""


def _state(there: list[There]) -> str:
    told = "\n".join(f"{one.path}:{one.size}:{one.version}" for one in there)
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()


def _copied_state(drop: Path) -> str:
    try:
        return str(json.loads((drop / RECORD).read_text(encoding="utf-8"))["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _copy(files: Any, one: There, target: Path) -> str | None:
    """Copy a file; its SHA-256, or None where it has not the size that was listed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    joined, size = hashlib.sha256(), 0
    with files.open(one.place, "rb") as stream, target.open("wb") as out:
        while size <= one.size and (chunk := stream.read(CHUNK)):
            joined.update(chunk)
            size += out.write(chunk)
    if one.at is not None:
        os.utime(target, (one.at, one.at))  # the drop's state stays what it is there
    return joined.hexdigest() if size == one.size else None


def _put(draft: Path, drop: Path, told: Mapping[str, Any]) -> None:
    """Put a copied drop in its place by rename; the marker comes last."""
    for path in draft.rglob("*"):
        if path.is_file():
            sync(path)
    (draft / RECORD).write_text(json.dumps(told, indent=1), encoding="utf-8")
    (draft / MARKER).touch()
    shutil.rmtree(drop, ignore_errors=True)
    draft.rename(drop)
    sync(drop.parent)


def _seconds(value: Any) -> float | None:
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _plain(error: Exception) -> str:
    return shown(" ".join(str(error).split())[:200]) or type(error).__name__
