"""The heartbeat: a thread of the supervisor that beats for a lease and never harms the run it watches."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from contracts.errors import LedgerError
from ledger.book import Ledger

logger = logging.getLogger(__name__)


class Heartbeat:
    """``with Heartbeat(ledger, lease.id):`` beats each ``every_seconds`` until the block ends.

    ``spooled`` and ``missed`` count the beats that went to the spool and those that could not be kept at all.
    """

    def __init__(self, ledger: Ledger, lease_id: str, every_seconds: float = 15.0) -> None:
        self._ledger, self._lease_id, self._every_seconds = ledger, lease_id, every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{lease_id[:8]}", daemon=True)
        self.spooled = self.missed = 0

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_seconds):
            try:
                self.spooled += self._ledger.beat(self._lease_id) == "spooled"
            except (LedgerError, OSError) as error:
                # A paid run is not killed for a beat; the next one says the same and more.
                self.missed += 1
                logger.warning("beat missed: %s", error)
