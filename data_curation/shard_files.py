"""Shards of a curated corpus, read again: its accepted documents as they were written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data_curation.dataset import COLUMNS, FOLDER

PARTS = tuple(f"{use}-{split}" for use in ("pretraining", "replay", "tasks") for split in ("train", "heldout"))


def shards_of(corpus: Path, part: str) -> ds.Dataset:
    """The shards of a part, e.g. ``pretraining-train`` or ``*-train``; one without rows where there are none."""
    files = files_of(corpus, part)
    return ds.dataset(files or COLUMNS.empty_table())


def files_of(corpus: Path, part: str) -> list[Path]:
    """Their paths, in order."""
    return sorted((corpus / FOLDER / "data").glob(f"{part}-*.parquet"))


def named_entities(batch: pa.RecordBatch) -> Sequence[str]:
    """The entity that each document names; empty where it stands for itself, or for the whole that it is a part of."""
    whole = pc.replace_substring_regex(batch["id"], "@[0-9]+$", "")
    named: list[str] = pc.if_else(pc.equal(batch["entity"], whole), "", batch["entity"]).to_pylist()
    return named
