"""An inbox that lies elsewhere, by its URL: its complete drops are copied into a local one, which is then read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from contracts.errors import InputError
from data_curation.remote_drops import fetch_drops, folders_at, shown
from flows.settings import Settings
from recipes.load import verticals


def is_url(target: str) -> bool:
    """Whether an inbox is given as a URL and not as a folder."""
    return "://" in target


def fetched(url: str, settings: Settings, told: Callable[[str], None]) -> Path:
    """The local copy of one vertical's inbox at ``url``. Raises InputError where it names no vertical."""
    place, _, vertical = url.rstrip("/").rpartition("/")
    if vertical not in verticals():
        hint = f"an inbox is named after its vertical: {', '.join(verticals())}"
        raise InputError(shown(url), "is the inbox of no vertical", got=vertical, hint=hint)
    folder = settings.home / "fetched" / hashlib.sha256(place.encode()).hexdigest()[:12] / vertical
    _fetch(url, folder, settings, told)
    return folder


def fetch_all(settings: Settings, told: Callable[[str], None]) -> None:
    """Bring ``settings.inbox`` to what lies at ``settings.inbox_url``; nothing where there is none."""
    if settings.inbox_url:
        for vertical in sorted(set(verticals()) & set(folders_at(settings.inbox_url))):
            _fetch(f"{settings.inbox_url.rstrip('/')}/{vertical}", settings.inbox / vertical, settings, told)


def _fetch(url: str, folder: Path, settings: Settings, told: Callable[[str], None]) -> None:
    for one in fetch_drops(url, folder, time.time(), settings.inbox_rest_seconds):
        if one.status != "unchanged":
            told(f"{shown(url)}/{one.name} is {one.status}" + (f": {one.reason}" if one.reason else ""))
