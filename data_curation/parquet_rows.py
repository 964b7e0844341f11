"""Parquet to rows, a batch at a time. A row's bytes are those of its row group; ``part`` counts the row in the file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_curation.decoding import LINE_LIMIT_BYTES
from data_curation.lineage import Row, placed
from data_curation.opening import RATIO_FLOOR_BYTES, RATIO_LIMIT
from data_curation.quarantine import Quarantine

BATCH_BYTES = 32 << 20
BATCH_ROWS = 1_024
BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError)


def parquet_rows(stream: io.FileIO, shown: str, quarantine: Quarantine) -> Iterator[Row]:
    """One row a record; times and decimals as text, binary columns left out and named.

    Texts stay dictionaries until their row is made: a file of 1 kB may hold one text of 10 MB a million times.
    """
    size = stream.seek(0, 2)
    if not size:
        quarantine(shown, 0, "is empty", 0, 0)
        return
    try:
        file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20, read_dictionary=_texts(stream))
        names = _readable(file.schema_arrow, shown, quarantine)
    except BROKEN as error:
        quarantine(shown, 0, f"broken Parquet: {_line(error)}", 0, size)
        return
    number = decoded = 0
    for group in range(file.num_row_groups):
        start, end = _span(file.metadata.row_group(group))
        rows = file.metadata.row_group(group).num_rows
        try:
            for batch in file.iter_batches(_batch_rows(file, group), [group], names, use_threads=False):
                for fields, weight in _rows(batch):
                    number += 1
                    decoded += weight
                    if decoded > max(RATIO_FLOOR_BYTES, RATIO_LIMIT * size):
                        reason = f"unpacks to more than {RATIO_LIMIT} times its size (a bomb)"
                        quarantine(shown, number, reason, start, size)
                        return
                    if weight > LINE_LIMIT_BYTES:
                        quarantine(shown, number, f"row over {LINE_LIMIT_BYTES >> 20} MiB", start, end)
                    else:
                        yield placed(fields, shown, start, end, f"row {number - 1}")
                    rows -= 1
        except BROKEN as error:
            quarantine(shown, number + 1, f"broken Parquet: {_line(error)}, {rows} rows lost", start, end)
            number += rows


def _texts(stream: io.FileIO) -> list[str]:
    """Paths of the text columns, nested ones as well."""
    schema = pq.ParquetFile(stream).schema
    columns = [schema.column(place) for place in range(len(schema))]
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _readable(schema: Any, shown: str, quarantine: Quarantine) -> list[str]:
    names = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            quarantine(shown, 0, f"column {field.name!r} holds bytes, not text: left out")
        else:
            names.append(field.name)
    return names


def _batch_rows(file: Any, group: int) -> int:
    """Rows that weigh about ``BATCH_BYTES``, by the row group's own word."""
    meta = file.metadata.row_group(group)
    average = max(1, meta.total_byte_size // max(1, meta.num_rows))
    return int(min(BATCH_ROWS, max(1, BATCH_BYTES // average)))


def _span(group: Any) -> tuple[int, int]:
    """The first and last byte of a row group's columns."""
    starts, ends = [], []
    for place in range(group.num_columns):
        column = group.column(place)
        start = min(one for one in (column.dictionary_page_offset, column.data_page_offset) if one is not None)
        starts.append(start)
        ends.append(start + column.total_compressed_size)
    return (max(0, min(starts)), max(0, *ends)) if starts else (0, 0)


def _rows(batch: Any) -> Iterator[tuple[dict[str, Any], int]]:
    """The rows of a batch with the bytes of their texts, few at a time where texts are long."""
    weights = [0] * batch.num_rows
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        columns.append((name, _as_text(column)))
        for place, length in enumerate(_lengths(column)):
            weights[place] += length or 0
    step = 64
    for start in range(0, batch.num_rows, step):
        heavy = sum(weights[start : start + step]) > BATCH_BYTES
        for few in range(start, min(start + step, batch.num_rows), 1 if heavy else step):
            count = 1 if heavy else min(step, batch.num_rows - start)
            values = [(name, column.slice(few, count).to_pylist()) for name, column in columns]
            for place in range(count):
                yield {name: listed[place] for name, listed in values}, weights[few + place]


def _lengths(column: Any) -> list[int | None]:
    kind = column.type
    if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
        lengths: list[int | None] = pc.take(pc.binary_length(column.dictionary), column.indices).to_pylist()
    elif _is_text(kind):
        lengths = pc.binary_length(column).to_pylist()
    else:
        lengths = [column.nbytes // max(1, len(column))] * len(column)
    return lengths


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _as_text(column: Any) -> Any:
    """Dates, times and decimals as text: what a row of JSON would hold."""
    kind = column.type
    return column.cast(pa.string()) if pa.types.is_temporal(kind) or pa.types.is_decimal(kind) else column


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
