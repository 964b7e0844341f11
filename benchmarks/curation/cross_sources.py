"""Near-duplicates over sources: what the further comparison costs, and what it finds of known copies.

    .venv/bin/python -m benchmarks.curation.cross_sources [--documents 20000 --sources 4 --sentences FOLDER]

A corpus with known copies is dealt out to sources. Each is compared within itself, then what stays of all with each
other, and beside that the whole corpus as one source: recall is over the planted copies, and what the two ways take
away is to be the same number of documents. CPU seconds of this process, one thread; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.curation.corpus import sentences, write_corpus
from data_curation.cross_sources import Compared, Printed, find_across, shingle_file
from data_curation.kernel import wanted
from data_curation.near_pairs import roots
from data_curation.prints import BATCH_DOCUMENTS, boilerplate_of, cluster, prints_of
from recipes.schema import Curation

CURATION = Curation(licences=())


def main() -> None:
    """Make the corpus, compare, print."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="sources-") as scratch, ExitStack() as files:
        write_corpus(Path(scratch, "corpus.parquet"), options.documents, sentences(options.sentences))
        rows = pq.read_table(Path(scratch, "corpus.parquet"))
        source = np.random.default_rng(7).integers(options.sources, size=len(rows))
        measured(rows.slice(0, 500), source[:500], Path(scratch), files)  # compiles
        for size in (len(rows) // 2, len(rows)):
            print(json.dumps(measured(rows.slice(0, size), source[:size], Path(scratch), files)))


def measured(rows: pa.Table, source: Any, scratch: Path, files: ExitStack) -> dict[str, Any]:
    """CPU seconds within sources and across, and how many known copies were joined with what they were made from."""
    texts = rows["text"].combine_chunks()
    start, printed, edges = time.process_time(), [], [np.zeros((0, 2), np.int64)]
    members = [np.flatnonzero(source == one) for one in range(int(source.max()) + 1)]
    for numbers in members:
        mine = texts.take(pa.array(numbers))
        how = Compared(boilerplate_of(mine, CURATION), False, "pretraining")
        batches = (mine.slice(at, BATCH_DOCUMENTS) for at in range(0, len(mine), BATCH_DOCUMENTS))
        prints = prints_of(batches, wanted(CURATION, common=how.common), shingle_file(scratch, files))
        firsts, pairs, _ = cluster(prints, CURATION.near_duplicate_jaccard)
        edges.append(numbers[pairs])
        nothing = np.zeros(len(numbers), np.uint64)
        stays = firsts == np.arange(len(numbers))
        printed.append(Printed(how, prints, np.arange(len(numbers)), stays, nothing, nothing.astype(np.bool_)))
    within = time.process_time() - start
    start = time.process_time()
    pairs, _ = find_across(printed, CURATION)
    across = time.process_time() - start
    edges.append(np.concatenate(members)[pairs])
    together = roots(len(rows), np.concatenate(edges))
    whole, _, _ = cluster(
        prints_of([texts], wanted(CURATION, common=boilerplate_of(texts, CURATION)), shingle_file(scratch, files)),
        CURATION.near_duplicate_jaccard,
    )
    return {
        "documents": len(rows), "sources": len(members), "within_cpu_s": round(within, 2),
        "across_cpu_s": round(across, 2), "across_cpu_us_a_document": round(1e6 * across / len(rows), 2),
        "removed": int((together != np.arange(len(rows))).sum()),
        "removed_as_one_source": int((whole != np.arange(len(rows))).sum()),
    } | _recall(rows, source, together)  # fmt: skip


def _recall(rows: pa.Table, source: Any, together: Any) -> dict[str, float]:
    """Of the copies that lie in another source than their original and are at least as alike as the threshold."""
    of = rows["copy_of"].to_numpy()
    alike = rows["jaccard"].to_numpy() >= CURATION.near_duplicate_jaccard
    found: dict[str, float] = {}
    for kind in ("exact", "edited"):
        planted = np.flatnonzero((np.array(rows["kind"].to_pylist()) == kind) & alike & (of >= 0))
        planted = planted[source[planted] != source[of[planted]]]
        found[f"{kind}_in_another_source"] = len(planted)
        found[f"{kind}_recall"] = round(float(np.mean(together[planted] == together[of[planted]])), 4)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--sources", type=int, default=4)
    parser.add_argument("--sentences", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
