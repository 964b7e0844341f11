"""Dated prices: what a device-hour costs from when on. A correction is a new row that supersedes the old one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from sqlalchemy import Connection, insert, select

from contracts.errors import LedgerError
from ledger.amounts import micro_usd
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

    def cost(
        self, device_name: str, start: datetime, end: datetime, device_count: int = 1, share: Fraction = Fraction(1)
    ) -> int | None:
        """Micro-USD of holding ``device_count`` devices, or a share of each, over the span; split at price changes.

        None where any part of the span has no price: an unknown cost is never zero. Rounded once, half up.
        """
        rows = self._by_device.get(device_name, [])
        if not rows or rows[0].valid_from > start:
            return None
        numerator, denominator = 0, share.denominator * HOUR_MICROSECONDS
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            until = end if following is None else min(end, following.valid_from)
            held = max(0, (until - max(start, row.valid_from)) // MICROSECOND)
            numerator += held * row.micro_usd_per_device_hour * device_count * share.numerator
        return (2 * numerator + denominator) // (2 * denominator)


def device_kind(name: str) -> DeviceKind:
    """``cpu`` for ``cpu`` and ``cpu-...`` (any case); every other device is an accelerator, booked as ``gpu``."""
    return "cpu" if name.lower().split("-")[0].split(" ")[0] == "cpu" else "gpu"


def know_device(connection: Connection, name: str) -> None:
    """Add the device unless it is there."""
    if connection.execute(select(device.c.name).where(device.c.name == name)).first() is None:
        connection.execute(insert(device).values(name=name, kind=device_kind(name)))


def store_prices(
    connection: Connection, catalogue: Mapping[str, Sequence[PriceRow]], replaces: tuple[str, ...] | None = None
) -> int:
    """Add what is new; a different price for a known date supersedes it. Returns how many rows came.

    ``replaces``: only prices whose source begins so are superseded; a price that people booked then stands. Raises
    LedgerError where the catalogue itself names two prices for one moment.
    """
    added = 0
    for name, rows in catalogue.items():
        know_device(connection, name)
        told: dict[datetime, int] = {}
        for valid_from, usd_per_hour, source in rows:
            moment, amount = utc(valid_from), micro_usd(f"price of {name}", usd_per_hour)
            if told.setdefault(moment, amount) != amount:
                got = f"{told[moment] / 1e6:g} and {amount / 1e6:g} USD from {moment:%Y-%m-%d %H:%M} UTC"
                hint = "a price holds until the next one begins: give each its own moment"
                raise LedgerError(f"price of {name}", "is there twice, and differs", got=got, hint=hint)
            added += _store(connection, name, moment, amount, source, replaces)
    return added


def _store(
    connection: Connection, name: str, valid_from: datetime, amount: int, source: str, replaces: tuple[str, ...] | None
) -> int:
    known = next((row for row in _in_force(connection, name) if row.valid_from == valid_from), None)
    if known is not None and known.micro_usd_per_device_hour == amount:
        return 0
    if known is not None and replaces is not None and not known.source.startswith(replaces):
        return 0
    values = {
        "device": name,
        "micro_usd_per_device_hour": amount,
        "valid_from": valid_from,
        "source": source,
        "supersedes": None if known is None else known.id,
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
