"""The kinds of columns that the ledger's tables are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Integer, String, TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps it as sortable text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a time without a zone is refused before it comes here (``events.utc``)."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """SQLite gives back a time without its zone."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def number() -> Column[int]:
    """The row's own number."""
    return Column("id", Integer, primary_key=True)


def key() -> Column[str]:
    """What makes the same row twice one."""
    return Column("idempotency_key", String, nullable=False, unique=True)


def word(name: str) -> Column[str]:
    """A text that must be told."""
    return Column(name, String, nullable=False)


def text(name: str) -> Column[str]:
    """A text that may be empty."""
    return Column(name, String, nullable=False, server_default="")


def moment(name: str) -> Column[datetime]:
    """A time that must be told."""
    return Column(name, UtcTime, nullable=False)


def micro_usd(name: str = "micro_usd") -> Column[int]:
    """An amount that must be told."""
    return Column(name, BigInteger, nullable=False)
