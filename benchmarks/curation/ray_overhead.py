"""What Daft on Ray costs beside threads on one machine, and from which size a cluster pays.

    infra/install.sh ray
    .venv/bin/python -m benchmarks.curation.ray_overhead [--documents 5000 20000 50000] [--runs 3] [--workers 2] \\
        [--sentences FOLDER] [--scratch FOLDER]

The same corpus by both, each run a process of its own measured whole; the results are compared, document by document.
A cost is told as a line over the sizes: CPU seconds at the start and a document. Other machines can only share the
second: ``pays_from`` tells the documents from which N machines like this one are faster than its threads, if the cost
of a document is divided by N and the start stays. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.curation.corpus import sentences, write_corpus
from benchmarks.curation.measured import Taken, run

METHODS = Path(__file__).parent / "methods"
ENGINES = ("kernel", "ray")
MACHINES = (4, 8, 16, 64)


def main() -> None:
    """Both engines at every size, then the two lines and where they cross."""
    told = _arguments()
    pool, results = sentences(told.sentences), []
    with tempfile.TemporaryDirectory(prefix="ray-overhead-", dir=told.scratch) as scratch:
        for documents in told.documents:
            corpus = Path(scratch) / f"{documents}.parquet"
            write_corpus(corpus, documents, pool)
            results += _compare(corpus, documents, told)
            corpus.unlink()
    lines = {engine: _line([one for one in results if one["engine"] == engine]) for engine in ENGINES}
    pays = {f"{machines} machines": pays_from(lines["kernel"], lines["ray"], machines) for machines in MACHINES}
    print(
        json.dumps({"runs": told.runs, "workers": told.workers, "results": results, "line": lines, "pays_from": pays})
    )


def _compare(corpus: Path, documents: int, told: argparse.Namespace) -> list[dict[str, Any]]:
    taken: dict[str, list[Taken]] = {engine: [] for engine in ENGINES}
    removed = {engine: corpus.with_suffix(f".{engine}.npy") for engine in ENGINES}
    for number in range(told.runs + 1):  # the first compiles and is not counted
        for engine in ENGINES:
            program = METHODS / f"by_{engine}.py"
            one = run([sys.executable, "-P", program, corpus, removed[engine], str(told.workers)])
            if number:
                taken[engine].append(one)
        if not np.array_equal(*(np.load(removed[engine]) for engine in ENGINES)):
            sys.exit(f"{documents} documents: the engines differ")
    return [_result(engine, documents, taken[engine]) for engine in ENGINES]


def _result(engine: str, documents: int, taken: list[Taken]) -> dict[str, Any]:
    result = {
        "engine": engine,
        "documents": documents,
        "cpu_seconds": round(statistics.median(one.cpu_seconds for one in taken), 2),
        "wall_seconds": round(statistics.median(one.wall_seconds for one in taken), 2),
        "peak_mib": round(statistics.median(one.peak_mib for one in taken)),
    }
    print("  ".join(f"{name} {value}" for name, value in result.items()), file=sys.stderr)
    return result


def _line(results: list[dict[str, Any]]) -> dict[str, float]:
    """CPU seconds over documents, least squares: on a busy machine wall times say little."""
    if len(results) < 2:
        return {}
    slope, start = np.polyfit([one["documents"] for one in results], [one["cpu_seconds"] for one in results], 1)
    return {"start_seconds": round(float(start), 2), "us_a_document": round(1e6 * float(slope), 1)}


def pays_from(threads: dict[str, float], ray: dict[str, float], machines: int) -> int | None:
    """Documents from which so many machines beat one machine's threads; None: never."""
    if not threads or not ray:
        return None
    gained = threads["us_a_document"] - ray["us_a_document"] / machines
    return round(1e6 * (ray["start_seconds"] - threads["start_seconds"]) / gained) if gained > 0 else None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[5_000, 20_000, 50_000])
    parser.add_argument("--sentences", type=Path, help="folder of jsonl files with English prose; the house's own else")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scratch", type=Path, help="folder for the corpora, about 1.3 kB a document")
    return parser.parse_args()


if __name__ == "__main__":
    main()
