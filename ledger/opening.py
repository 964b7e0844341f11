"""Opening a lease: numbered, asked of every budget and reserved in one transaction with the row itself."""

from __future__ import annotations

import dataclasses

from sqlalchemy import Connection, func, insert, select

from contracts.errors import BudgetError, LedgerError
from ledger.leases import Lease
from ledger.prices import know_device
from ledger.reservations import refuse_or_reserve
from ledger.schema import build
from ledger.schema import lease as lease_table


def insert_lease(connection: Connection, wanted: Lease, expected_micro_usd: int | None) -> Lease | BudgetError:
    """The lease as it was inserted, with its attempt; a budget's refusal is returned, so that it is committed.

    Needs a writing connection. Raises LedgerError for an unknown build, no device or no share of one.
    """
    if wanted.device_count < 0 or not 0 < wanted.share <= 1:
        got = f"{wanted.device_count} devices, a share of {wanted.share}"
        raise LedgerError(f"lease of {wanted.device}", "must be of devices, or a share of one", got=got)
    # The row lock numbers attempts one at a time on PostgreSQL; SQLite has one writer anyway.
    query = select(build).where(build.c.id == wanted.build_id).with_for_update()
    entered = connection.execute(query).mappings().first()
    if entered is None:
        raise LedgerError(f"build {wanted.build_id}", "is not in the ledger", hint="call start_build first")
    know_device(connection, wanted.device)
    same = [lease_table.c[name] == getattr(wanted, name) for name in ("build_id", "stage", "artifact_fingerprint")]
    before = connection.execute(select(func.count()).select_from(lease_table).where(*same)).scalar_one()
    lease = dataclasses.replace(wanted, attempt=before + 1)
    reserved = refuse_or_reserve(connection, dict(entered), lease, expected_micro_usd)
    if isinstance(reserved, BudgetError):
        return reserved
    connection.execute(insert(lease_table).values(**vars(lease)))
    reserved.insert(connection)
    return lease
