"""Whether memory is bounded by the batch: the peak of the curation stage over one large jsonl file.

    .venv/bin/python -m benchmarks.curation.memory [--gib 5] [--most-gib 2] [--sentences FOLDER] [--scratch FOLDER]

Of several sizes (``--gib 0.25 0.5``) the slope is told: bytes of memory a further document takes. Ends with 1 where the
stage took more than --most-gib. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.curation.corpus import sentences
from benchmarks.curation.measured import run
from recipes.schema import Curation, Source, Task
from recipes.stage_sections import CurateSection

CHECKOUT = Path(__file__).parents[2]
STAGE = (
    "import sys; from pathlib import Path; from data_curation.curate import curate;"
    "from recipes.stage_sections import CurateSection;"
    "section = CurateSection.model_validate_json(Path(sys.argv[1]).read_text());"
    "print(curate(section, {}, Path(sys.argv[2]))[0].metrics)"
)
SENTENCES = 20


def main() -> None:
    """Write the files, run the stage over each, say what it took."""
    told = _arguments()
    pool = sentences(told.sentences)
    results = [_measured(size, pool, told.workers, told.scratch) for size in sorted(told.gib)]
    first, last = results[0], results[-1]
    said: dict[str, Any] = {"workers": told.workers, "sizes": results}
    if len(results) > 1:
        grown = (last["peak_mib"] - first["peak_mib"]) * 2**20
        said["bytes_a_further_document"] = round(grown / (last["documents"] - first["documents"]))
    print(json.dumps(said))
    sys.exit(int(last["peak_mib"] > 1_024 * told.most_gib))


def _measured(gib: float, pool: list[str], workers: int, folder: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="memory-", dir=folder) as scratch:
        place = Path(scratch)
        (place / "corpus").mkdir()
        (place / "out").mkdir()
        documents = write_jsonl(place / "corpus" / "large.jsonl", int(gib * 2**30), pool)
        asked = [{"id": "q1", "question": "How many cents are in two dollars?", "answer": "200"}]
        (place / "corpus" / "questions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
        (place / "section.json").write_text(_section(place / "corpus", workers).model_dump_json())
        taken = run([sys.executable, "-c", STAGE, place / "section.json", place / "out"], CHECKOUT)
    result = {"gib": gib, "documents": documents, **taken.as_json()}
    result["cpu_us_a_document"] = round(taken.cpu_seconds / documents * 1e6, 1)
    print(json.dumps(result), file=sys.stderr)
    return result


def write_jsonl(path: Path, size: int, pool: list[str], seed: int = 3) -> int:
    """Documents of real sentences until the file has ``size`` bytes; how many there are."""
    chance, written, documents = random.Random(seed), 0, 0
    with path.open("w", encoding="utf-8") as out:
        while written < size:
            text = " ".join(chance.choices(pool, k=SENTENCES))
            written += out.write(json.dumps({"id": str(documents), "text": text}) + "\n")
            documents += 1
    return documents


def _section(corpus: Path, workers: int) -> CurateSection:
    large = Source(path="large.jsonl", use="pretraining", licence="CC0-1.0", max_documents=1_000_000_000)
    questions = Source(path="questions.jsonl", use="tasks", licence="CC0-1.0", text="question")
    asked = Task(source="questions", prompt="{text}\nAnswer as JSON: answer.", fields={"answer": "answer"})
    return CurateSection(
        curation=Curation(licences=("CC0-1.0", "MIT", "Apache-2.0"), max_pretraining_chars=10**12, min_words=1),
        sources={"large": large, "questions": questions},
        tasks={"asked": asked},
        system_prompt="Answer.",
        corpus=corpus,
        workers=workers,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gib", type=float, nargs="+", default=[5.0])
    parser.add_argument("--workers", type=int, default=0, help="0: one a core")
    parser.add_argument("--most-gib", type=float, default=2.0)
    parser.add_argument("--sentences", type=Path, help="folder of jsonl files with English prose; the house's own else")
    parser.add_argument("--scratch", type=Path, help="folder with room for the file and what the stage writes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
