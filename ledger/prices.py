"""Dated prices: what a device-hour costs from when on. A correction is a new row that supersedes the old one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Literal

from sqlalchemy import Connection, insert, select

from contracts.errors import LedgerError
from ledger.events import now, utc
from ledger.schema import device, price

MICROSECOND = timedelta(microseconds=1)
HOUR_MICROSECONDS = 3_600_000_000
DeviceKind = Literal["cpu", "gpu"]
PriceRow = tuple[datetime, Decimal | float | str, str]
"""``(valid from, USD per device-hour, source)``."""


@dataclass(frozen=True)
class Price:
    """One price in force from ``valid_from`` until the next one of its device."""

    device: str
    micro_usd_per_device_hour: int
    valid_from: datetime
    source: str


class Prices:
    """The prices in force, corrections applied."""

    def __init__(self, rows: Iterable[Price]) -> None:
        self._by_device: dict[str, list[Price]] = {}
        for row in sorted(rows, key=lambda one: one.valid_from):
            self._by_device.setdefault(row.device, []).append(row)

    def cost(self, device_name: str, start: datetime, end: datetime, device_count: int = 1) -> int | None:
        """Micro-USD of holding ``device_count`` devices over the span, split where the price changes.

        None where any part of the span has no price: an unknown cost is never zero. Rounded once, half up.
        """
        rows = self._by_device.get(device_name, [])
        if not rows or rows[0].valid_from > start:
            return None
        numerator = 0
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            until = end if following is None else min(end, following.valid_from)
            held = max(0, (until - max(start, row.valid_from)) // MICROSECOND)
            numerator += held * row.micro_usd_per_device_hour * device_count
        return (2 * numerator + HOUR_MICROSECONDS) // (2 * HOUR_MICROSECONDS)


def device_kind(name: str) -> DeviceKind:
    """``cpu`` for ``cpu`` and ``cpu-...`` (any case); every other device is an accelerator, booked as ``gpu``."""
    return "cpu" if name.lower().split("-")[0].split(" ")[0] == "cpu" else "gpu"


def know_device(connection: Connection, name: str) -> None:
    """Add the device unless it is there."""
    if connection.execute(select(device.c.name).where(device.c.name == name)).first() is None:
        connection.execute(insert(device).values(name=name, kind=device_kind(name)))


def store_prices(connection: Connection, catalogue: Mapping[str, Sequence[PriceRow]]) -> int:
    """Add what is new in the catalogue; a different price for a known date supersedes. Returns how many rows came."""
    added = 0
    for name, rows in catalogue.items():
        know_device(connection, name)
        for valid_from, usd_per_hour, source in rows:
            added += _store(connection, name, utc(valid_from), micro_usd(name, usd_per_hour), source)
    return added


def micro_usd(subject: str, usd: Decimal | float | str) -> int:
    """USD to integer micro-USD. Raises LedgerError for what is no amount, is negative, or is not finite."""
    try:
        amount = Decimal(str(usd))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise LedgerError(f"price of {subject}", "must be an amount of USD, zero or more", got=usd)
    return round(amount * 1_000_000)


def _store(connection: Connection, name: str, valid_from: datetime, amount: int, source: str) -> int:
    known = [row for row in _in_force(connection, name) if row.valid_from == valid_from]
    if known and known[0].micro_usd_per_device_hour == amount:
        return 0
    values = {
        "device": name,
        "micro_usd_per_device_hour": amount,
        "valid_from": valid_from,
        "source": source,
        "supersedes": known[0].id if known else None,
        "recorded_at": now(),
    }
    connection.execute(insert(price).values(values))
    return 1


@dataclass(frozen=True)
class _StoredPrice(Price):
    id: int


def _in_force(connection: Connection, name: str | None = None) -> list[_StoredPrice]:
    replaced = select(price.c.supersedes).where(price.c.supersedes.is_not(None))
    columns = (price.c.id, price.c.device, price.c.micro_usd_per_device_hour, price.c.valid_from, price.c.source)
    query = select(*columns).where(price.c.id.not_in(replaced))
    if name is not None:
        query = query.where(price.c.device == name)
    return [_StoredPrice(**dict(row._mapping)) for row in connection.execute(query)]


def read_prices(connection: Connection) -> Prices:
    """All prices in force."""
    return Prices(_in_force(connection))
