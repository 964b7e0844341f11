"""Daft's own minhash, native runner: python by_daft.py CORPUS.parquet REMOVED.npy."""

from __future__ import annotations

import os
import sys

os.environ.update(DAFT_RUNNER="native", DO_NOT_TRACK="true", DAFT_ANALYTICS_ENABLED="0", DAFT_PROGRESS_BAR="0")

import daft
import numpy as np
from daft import col

BANDS, ROWS, SIZE = 14, 8, 5


def main() -> None:
    """Minhash and grouping of band keys in Daft; groups of candidates are joined here."""
    frame = (
        daft.read_parquet(sys.argv[1]).select("text").with_column("row", daft.functions.monotonically_increasing_id())
    )
    frame = frame.with_column("text", col("text").normalize(remove_punct=True, lowercase=True, white_space=True))
    frame = frame.select("row", col("text").minhash(num_hashes=BANDS * ROWS, ngram_size=SIZE, seed=1).alias("sketch"))
    frame = frame.with_column("band", col("sketch").chunk(ROWS)).select("row", "band").explode("band")
    frame = frame.with_column("key", col("band").hash()).groupby("key").agg(col("row").list_agg().alias("rows"))
    rows = frame.where(col("rows").list_count() > 1).to_pydict()["rows"]
    total = daft.read_parquet(sys.argv[1]).count_rows()
    parent = list(range(total))
    for group in rows:
        for one in group[1:]:
            low, high = sorted((root(parent, group[0]), root(parent, one)))
            parent[high] = low
    np.save(sys.argv[2], np.array([root(parent, one) != one for one in range(total)]))


def root(parent: list[int], one: int) -> int:
    """The first row of a row's group."""
    while parent[one] != one:
        parent[one] = parent[parent[one]]
        one = parent[one]
    return one


main()
