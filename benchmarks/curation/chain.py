"""The whole chain of curation over texts of 2 kB: what each step costs, its floor, and documents a second.

    .venv/bin/python -m benchmarks.curation.chain [--documents 40000] [--sentences FOLDER] [--workers 1 2]

First the stage as a whole with each number of workers, in a process of its own: wall and CPU seconds, start-up among
them, and what is left of both without it (the same over a quarter of the documents taken off). Then step by step in one
thread, over a sample: CPU microseconds a document. All are medians of ``--runs``; a floor is the least that a step can
do (the bytes read once, the bare search, the bare hash). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.curation.chain_steps import steps
from benchmarks.curation.corpus import sentences
from benchmarks.curation.measured import Taken, run
from benchmarks.curation.memory import CHECKOUT, STAGE
from recipes import ontology
from recipes.schema import Curation, Source, Task
from recipes.stage_sections import CurateSection

TEXT_BYTES = 2_000
QUESTIONS = 400


def main() -> None:
    """Measure, print, one JSON line last."""
    told = _arguments()
    pool = sentences(told.sentences)
    with tempfile.TemporaryDirectory(prefix="chain-", dir=told.scratch) as scratch:
        place = Path(scratch)
        sizes = {"few": told.documents // 4, "many": told.documents}
        for name, documents in sizes.items():
            write_corpus(place / name, documents, pool)
        whole = {str(count): _whole(place, sizes, count, told.runs) for count in told.workers}
        each = steps(section(place / "few", 1), place, told.runs)
    for workers, figures in whole.items():
        print(f"{workers} workers: {figures}", file=sys.stderr)
    for name, cost in each.items():
        print(f"{cost['us']:8.1f}  floor {cost['floor_us']:6.1f} ({cost['floor']})  {name}", file=sys.stderr)
    total = round(sum(cost["us"] for cost in each.values()), 1)
    print(json.dumps({"documents": told.documents, "whole": whole, "steps_us": total, "steps": each}))


def write_corpus(folder: Path, documents: int, pool: list[str]) -> None:
    """``texts.jsonl`` with texts of about 2 kB out of real sentences, ``questions.jsonl`` with others."""
    folder.mkdir()
    asked, pool = pool[: len(pool) // 5], pool[len(pool) // 5 :]
    with (folder / "questions.jsonl").open("w", encoding="utf-8") as out:
        for number in range(QUESTIONS):
            text = " ".join(_sentences(asked, number, 400))
            out.write(json.dumps({"id": str(number), "question": text, "answer": str(number)}) + "\n")
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as out:
        for number in range(documents):
            text = " ".join(_sentences(pool, number, TEXT_BYTES))
            row = {"id": f"text-{number}", "text": text, "date": f"20{number % 25:02}-0{number % 9 + 1}-01"}
            out.write(json.dumps(row) + "\n")


def section(corpus: Path, workers: int) -> CurateSection:
    """Every step as a recipe has it by default, with the ontology of finance."""
    texts = Source(path="texts.jsonl", use="pretraining", licence="CC0-1.0", date="date")
    questions = Source(path="questions.jsonl", use="tasks", licence="CC0-1.0", text="question")
    asked = Task(source="questions", prompt="{text}\nAnswer as JSON: answer.", fields={"answer": "answer"})
    return CurateSection(
        curation=Curation(licences=("CC0-1.0", "MIT", "Apache-2.0"), max_pretraining_chars=10**12, max_eval=QUESTIONS),
        sources={"texts": texts, "questions": questions},
        tasks={"asked": asked},
        system_prompt="Answer.",
        ontology=ontology.load("finance"),
        corpus=corpus,
        workers=workers,
    )


def _sentences(pool: list[str], number: int, least: int) -> list[str]:
    """Sentences from the pool, ``least`` bytes of them: others for every number."""
    chosen: list[str] = []
    size, at = 0, number * 7_919
    while size < least:
        at = (at * 48_271 + 11) % 2_147_483_647
        chosen.append(pool[at % len(pool)])
        size += len(chosen[-1]) + 1
    return chosen


def _whole(place: Path, sizes: dict[str, int], workers: int, runs: int) -> dict[str, Any]:
    taken = {name: _taken(place, name, workers, runs) for name in sizes}
    more = sizes["many"] - sizes["few"]
    wall = taken["many"].wall_seconds - taken["few"].wall_seconds
    cpu = taken["many"].cpu_seconds - taken["few"].cpu_seconds
    return {
        **taken["many"].as_json(),
        "documents_a_second_with_start": round(sizes["many"] / taken["many"].wall_seconds),
        "documents_a_second": round(more / wall),
        "cpu_us_a_document": round(cpu / more * 1e6, 1),
    }


def _taken(place: Path, name: str, workers: int, runs: int) -> Taken:
    """Medians of whole runs over a corpus."""
    told, out = place / "section.json", place / "out"
    told.write_text(section(place / name, workers).model_dump_json())
    each = []
    for _ in range(runs):
        out.mkdir()
        each.append(run([sys.executable, "-c", STAGE, told, out], CHECKOUT))
        shutil.rmtree(out)
    return Taken(**{one.name: statistics.median(getattr(a_run, one.name) for a_run in each) for one in fields(Taken)})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=40_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sentences", type=Path, help="folder of jsonl files with English prose; the house's own else")
    parser.add_argument("--scratch", type=Path, help="folder with room for the corpus and what the stage writes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
