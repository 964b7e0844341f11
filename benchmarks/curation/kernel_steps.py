"""What each part of the kernel costs, beside the floor: reading the same bytes once, and decoding them from Parquet.

    .venv/bin/python -m benchmarks.curation.kernel_steps [--documents 20000] [--sentences FOLDER] [--runs 7]

One thread; CPU microseconds a document, medians. A part's cost is what the pass takes with it less what it takes
without. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.curation.corpus import sentences, write_corpus
from data_curation.kernel import Wanted, buffers_of, ngrams_of, scan
from data_curation.ngram_table import ngram_table
from data_curation.prints import BATCH_DOCUMENTS

NOTHING = Wanted(shingle_words=0, bands=0, figures=False)
ITEMS = 5_000


def main() -> None:
    """Measure, print, one JSON line last."""
    told = _arguments()
    with tempfile.TemporaryDirectory(prefix="kernel-steps-") as scratch:
        corpus = Path(scratch) / "corpus.parquet"
        pool = sentences(told.sentences)
        half = len(pool) // 2
        write_corpus(corpus, told.documents, pool[half:])
        batches = list(_read(corpus))
        characters = sum(len(buffers_of(batch)[0]) for batch in batches) / told.documents
        items = [" ".join(pool[n : n + 2]) for n in range(0, min(2 * ITEMS, half), 2)]
        grams = np.unique(np.concatenate([ngrams_of(item, 8) for item in items]))
        cost = partial(_cost, runs=told.runs, documents=told.documents)
        base = cost(lambda: _pass(batches, NOTHING))
        shingles = cost(lambda: _pass(batches, Wanted(bands=0, figures=False)))
        result = {
            "documents": told.documents,
            "bytes_a_document": round(characters),
            "us_a_document": {
                "floor: bytes read once": cost(lambda: [buffers_of(batch)[0].sum() for batch in batches]),
                "Parquet decoded": cost(lambda: list(_read(corpus))),
                "folded, words hashed, content hash": base,
                "shingles": shingles - base,
                "band keys": cost(lambda: _pass(batches, Wanted(figures=False))) - shingles,
                "hash of the figures": cost(lambda: _pass(batches, Wanted(shingle_words=0, bands=0))) - base,
                f"n-grams against {len(grams):,}": cost(lambda: _pass(batches, _looking(grams))) - base,
                "counts for quality rules": cost(lambda: _pass(batches, _counting())) - base,
            },
        }
    result["us_a_document"] = {name: round(value, 2) for name, value in result["us_a_document"].items()}
    for name, value in result["us_a_document"].items():
        print(f"{value:8.2f}  {name}", file=sys.stderr)
    print(json.dumps(result))


def _looking(grams: np.ndarray) -> Wanted:
    return Wanted(shingle_words=0, bands=0, figures=False, ngrams=ngram_table(grams, (8, 13)))


def _counting() -> Wanted:
    return Wanted(shingle_words=0, bands=0, figures=False, statistics=True)


def _pass(batches: list[pa.Array], what: Wanted) -> None:
    for batch in batches:
        scan(batch, what)


def _read(corpus: Path) -> list[pa.Array]:
    with pq.ParquetFile(corpus, pre_buffer=False, buffer_size=1 << 20) as file:
        batches = file.iter_batches(BATCH_DOCUMENTS, columns=["text"], use_threads=False)
        return [pa.concat_arrays([batch.column(0)]) for batch in batches]


def _cost(work: Callable[[], object], runs: int, documents: int) -> float:
    """CPU microseconds a document, after one run that is not counted."""
    taken = []
    for _ in range(runs + 1):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:]) / documents * 1e6


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--sentences", type=Path, help="folder of jsonl files with English prose; the house's own else")
    parser.add_argument("--runs", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
