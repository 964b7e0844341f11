"""How far the quality rules agree with datatrove's own filters, on the same texts at the published thresholds.

    python -m venv DIR && DIR/bin/pip install datatrove==0.10.1 spacy nltk
    .venv/bin/python -m benchmarks.curation.quality_rules CORPUS --datatrove DIR/bin/python [--texts 400]

datatrove runs in that environment of its own and hands back verdicts as JSON lines. It counts spaCy's tokens, marks of
punctuation and the bars of tables among them, and a phrase of a short text that stands once; here a word is what stands
between blanks and has a letter or digit. So the texts are compared twice: as they are, and of words alone (fifty or
more), where both see the same words and only the rules can differ. C4's filter edits lines before it counts and needs a
download for its sentences: hand-made cases in the tests stand for it. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data_curation.field_paths import lookup, text_of
from data_curation.kernel import counts_of, texts_of
from data_curation.normalising import normalised, parts
from data_curation.quality import PASSES, first_broken
from data_curation.reading import find_files, read_rows, shown_name
from recipes.load import load, verticals
from recipes.text_rules import quality_rules

PUNCTUATION = re.compile(r"[^\w\n ]+|_")
LEAST_WORDS = 50
FAMILIES = ("gopher", "gopher_repetition", "fineweb")
PEER = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
filters = {
    "gopher": GopherQualityFilter(), "gopher_repetition": GopherRepetitionFilter(), "fineweb": FineWebQualityFilter()
}
for line in sys.stdin:
    text, verdicts, start = json.loads(line), {}, time.process_time()
    for name, one in filters.items():
        result = one.filter(Document(text=text, id="0"))
        verdicts[name] = "" if result is True else result[1]
    print(json.dumps({"verdicts": verdicts, "seconds": time.process_time() - start}), flush=True)
"""


def main() -> None:
    """Compare, and say where they part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--datatrove", type=Path, required=True, help="the interpreter of its environment")
    parser.add_argument("--texts", type=int, default=400, help="of each source, at most")
    options = parser.parse_args()
    texts = list(_texts(options.corpus, options.texts))
    words = [plain for plain in (PUNCTUATION.sub(" ", text) for text in texts) if len(plain.split()) >= LEAST_WORDS]
    counts_of(texts_of(texts[:1]))  # compiled before the clock runs
    result = {"as they are": _compared(texts, options.datatrove), "words alone": _compared(words, options.datatrove)}
    print(json.dumps(result))


def _compared(texts: list[str], python: Path) -> dict[str, object]:
    given = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([python, "-c", PEER], input=given, capture_output=True, text=True, check=True)
    peers = [json.loads(line) for line in done.stdout.splitlines()]
    start = time.process_time()
    rows = counts_of(texts_of(texts))
    seconds = time.process_time() - start
    result: dict[str, object] = {"texts": len(texts), "us_a_text": round(1e6 * seconds / len(texts), 1)}
    result["datatrove_us_a_text"] = round(1e6 * sum(one["seconds"] for one in peers) / len(texts), 1)
    for family in FAMILIES:
        rules = {name: rule for name, rule in quality_rules().items() if rule.family == family}
        places, _ = first_broken(rows, rules)
        names = list(rules)
        ours = ["" if place == PASSES else names[place] for place in places]
        theirs = [one["verdicts"][family] for one in peers]
        apart = Counter((mine, peer) for mine, peer in zip(ours, theirs, strict=True) if bool(mine) != bool(peer))
        result[family] = {
            "agreement": round(1 - apart.total() / len(texts), 4),
            "rejected": sum(map(bool, ours)),
            "rejected_by_datatrove": sum(map(bool, theirs)),
        }
        print(f"{family}: {len(texts) - apart.total()} of {len(texts)} verdicts agree")
        for (mine, peer), count in apart.most_common(8):
            print(f"   {count:5}  here {mine or 'passes'}, there {peer or 'passes'}")
    return result


def _texts(corpus: Path, most: int) -> Iterator[str]:
    for vertical in verticals():
        for source in load(vertical).sources.values():
            given = 0
            for file in find_files(corpus, source.path):
                for row in read_rows(file, shown_name(file, corpus), lambda *_: None):
                    for piece in parts(normalised(text_of(lookup(row, source.text))), source.max_chars):
                        if given < most:
                            given += 1
                            yield piece


if __name__ == "__main__":
    main()
