"""Shards of a curated corpus, read again: its accepted documents as they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data_curation.dataset import FOLDER, ROW_GROUP

PARTS = tuple(f"{use}-{split}" for use in ("pretraining", "replay", "tasks") for split in ("train", "heldout"))
READING = ds.ParquetFragmentScanOptions(pre_buffer=False)


def batches_of(
    corpus: Path, part: str, columns: list[str] | None = None, chosen: pc.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    """The documents in the shards of a part, e.g. ``pretraining-train`` or ``*-train``, in their order.

    A group of rows ahead is read: left to itself, Arrow would hold so many as make sixteen batches of its own size, and
    four whole shards.
    """
    files = files_of(corpus, part)
    if files:
        yield from ds.dataset(files).to_batches(
            columns=columns,
            filter=chosen,
            use_threads=False,
            batch_size=ROW_GROUP,
            batch_readahead=1,
            fragment_readahead=1,
            fragment_scan_options=READING,
        )


def files_of(corpus: Path, part: str) -> list[Path]:
    """Their paths, in order."""
    return sorted((corpus / FOLDER / "data").glob(f"{part}-*.parquet"))


def named_entities(batch: pa.RecordBatch) -> Sequence[str]:
    """The entity that each document names; empty where it stands for itself, or for the whole that it is a part of."""
    whole = pc.replace_substring_regex(batch["id"], "@[0-9]+$", "")
    named: list[str] = pc.if_else(pc.equal(batch["entity"], whole), "", batch["entity"]).to_pylist()
    return named
