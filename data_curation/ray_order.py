"""What ``ray_runner`` and ``ray_driver`` say to each other: JSON, one object a line."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

DONE = "@done"
"""The driver's answer to an order, on a line of its own; Ray and Daft may write other lines."""


class Session(BaseModel):
    """Which Ray. No address: one of the driver's own, with so many workers (0: the processors)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    workers: int
    parent_pid: int


class Order(BaseModel):
    """Find the clusters of one source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: Path
    """A folder that every worker can read, with ``*.parquet`` (row, text, entity, heldout) and ``common.npy``."""
    result: Path
    """An ``.npz`` with words, copies, edges and likeness."""
    documents: int
    shingle_words: int
    bands: int
    rows: int
    jaccard: float
    tell_apart: bool
    """Whether figures tell documents apart (``near_pairs.Facts``)."""
    batch_documents: int
    """Scanned at a time."""
    part_documents: int
    """Compared at a time; more where more share keys with each other."""
