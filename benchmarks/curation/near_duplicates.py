"""Near-duplicate removal by the house's kernel and by its peers, on one corpus with known copies.

    benchmarks/curation/environments.sh
    .venv/bin/python -m benchmarks.curation.near_duplicates --documents 200000 --sentences FOLDER [--runs 5] \\
        [--methods kernel daft datatrove datasketch rensa] [--workers 2] [--scratch FOLDER]

Several --documents show how the cost grows. Every run is a process of its own, measured whole: start-up, Parquet,
verification. The kernel's loops are compiled before the first run, as they are once on every machine. Medians; the last
line is JSON. A copy counts as found where it and its original are not both kept; a removal as right where another
document of the same family is kept. Who is a copy of what comes from the corpus, not from a method.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.curation.corpus import sentences, write_corpus
from benchmarks.curation.measured import Taken, run

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
METHODS = ("kernel", "daft", "datatrove", "datasketch", "rensa")
ALIKE = 0.8
"""The Jaccard similarity from which a pair is to be found; MinHash alone also proposes some below it."""
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


class Truth(NamedTuple):
    """Columns of ``corpus.SCHEMA``."""

    copy_of: NDArray[np.int64]
    kind: NDArray[Any]
    jaccard: NDArray[np.float64]


def main() -> None:
    """Make the corpora, run the methods in turn, print a line each and the JSON."""
    told = _arguments()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="near-duplicates-", dir=told.scratch) as scratch:
        pool = sentences(told.sentences)
        print(f"{len(pool):,} distinct sentences", file=sys.stderr)
        for documents in told.documents:
            corpus = Path(scratch) / f"{documents}.parquet"
            write_corpus(corpus, documents, pool)
            results += _compare(corpus, documents, told)
            corpus.unlink()
    print(json.dumps({"runs": told.runs, "workers": told.workers, "results": results}))


def _compare(corpus: Path, documents: int, told: argparse.Namespace) -> list[dict[str, Any]]:
    truth = Truth(*(pq.read_table(corpus, columns=[name])[name].to_numpy() for name in Truth._fields))
    removed = corpus.with_suffix(".npy")
    taken: dict[str, list[Taken]] = {method: [] for method in told.methods}
    found: dict[str, dict[str, float]] = {}
    if "kernel" in told.methods:
        run(_command("kernel", corpus, removed, told.workers), None, **QUIET)
    for _ in range(told.runs):
        for method in told.methods:
            taken[method].append(run(_command(method, corpus, removed, told.workers), None, **QUIET))
            found[method] = scores(np.load(removed), truth)
    return [_result(method, documents, taken[method], found[method]) for method in told.methods]


def _result(method: str, documents: int, taken: list[Taken], found: dict[str, float]) -> dict[str, Any]:
    cpu = [one.cpu_seconds for one in taken]
    result = {
        "method": method,
        "documents": documents,
        "cpu_us_a_document": round(statistics.median(cpu) / documents * 1e6, 2),
        "cpu_seconds": round(statistics.median(cpu), 3),
        "cpu_seconds_least_most": [round(min(cpu), 3), round(max(cpu), 3)],
        "wall_seconds": round(statistics.median(one.wall_seconds for one in taken), 3),
        "peak_mib": round(statistics.median(one.peak_mib for one in taken)),
        **found,
    }
    print("  ".join(f"{name} {value}" for name, value in result.items()), file=sys.stderr)
    return result


def scores(removed: NDArray[np.bool_], truth: Truth) -> dict[str, float]:
    """Precision, and recall of exact and of edited copies, also of those edited that are alike enough (``ALIKE``)."""
    copy_of, kind, jaccard = truth
    family = np.where(copy_of >= 0, copy_of, np.arange(len(copy_of)))
    kept = np.zeros(len(copy_of), np.int64)
    np.add.at(kept, family[~removed], 1)
    right = kept[family[removed]] > 0
    recall = {}
    planted = {"exact": kind == "exact", "edited": kind == "edited", "alike": (kind == "edited") & (jaccard >= ALIKE)}
    for name, which in planted.items():
        copies = np.flatnonzero(which)
        recall[f"recall_{name}"] = round(float((removed[copies] | removed[copy_of[copies]]).mean()), 4)
    return {"removed": int(removed.sum()), "precision": round(float(right.mean()), 5) if len(right) else 1.0, **recall}


def _command(method: str, corpus: Path, removed: Path, workers: int) -> list[str | Path]:
    python = sys.executable if method == "kernel" else CHECKOUT / ".venv-peers" / method / "bin" / "python"
    if not Path(python).exists():
        sys.exit(f"{method}: has no environment\n\nhint: benchmarks/curation/environments.sh {method}")
    command = [python, "-P", HERE / "methods" / f"by_{method}.py", corpus, removed]
    return [*command, str(workers)] if method == "kernel" else command


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[200_000])
    parser.add_argument("--sentences", type=Path, help="folder of jsonl files with English prose; the house's own else")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--workers", type=int, default=2, help="threads of the kernel; the others choose themselves")
    parser.add_argument("--scratch", type=Path, help="folder for the corpora, about 1.3 kB a document")
    return parser.parse_args()


if __name__ == "__main__":
    main()
