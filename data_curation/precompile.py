"""Compile every loop of curation, once a machine and version, so that the first corpus does not wait for it.

    .venv/bin/python -m data_curation.precompile

A small corpus goes through the whole stage: whatever curation comes to call is compiled with the types it is called
with.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from contracts.errors import StillroomError
from data_curation.compiled import cache_folder
from data_curation.curate import curate
from recipes.schema import Curation, Source, Task
from recipes.stage_sections import CurateSection
from recipes.text_rules import quality_rules

LICENCE = "CC0-1.0"
DOCUMENTS = 24
"""Enough for a source to have boilerplate of its own."""


def main() -> None:
    """Compile what has not been compiled yet."""
    done = cache_folder() / "complete"
    if done.exists():
        return
    with tempfile.TemporaryDirectory(prefix="stillroom-compile-") as scratch:
        corpus, out = Path(scratch, "corpus"), Path(scratch, "out")
        out.mkdir()
        _write(corpus)
        curate(_section(corpus), {}, out)
    done.touch()


def _write(corpus: Path) -> None:
    """Texts and questions; the second half of each repeats the first but for a word."""
    corpus.mkdir()
    for name in ("texts", "notes", "questions"):
        with (corpus / f"{name}.jsonl").open("w", encoding="utf-8") as out:
            for number in range(DOCUMENTS):
                told = " ".join(f"{name} say {number % (DOCUMENTS // 2)} of {word}." for word in range(40))
                row = {"id": str(number), "text": f"{told} The end, {number}.", "answer": str(number)}
                out.write(json.dumps(row) + "\n")


def _section(corpus: Path) -> CurateSection:
    texts = Source(path="texts.jsonl", use="pretraining", licence=LICENCE)
    notes = Source(path="notes.jsonl", use="pretraining", licence=LICENCE, quality_families=())  # these are written
    questions = Source(path="questions.jsonl", use="tasks", licence=LICENCE, figures_tell_apart=True)
    asked = Task(source="questions", prompt="{text}\nAnswer as JSON: answer.", fields={"answer": "answer"})
    return CurateSection(
        curation=Curation(licences=(LICENCE, "Apache-2.0"), min_words=1, removal_ceiling=1.0),
        sources={"texts": texts, "notes": notes, "questions": questions},
        tasks={"asked": asked},
        system_prompt="Answer.",
        corpus=corpus,
        quality_rules=quality_rules("finance"),
        workers=1,
    )


if __name__ == "__main__":
    try:
        main()
    except StillroomError as error:
        raise SystemExit(str(error)) from None
