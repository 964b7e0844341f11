"""The token artifact's files: parquet with one sequence a row, read without a cache folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from contracts.artifacts import Artifact
from contracts.errors import InputError

SFT_TRAIN = "sft_train.parquet"
SFT_EVAL = "sft_eval.parquet"
CPT = "cpt.parquet"
HELD_OUT = "held_out.parquet"
IDS = pa.list_(pa.int32())
SFT_SCHEMA = pa.schema({"id": pa.string(), "task": pa.string(), "source": pa.string(), "input_ids": IDS, "labels": IDS})
"""``labels`` are the ids to learn, -100 elsewhere, not shifted."""
TEXT_SCHEMA = pa.schema(
    {"id": pa.string(), "source": pa.string(), "replay": pa.bool_(), "utf8_bytes": pa.int64(), "input_ids": IDS}
)
"""``replay`` marks general text, kept against forgetting."""


def write_rows(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as one parquet file; no rows give a file with none."""
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")


def read_dataset(artifact: Artifact, name: str, columns: list[str] | None = None) -> Dataset:
    """A file of the artifact as a data set. Raises InputError where it is missing or holds no rows."""
    table = pq.read_table(artifact.file(name), columns=columns)
    if table.num_rows == 0:
        raise InputError(
            str(artifact.path / name), "holds no sequences", hint="see the curation card for what was rejected"
        )
    return Dataset(table)
