"""How many documents of the verticals hold an evaluation question: by counted n-grams, and by any single one.

    .venv/bin/python -m benchmarks.curation.decontamination CORPUS [--documents 3000]

The items are ``decontam/eval_questions.jsonl``, the questions of all suites beside the corpora; the texts are what the
recipes pretrain on. A single shared run of 13 words flags form wording; what only it flags is shown for a person to
judge, and so is what both flag. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from contracts.documents import ChatExample
from data_curation.decontamination import Index, Match
from data_curation.field_paths import lookup, text_of
from data_curation.normalising import normalised, parts
from recipes.load import load, verticals

QUESTIONS = "decontam/eval_questions.jsonl"
SHOWN = 5
SHOWN_CHARS = 160


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--documents", type=int, default=3_000, help="of each source, at most")
    options = parser.parse_args()
    curation = load("finance").curation
    questions = list(_questions(options.corpus))
    counted, any_one = (
        Index(questions, curation),
        Index(questions, curation.model_copy(update={"decontamination_coverage": 0})),
    )
    told: dict[str, dict[str, int]] = {}
    for vertical in verticals():
        for name, texts in _texts(vertical, options.corpus, options.documents):
            by_count, by_one = counted.find_all(texts), any_one.find_all(texts)
            told[f"{vertical}/{name}"] = {
                "documents": len(texts),
                "by any n-gram": sum(match is not None for match in by_one),
                "counted": sum(match is not None for match in by_count),
            }
            _show(name, "counted", [one for one in by_count if one])
            _show(
                name,
                "by any n-gram only",
                [one for one, both in zip(by_one, by_count, strict=True) if one and not both],
            )
    for source, figures in told.items():
        print(source, figures)
    print(json.dumps({"items": len(counted.items), "sources": told}))


def _show(source: str, rule: str, matches: list[Match]) -> None:
    for match in matches[:SHOWN]:
        print(f"{source}, {rule}: {match.coverage:.0%} of {match.item} ({match.ngrams}): {match.span[:SHOWN_CHARS]!r}")


def _questions(corpus: Path) -> Iterator[ChatExample]:
    with (corpus / QUESTIONS).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            identity = f"{row['source']}/{row['id']}/{number}"
            yield ChatExample(
                id=identity, task=row["source"], source=row["source"], document_id=identity, context=row["text"],
                gold=None, prompt=[{"role": "user", "content": "?"}], completion="-",
            )  # fmt: skip


def _texts(vertical: str, corpus: Path, most: int) -> Iterator[tuple[str, list[str]]]:
    for name, source in load(vertical).sources.items():
        if source.use == "pretraining":
            with (corpus / source.path).open(encoding="utf-8") as lines:
                wholes = (normalised(text_of(lookup(json.loads(line), source.text))) for line in lines)
                pieces = [piece for whole in wholes for piece in parts(whole, source.max_chars)]
            yield name, pieces[:most]


if __name__ == "__main__":
    main()
