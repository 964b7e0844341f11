"""The watcher: looks at the inboxes, and says by a Prefect event when there is something to curate.

It says so again, at growing intervals, until a run has taken the state it saw: an event may be lost, a record is not.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.errors import StillroomError
from data_curation.drops import look, state_of
from data_curation.remote_drops import shown
from flows.fetch import fetch_all
from flows.inbox import Records, View, view
from flows.settings import Settings
from recipes.load import load, verticals
from recipes.schema import Recipe

EVENT = "stillroom.inbox.drop-complete"
RESOURCE = "stillroom.inbox"
LOOK_EVERY_SECONDS = 3.0
FETCH_EVERY_SECONDS = 60.0
"""Listing a bucket costs money and time."""
SAY_AGAIN_SECONDS = 30.0
SAY_AGAIN_AT_MOST_SECONDS = 600.0
Say = Callable[[str, dict[str, Any]], None]
"""Takes the vertical and the event's payload."""


@dataclass
class Watch:
    """What was said of which vertical, and when."""

    settings: Settings
    scale: str
    say: Say
    said: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    """Vertical to state, when it was said last, and for how long not to say it again (seconds, monotonic)."""
    recipes: dict[str, Recipe] = field(default_factory=dict)
    """Loaded once: what a changed recipe means for documents that are there already, the schedule finds out."""
    taken: dict[str, str] = field(default_factory=dict)
    """Vertical to the drops' state that needs nothing more."""
    faults: dict[str, str] = field(default_factory=dict)
    fetched: dict[str, str] = field(default_factory=dict)
    """Remote drop to what was told of it last."""

    def fetch(self) -> None:
        """Copy what is new where the drops come from, if they come from elsewhere."""
        try:
            fetch_all(self.settings, self._tell_once)
        except StillroomError as error:
            self._complain(shown(self.settings.inbox_url), str(error))

    def look(self, now: float) -> list[str]:
        """Look once at every inbox; returns the verticals of which something was said. ``now`` is monotonic."""
        places = ((name, self.settings.inbox / name) for name in verticals())
        return [name for name, folder in places if folder.is_dir() and self._looked_at(name, folder, now)]

    def _looked_at(self, vertical: str, folder: Path, now: float) -> bool:
        try:
            recipe = self.recipes.get(vertical) or load(vertical, self.scale)
            self.recipes[vertical] = recipe
            drops = look(folder, recipe.curation, clock(), self.settings.inbox_rest_seconds)
            if state_of(drops) == self.taken.get(vertical):
                return False
            seen = view(folder, recipe, self.settings)
        except (StillroomError, OSError) as error:
            self._complain(vertical, str(error))
            return False
        if self._is_taken(seen):
            self.taken[vertical] = state_of(drops)
            return False
        if not self._is_time(seen, now):
            return False
        self.say(vertical, {"vertical": vertical, "state": seen.state, "drops": _names(seen)})
        return True

    def _is_taken(self, seen: View) -> bool:
        """Nothing is settled, or a run has begun with exactly this."""
        record = Records(self.settings).read(seen.recipe.vertical)
        return not _names(seen) or seen.state in (record.get("attempted"), record.get("curated", "").partition("/")[2])

    def _is_time(self, seen: View, now: float) -> bool:
        """The first time, then after 30 s, after 60 s more, and so on up to ten minutes."""
        state, at, pause = self.said.get(seen.recipe.vertical, ("", 0.0, 0.0))
        if state == seen.state and now < at + pause:
            return False
        pause = min(2 * pause, SAY_AGAIN_AT_MOST_SECONDS) if state == seen.state else SAY_AGAIN_SECONDS
        self.said[seen.recipe.vertical] = (seen.state, now, pause)
        return True

    def _tell_once(self, line: str) -> None:
        """A drop that waits there is told of once, not every minute."""
        if self.fetched.get(line.partition(" is ")[0]) != line:
            self.fetched[line.partition(" is ")[0]] = line
            logging.getLogger("stillroom").info(line)

    def _complain(self, vertical: str, fault: str) -> None:
        if self.faults.get(vertical) != fault:
            self.faults[vertical] = fault
            logging.getLogger("stillroom").warning("inbox %s: %s", vertical, fault)


def _names(seen: View) -> list[str]:
    return sorted([*seen.inbox.drops, *seen.inbox.quarantined])


def clock() -> float:
    """Seconds since 1970, what a drop's times of change are compared with."""
    return time.time()


def emit(vertical: str, payload: dict[str, Any]) -> None:
    """The event, to the Prefect server that the environment names."""
    from prefect.events import emit_event  # half a second and 100 MB: only once there is something to say

    resource = {"prefect.resource.id": f"{RESOURCE}.{vertical}", "prefect.resource.name": f"inbox {vertical}"}
    emit_event(EVENT, resource=resource, payload=payload)
    sys.stderr.write(f"{vertical}: {', '.join(payload['drops'])} to be curated\n")


def watch(settings: Settings, scale: str = "local", looks: int = 0) -> None:
    """Look every few seconds, for ever or ``looks`` times."""
    watching = Watch(settings, scale, emit)
    done, fetched_at = 0, -FETCH_EVERY_SECONDS
    while not looks or done < looks:
        if time.monotonic() >= fetched_at + FETCH_EVERY_SECONDS:
            watching.fetch()
            fetched_at = time.monotonic()
        watching.look(time.monotonic())
        done += 1
        time.sleep(LOOK_EVERY_SECONDS)


if __name__ == "__main__":
    watch(Settings())
