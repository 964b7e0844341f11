"""A ledger opened to be read, by whoever may only look at it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ledger.book import Ledger
from ledger.database import open_read_only
from ledger.spool import Spool

BUSY_SECONDS = 10.0


def open_for_reading(url: str) -> Ledger:
    """The ledger as it lies there; what is asked to be booked is refused by the database.

    Nothing is created, migrated, replayed from a spool or reconciled. Raises LedgerError, also for a ledger of an
    earlier schema.
    """
    nowhere = Path(tempfile.gettempdir()) / "stillroom-reads-only"  # a reader books nothing that could wait
    return Ledger(open_read_only(url, BUSY_SECONDS), Spool(nowhere))
