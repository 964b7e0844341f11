"""Providers' invoices: read from CSV or JSON, kept line by line, compared with the hours that were booked.

An invoice never enters a sum. Where it differs from the ledger, the difference can be booked as an adjustment, split
over the verticals and teams that held the device, in proportion to what they were booked.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert, select

from contracts.errors import LedgerError
from ledger.amounts import micro_usd
from ledger.book import Ledger
from ledger.events import now
from ledger.moments import moment
from ledger.schema_money import provider_charge

REQUIRED = ("invoice", "line", "device", "period_start", "period_end", "amount", "currency")
OPTIONAL = ("device_hours", "description")


class InvoiceLine(BaseModel):
    """One line of an invoice; ``device_hours`` where the provider tells them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    invoice: str
    line: str
    device: str
    period_start: datetime
    period_end: datetime
    device_hours: float | None
    micro_usd: int
    description: str
    source_sha256: str


def read_invoice(path: Path, provider: str) -> list[InvoiceLine]:
    """The lines of a CSV file with a header, or of a JSON list of objects. Raises LedgerError, naming file and line."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise LedgerError(str(path), "cannot be read", got=said, hint="give a CSV or JSON file") from error
    if not provider.strip():
        raise LedgerError(str(path), "is nobody's invoice", hint="name the provider")
    digest = hashlib.sha256(raw).hexdigest()
    rows = _json_rows(path, text) if path.suffix.lower() == ".json" else list(csv.DictReader(io.StringIO(text)))
    if not rows:
        raise LedgerError(str(path), "holds no line", hint=f"its columns: {', '.join(REQUIRED + OPTIONAL)}")
    lines = [_line(f"{path.name}: line {number}", row, provider, digest) for number, row in enumerate(rows, start=1)]
    seen: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, start=1):
        first = seen.setdefault((line.invoice, line.line), number)
        if first != number:
            raise LedgerError(f"{path.name}: line {number}", "is there twice", got=f"the same as line {first}")
    return lines


def import_invoice(ledger: Ledger, lines: Sequence[InvoiceLine]) -> int:
    """Keep the lines that are new; returns how many. Raises LedgerError where a known line says something else."""
    added = 0
    with ledger.writing() as connection:
        for line in lines:
            same = [provider_charge.c[name] == getattr(line, name) for name in ("provider", "invoice", "line")]
            known = connection.execute(select(provider_charge).where(*same)).mappings().first()
            row = line.model_dump()
            if known is None:
                connection.execute(insert(provider_charge).values(**row, recorded_at=now()))
                added += 1
                continue
            told = [name for name in ("device", "period_start", "period_end", "micro_usd") if known[name] != row[name]]
            if told:
                hint = "an invoice is not changed: give a credit note as a line of its own"
                got = ", ".join(f"{name} {row[name]} instead of {known[name]}" for name in told)
                raise LedgerError(
                    f"invoice {line.invoice}, line {line.line}", "says something else now", got=got, hint=hint
                )
    return added


def _json_rows(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise LedgerError(str(path), "is not JSON", got=str(error)) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LedgerError(str(path), "must be a list of objects", got=type(rows).__name__)
    return rows


def _line(subject: str, row: Mapping[str, Any], provider: str, digest: str) -> InvoiceLine:
    for name in row:
        if name not in REQUIRED + OPTIONAL:
            near = difflib.get_close_matches(str(name), REQUIRED + OPTIONAL, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(REQUIRED + OPTIONAL)}"
            raise LedgerError(subject, "has a column that is not known", got=name, hint=hint)
    told = {name: str(value).strip() for name, value in row.items() if value is not None}
    for name in REQUIRED:
        if not told.get(name):
            raise LedgerError(subject, f"lacks {name}", hint=f"every line needs {', '.join(REQUIRED)}")
    start, end = (
        moment(f"{subject}: period_start", told["period_start"]),
        moment(f"{subject}: period_end", told["period_end"]),
    )
    if end <= start:
        raise LedgerError(subject, "must end after it begins", got=f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}")
    return InvoiceLine(
        provider=provider,
        invoice=told["invoice"],
        line=told["line"],
        device=told["device"],
        period_start=start,
        period_end=end,
        device_hours=_hours(f"{subject}: device_hours", told.get("device_hours", "")),
        micro_usd=micro_usd(f"{subject}: amount", told["amount"], told["currency"], signed=True, tiny=True),
        description=told.get("description", ""),
        source_sha256=digest,
    )


def _hours(subject: str, text: str) -> float | None:
    if not text:
        return None
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours < 1e9:
        raise LedgerError(subject, "must be hours, zero or more", got=text)
    return hours
