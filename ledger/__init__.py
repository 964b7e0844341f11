"""The ledger: every device-second of every build, booked before it is spent, by inserts only.

    ledger = Ledger.open("sqlite:////srv/stillroom/ledger.db")
    ledger.start_build(build_id, "finance", "local", recipe_fingerprint)
    lease = ledger.hold(build_id, "sft", fingerprint, "cpu")       # on disk before the child starts
    with Heartbeat(ledger, lease.id):
        ...                                                        # start the child, attach_child, wait
    ledger.close(lease.id, exit_code, usage)

The kinds of events are listed in ``ledger.events``; terminal tables are in ``ledger.tables``.
"""

from ledger.book import Ledger
from ledger.events import Written
from ledger.heartbeat import Heartbeat
from ledger.leases import Lease, Span
from ledger.prices import device_kind
from ledger.reconcile import Reconciled
from ledger.report import (
    BuildTotals,
    EstimateLine,
    StageLine,
    build_lines,
    build_totals,
    csv_text,
    estimate_lines,
    json_rows,
    list_builds,
)

__all__ = [
    "BuildTotals",
    "EstimateLine",
    "Heartbeat",
    "Lease",
    "Ledger",
    "Reconciled",
    "Span",
    "StageLine",
    "Written",
    "build_lines",
    "build_totals",
    "csv_text",
    "device_kind",
    "estimate_lines",
    "json_rows",
    "list_builds",
]
