"""Documents on common forms that differ in their facts: how many near-duplicate removal takes, and by which rule.

    .venv/bin/python -m benchmarks.curation.templates CORPUS

Three rules over the same texts: true Jaccard alone, as published pipelines have it; beside it Jaccard without the
source's boilerplate; beside both, figures as facts. A planted copy that stays in its original's place is no removal.
``lost`` counts documents that fell although no other document of
their cluster prints the same figures: what a form filled in again would lose. Copies planted on purpose must fall by
every rule. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.answers import numbers
from data_curation.cross_sources import Compared
from data_curation.duplicates import Members, find_clusters
from data_curation.field_paths import lookup, text_of
from data_curation.kernel import texts_of
from data_curation.minhash import common_table
from data_curation.prints import boilerplate_of
from recipes.load import load
from recipes.schema import Curation
from tests.data_curation.test_duplicates import lease, words

SOURCES = {"listings": "real_estate", "contract_types": "corporate_intelligence", "sec_cover_pages": "finance"}
COPY_EVERY = 20
LEASES = 2_000
FORM = "\n".join(f"{number}. {words(random.Random(number), 14)}." for number in range(1, 61))
"""Sixty clauses more that every written lease shares: nine words in ten are the form's."""


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    corpus = parser.parse_args().corpus
    told = {
        name: compared(list(_texts(corpus, vertical, name)), load(vertical).curation)
        for name, vertical in SOURCES.items()
    }
    leases = [f"{lease(number)}\n{FORM}" for number in range(LEASES)]
    told["written leases"] = compared(leases, load("real_estate").curation)
    for name, rules in told.items():
        for rule, figures in rules.items():
            print(f"{name:16} {rule:20} {figures}")
    print(json.dumps(told))


def compared(texts: list[str], curation: Curation) -> dict[str, dict[str, int]]:
    """Rule to what it takes of these texts and of copies of every twentieth."""
    texts = list(dict.fromkeys(texts))  # exact duplicates fall before
    copies = [f"{text} Copied." for text in texts[::COPY_EVERY]]
    everything = texts_of([*texts, *copies])
    nothing = np.zeros(len(everything), np.uint64)
    known = Members(
        np.arange(len(everything)), nothing, nothing.astype(np.bool_), pa.nulls(len(everything), pa.string()),
        pa.nulls(len(everything), pa.string()),
    )  # fmt: skip
    boilerplate = boilerplate_of(texts_of(texts), curation)
    rules = {
        "Jaccard": Compared(common_table(np.zeros(0, np.uint32)), False, "pretraining"),
        "without boilerplate": Compared(boilerplate, False, "pretraining"),
        "figures as facts": Compared(boilerplate, True, "pretraining"),
    }
    found: dict[str, dict[str, int]] = {}
    for rule, how in rules.items():
        clusters = find_clusters([everything], known, how, curation)
        fell = clusters.members[clusters.members != clusters.keepers]
        cluster_of = dict(zip(clusters.members.tolist(), clusters.cluster.tolist(), strict=True))
        shown = {number: frozenset(numbers(everything[number].as_py())) for number in cluster_of}
        stays: dict[int, set[frozenset[Any]]] = {}
        for number in sorted(set(clusters.keepers.tolist())):
            stays.setdefault(cluster_of[number], set()).add(shown[number])
        originals = [number for number in fell.tolist() if number < len(texts)]
        stood_in = sum(number >= len(texts) for number in set(clusters.keepers.tolist()))
        found[rule] = {
            "documents": len(texts),
            "removed": len(originals) - stood_in,
            "lost": sum(shown[number] not in stays[cluster_of[number]] for number in originals),
            "copies": len(copies),
            "copies removed": _copies_gone(clusters.members, clusters.cluster, len(texts)),
        }
    return found


def _copies_gone(members: Any, cluster: Any, originals: int) -> int:
    """Copies that were joined with what they are copies of."""
    cluster_of = dict(zip(members.tolist(), cluster.tolist(), strict=True))
    return sum(
        number in cluster_of and cluster_of[number] == cluster_of.get((number - originals) * COPY_EVERY)
        for number in members.tolist()
        if number >= originals
    )


def _texts(corpus: Path, vertical: str, source: str) -> Iterator[str]:
    told = load(vertical).sources[source]
    with (corpus / told.path).open(encoding="utf-8") as lines:
        yield from (text_of(lookup(json.loads(line), told.text)) for line in lines)


if __name__ == "__main__":
    main()
