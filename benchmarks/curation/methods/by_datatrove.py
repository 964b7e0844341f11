"""datatrove's minhash pipeline, one local worker a stage: python by_datatrove.py CORPUS.parquet REMOVED.npy."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig

CONFIG = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64))


def main() -> None:
    """Signatures, buckets, clusters, filter; the removed rows are those that the filter leaves out."""
    corpus, total = Path(sys.argv[1]), pq.ParquetFile(sys.argv[1]).metadata.num_rows
    with tempfile.TemporaryDirectory(prefix="datatrove-") as scratch:
        place = Path(scratch)
        reader = ParquetReader(str(corpus.parent), glob_pattern=corpus.name, text_key="text", id_key="none")
        removed = JsonlWriter(str(place / "removed"), compression=None)
        stages = [
            ([reader, MinhashDedupSignature(str(place / "signatures"), CONFIG)], 1),
            ([MinhashDedupBuckets(str(place / "signatures"), str(place / "buckets"), config=CONFIG)], 14),
            ([MinhashDedupCluster(str(place / "buckets"), str(place / "ids"), config=CONFIG)], 1),
            ([reader, MinhashDedupFilter(str(place / "ids"), exclusion_writer=removed)], 1),
        ]
        for number, (pipeline, tasks) in enumerate(stages):
            logs = str(place / "logs" / str(number))
            LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
        gone = np.zeros(total, bool)
        for file in sorted((place / "ids").rglob("*.remove")):
            gone[np.fromfile(file, np.uint32)] = True
    np.save(sys.argv[2], gone)


main()
