"""Personal data in real texts: counts by kind and source, and samples in their context for a person to judge.

    .venv/bin/python -m benchmarks.curation.personal_data CORPUS [--samples 12] [--kind phone] [--documents 2000]

Values are printed here, on a screen, and nowhere else. The last line is JSON: counts, the share of numbers that survive
and CPU microseconds a document.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from data_curation.field_paths import lookup, text_of
from data_curation.normalising import normalised
from data_curation.personal_data import KINDS, AllowList, Finding, allow_list, cleaned, find
from data_curation.reading import find_files, read_rows, shown_name
from recipes.load import load, verticals
from recipes.text_rules import identifiers

AROUND_CHARS = 70


def main() -> None:
    """Read, count, show."""
    options = _options()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    samples: dict[str, list[str]] = defaultdict(list)
    numbers, documents, seconds = Counter[str](), 0, 0.0
    for vertical in verticals():
        allowed = allow_list(identifiers(vertical))
        for name, text in _texts(vertical, options.corpus, options.documents):
            start = time.process_time()
            result = cleaned(text, allowed)
            seconds += time.process_time() - start
            documents += 1
            numbers.update(before=result.numbers_before, after=result.numbers_after)
            found[f"{vertical}/{name}"] += result.found + Counter({f"kept {k}": n for k, n in result.kept.items()})
            if result.found or result.kept:
                for finding in find(text):
                    samples[_label(text, finding, allowed)].append(f"{name}: {_shown(text, finding)}")
    random.seed(7)
    for label, shown in sorted(samples.items()):
        if options.kind in ("", label.split()[-1], label):
            print(f"\n== {label}: {len(shown)}")
            for one in random.sample(shown, min(options.samples, len(shown))):
                print("  ", one)
    print()
    for source, counts in found.items():
        print(f"{source}: {dict(counts.most_common())}")
    total = sum(found.values(), Counter[str]())
    print(
        json.dumps(
            {
                "documents": documents,
                "found": {kind: total[kind] for kind in KINDS if total[kind]},
                "kept": {
                    kind.removeprefix("kept "): count for kind, count in total.items() if kind.startswith("kept ")
                },
                "numbers": numbers["before"],
                "numbers_surviving_share": round(numbers["after"] / max(1, numbers["before"]), 6),
                "cpu_us_a_document": round(1e6 * seconds / max(1, documents), 1),
            }
        )
    )


def _texts(vertical: str, corpus: Path, most: int) -> Iterator[tuple[str, str]]:
    for name, source in load(vertical).sources.items():
        given = 0
        for file in find_files(corpus, source.path):
            for row in read_rows(file, shown_name(file, corpus), lambda *_: None):
                text = normalised(text_of(lookup(row, source.text)))
                if text and given < most:
                    given += 1
                    yield name, text


def _label(text: str, finding: Finding, allowed: AllowList) -> str:
    owner = allowed.owner(text, finding)
    return f"kept as {owner}" if owner else finding.kind


def _shown(text: str, one: Finding) -> str:
    before, after = text[max(0, one.start - AROUND_CHARS) : one.start], text[one.end : one.end + AROUND_CHARS]
    return f"{before}>>>{text[one.start : one.end]}<<<{after}".replace("\n", " / ")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--kind", default="")
    parser.add_argument("--documents", type=int, default=2_000, help="of each source, at most")
    return parser.parse_args()


if __name__ == "__main__":
    main()
