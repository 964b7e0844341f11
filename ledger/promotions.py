"""Promotions: which build goes by a name such as ``production`` in its vertical, who said so, when and why.

The last promotion of a vertical and a name counts; to go back is to promote the earlier build again.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Row, Select, insert, select

from contracts.errors import LedgerError
from ledger.book import Ledger
from ledger.events import now, utc
from ledger.schema import build, promotion

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Promotion(BaseModel):
    """One row of the register."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vertical: str
    name: str
    build_id: str
    model: str = ""
    """The served model that is meant; empty: all that the build served."""
    promoted_by: str
    reason: str
    promoted_at: datetime

    @property
    def told(self) -> str:
        """In words: ``promoted to production by ann on 2026-07-01: passed review 12``."""
        what = f"{self.model} promoted" if self.model else "promoted"
        return f"{what} to {self.name} by {self.promoted_by} on {self.promoted_at:%Y-%m-%d %H:%M} UTC: {self.reason}"


def promote(
    ledger: Ledger, build_id: str, name: str, *, by: str, reason: str, model: str = "", at: datetime | None = None
) -> bool:
    """Give a build its vertical's name; False where it (and the same model of it) goes by that name already.

    Raises LedgerError for a build that the ledger does not know, a name that is none, or nobody's or baseless wish.
    """
    subject = f"promotion of build {build_id}"
    if not NAME.fullmatch(name):
        hint = "small letters, digits, dots and dashes, for example production"
        raise LedgerError(subject, "must have a name", got=name or "none", hint=hint)
    for what, value in (("who promotes", by), ("why", reason)):
        if not value.strip():
            raise LedgerError(subject, f"must say {what}", hint="the register keeps both, for whoever asks later")
    with ledger.writing() as connection:
        # The row lock on PostgreSQL keeps two promotions of one build apart; SQLite has one writer anyway.
        vertical = connection.execute(select(build.c.vertical).where(build.c.id == build_id).with_for_update()).scalar()
        if vertical is None:
            raise LedgerError(f"build {build_id}", "is not in the ledger", hint="`stillroom ledger --all` lists them")
        known = _last(connection, vertical, name)
        if known is not None and (known.build_id, known.model) == (build_id, model):
            return False
        row = {"vertical": vertical, "name": name, "build_id": build_id, "model": model}
        told = {"promoted_by": by.strip(), "reason": reason.strip(), "promoted_at": utc(at or now())}
        connection.execute(insert(promotion).values(**row, **told, recorded_at=now()))
    return True


def promoted(ledger: Ledger, vertical: str, name: str) -> Promotion | None:
    """The promotion that counts for a vertical and a name; None where there was never one."""
    with ledger.reading() as connection:
        return _last(connection, vertical, name)


def promotions(ledger: Ledger, vertical: str = "") -> list[Promotion]:
    """Every promotion, of one vertical or of all, newest first."""
    query = _rows()
    query = query.where(promotion.c.vertical == vertical) if vertical else query
    with ledger.reading() as connection:
        return [_promotion(row) for row in connection.execute(query)]


def _last(connection: Connection, vertical: str, name: str) -> Promotion | None:
    row = connection.execute(_rows().where(promotion.c.vertical == vertical, promotion.c.name == name)).first()
    return None if row is None else _promotion(row)


def _rows() -> Select[Any]:
    return select(*(promotion.c[name] for name in Promotion.model_fields)).order_by(promotion.c.id.desc())


def _promotion(row: Row[Any]) -> Promotion:
    return Promotion.model_validate(dict(row._mapping))
