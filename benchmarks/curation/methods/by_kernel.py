"""The house's kernel: python by_kernel.py CORPUS.parquet REMOVED.npy [workers]. Writes which rows are removed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[3]))

from data_curation.kernel import Wanted
from data_curation.prints import BATCH_DOCUMENTS, cluster, prints_of

BANDS, ROWS, SIZE, ALIKE = 14, 8, 5, 0.8


def main() -> None:
    """One pass over the texts, then sort, verify and join."""
    corpus, removed, workers = sys.argv[1], sys.argv[2], int((*sys.argv, "1")[3])
    with tempfile.TemporaryFile(prefix="shingles-", dir=Path(removed).parent) as file:
        prints = prints_of(
            texts_of_file(corpus), Wanted(SIZE, BANDS, ROWS, figures=False), cast(BinaryIO, file), workers
        )
        firsts, _, _ = cluster(prints, ALIKE)
    np.save(removed, firsts != np.arange(len(firsts)))


def texts_of_file(corpus: str) -> Iterator[pa.Array]:
    """The column of texts, a batch at a time."""
    with pq.ParquetFile(corpus, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(BATCH_DOCUMENTS, columns=["text"], use_threads=False):
            yield batch.column(0)


if __name__ == "__main__":
    main()
