"""Personal data in real texts: counts by kind and source, and samples in their context for a person to judge.

    .venv/bin/python -m benchmarks.curation.personal_data CORPUS [--samples 12] [--kind phone] [--documents 2000]
    .venv/bin/python -m benchmarks.curation.personal_data CORPUS --missed

With ``--missed`` a net much wider than the finders is thrown over the texts: whatever has the form of an e-mail
address, a phone, a name behind a contact's label, a street, a birthday or a social security number and was not found is
printed for a person to judge.
What of it is personal data was missed, so recall on real texts can be told.

Values are printed here, on a screen, and nowhere else. The last line is JSON: counts, the share of numbers that survive
and CPU microseconds a document.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from data_curation.field_paths import lookup, text_of
from data_curation.normalising import normalised
from data_curation.personal_data import KINDS, AllowList, Finding, allow_list, cleaned, find
from data_curation.reading import find_files, read_rows, shown_name
from recipes.load import load, verticals
from recipes.schema import Source
from recipes.text_rules import identifiers

AROUND_CHARS = 70
WIDE = {
    "email": re.compile(r"\S{1,64}\s?(?:@|\(at\)|\[at\])\s?\S{2,64}", re.IGNORECASE),
    "phone": re.compile(r"(?<![\w.,$-])(?:\+?\d{1,3}[ .-])?\(?\d{2,4}\)?[ .-]{1,2}\d{3,4}[ .-]\d{3,4}(?![\w-])"),
    "name": re.compile(
        r"(?i:attn|attention|contact(?: person)?|c/o)[.:]{1,2}\s{1,3}"
        r"(?!General|Chief|Vice|Senior|Executive|Corporate|Legal|Secretary|President|Office|Depart|Director|Manager)"
        r"(?:M[rs]{1,2}\.? |Dr\.? )?[A-Z][\w'’-]{1,20} (?:[A-Z]\. ){0,2}[A-Z][\w'’-]{1,20}"
    ),
    "home_address": re.compile(
        r"\d{1,5} (?:[A-Z][\w.'’]{0,20} ){1,4}"
        r"(?:Street|St\.|Avenue|Ave|Road|Rd|Drive|Lane|Court|Boulevard|Blvd|Place)\b"
    ),
    "date_of_birth": re.compile(r"(?i:born|birth)\W{1,3}(?:\w+\W{1,3}){0,3}\d{1,4}"),
    "ssn": re.compile(r"(?i:social security|\bssn\b).{0,30}\d{3,}"),
}
"""What may be personal data, by form alone."""


def main() -> None:
    """Read, count, show."""
    options = _options()
    if options.missed:
        _missed(options)
        return
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


def _missed(options: argparse.Namespace) -> None:
    """What a wide net catches that the finders leave."""
    left: dict[str, list[str]] = defaultdict(list)
    caught, covered = Counter[str](), Counter[str]()
    for vertical in verticals():
        for name, text in _texts(vertical, options.corpus, options.documents):
            found = find(text)
            for kind, pattern in WIDE.items():
                for match in pattern.finditer(text):
                    caught[kind] += 1
                    if any(other.start < match.end() and match.start() < other.end for other in found):
                        covered[kind] += 1
                    else:
                        left[kind].append(f"{name}: {_shown(text, Finding(kind, *match.span()))}")
    random.seed(7)
    for kind, shown in left.items():
        print(f"\n== {kind}: {len(shown)} of {caught[kind]} not found")
        for one in random.sample(shown, min(options.samples, len(shown))):
            print("  ", one)
    print(json.dumps({kind: {"caught": caught[kind], "found": covered[kind]} for kind in WIDE}))


ALSO = {
    "corporate_intelligence": {"cuad": Source(path="corporate/cuad/data.jsonl", use="pretraining", licence="CC-BY-4.0")}
}
"""Sources of no recipe that hold names and addresses: contracts."""


def _texts(vertical: str, corpus: Path, most: int) -> Iterator[tuple[str, str]]:
    for name, source in {**load(vertical).sources, **ALSO.get(vertical, {})}.items():
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
    parser.add_argument("--missed", action="store_true", help="what a wide net catches and the finders leave")
    return parser.parse_args()


if __name__ == "__main__":
    main()
