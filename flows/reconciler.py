"""The reconciler as a loop beside the worker, and once by command; ``python -m flows.reconciler`` is the loop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time

from contracts.errors import StillroomError
from flows.priced_ledger import open_ledger
from flows.settings import Settings
from ledger import Ledger
from ledger.processes import alive, start_ticks
from ledger.reconcile import Reconciled

EVERY_SECONDS = 60.0
PATIENCE_SECONDS = 10.0
logger = logging.getLogger("stillroom.reconciler")


def reconcile_once(settings: Settings, *, end_orphans: bool = False) -> list[Reconciled]:
    """Look at every open lease; with ``end_orphans`` end what holds a device without a supervisor, and book it."""
    return _reconciled(open_ledger(settings), settings.lease_ttl_seconds, end_orphans)


def _reconciled(ledger: Ledger, ttl_seconds: float, end_orphans: bool) -> list[Reconciled]:
    found = ledger.reconcile(ttl_seconds=ttl_seconds)
    orphans = [one.pid for one in found if one.outcome == "orphan" and one.pid is not None]
    if not end_orphans or not orphans:
        return found
    for pid in orphans:
        _end(pid)
    return [one for one in found if one.outcome == "ended"] + ledger.reconcile(ttl_seconds=ttl_seconds)


def watch(settings: Settings, every_seconds: float, *, end_orphans: bool = False) -> None:
    """Reconcile for ever. A ledger that cannot be reached is tried again: what is open stays open until then."""
    ledger: Ledger | None = None
    while True:
        try:
            ledger = ledger or open_ledger(settings)
            for one in _reconciled(ledger, settings.lease_ttl_seconds, end_orphans):
                logger.warning("%s", one)
        except (StillroomError, OSError) as error:
            logger.warning("not reconciled: %s", error)
        time.sleep(every_seconds)


def _end(pid: int) -> None:
    """SIGTERM, and SIGKILL to what has not gone after ten seconds; a reused pid is left alone."""
    started = start_ticks(pid)
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        if started is None or not alive(pid, started):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, wanted)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while alive(pid, started) and time.monotonic() < deadline:
            time.sleep(0.05)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s")
    watch(Settings(), EVERY_SECONDS)
