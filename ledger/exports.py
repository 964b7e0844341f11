"""Rows as files: CSV, JSON, Parquet. Written aside and renamed, so that nobody reads half of one."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from contracts.artifacts import sync
from contracts.errors import LedgerError, PublishError

FORMATS = ("csv", "json", "parquet")
Cells = Sequence[Mapping[str, Any]]
"""Rows with the same keys in the same order."""


def as_csv(rows: Cells) -> str:
    """CSV with a header; None is an empty cell. Text that a spreadsheet would run as a formula gets a tick."""
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(cell) for name, cell in row.items()} for row in rows)
    return out.getvalue()


def as_json(rows: Cells) -> str:
    """A JSON list; decimals as numbers, moments as ISO 8601."""
    return json.dumps(list(rows), indent=1, ensure_ascii=False, default=_plain)


def write(rows: Cells, path: Path, form: str = "") -> None:
    """Write ``path`` in the form its ending names, or in ``form``. Raises LedgerError, PublishError."""
    kind = form or path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise LedgerError(
            str(path), "has an ending that is not known", got=path.suffix or "none", hint=", ".join(FORMATS)
        )
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "parquet":
            _write_parquet(rows, part)
        else:
            part.write_text(as_csv(rows) if kind == "csv" else as_json(rows) + "\n", encoding="utf-8")
        sync(part)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        hint = "free disk space, or give a folder that this user may write to"
        raise PublishError(str(path), "could not be written", got=error.strerror or str(error), hint=hint) from error


def _write_parquet(rows: Cells, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    arrays = {name: _column(cells) for name, cells in columns.items()}
    pq.write_table(pa.table(arrays), path)


def _column(cells: list[Any]) -> Any:
    """Money as decimal128(38, 12); a column of nothing but None as text, so that every file has one schema."""
    import pyarrow as pa

    if any(isinstance(cell, Decimal) for cell in cells):
        return pa.array(cells, pa.decimal128(38, 12))
    return pa.array(cells, pa.string()) if all(cell is None for cell in cells) else pa.array(cells)


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value.isoformat()
