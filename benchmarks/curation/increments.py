"""What a drop costs on top of a corpus: the same drop after corpora of growing size, as ``curate/inbox`` takes it.

    .venv/bin/python -m benchmarks.curation.increments [--corpora 5000 20000 80000] [--drop 1000] [--sentences FOLDER]

CPU seconds of the whole process tree, without Prefect: looking at the inbox, the new layer, the card. Beside them what
the first layer took, which is what reading everything again would take. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import yaml

from benchmarks.curation.corpus import sentences, write_corpus
from benchmarks.curation.measured import Taken, run
from flows import corpus_chain
from flows.build import opened
from flows.inbox import Records, view
from flows.settings import CHECKOUT, Settings
from flows.step import plain_steps
from flows.surroundings import surroundings
from recipes.load import load

MODULE = "benchmarks.curation.increments"
TOLD = {
    "source": "Sentences put together anew", "licence": "CC0-1.0",
    "dates": {"first": "2020-01-01", "last": "2021-12-31"}, "jurisdiction": "US", "language": "en",
    "personal_data": False,
}  # fmt: skip
SETTINGS = ("curation.max_pretraining_chars=1000000000000",)


def main() -> None:
    """A table, a line a corpus."""
    told = _arguments()
    if told.inbox:
        _curate(told.inbox, told.home)
        return
    pool = sentences(told.sentences)
    print(f"{'corpus':>8} {'first CPU s':>12} {'drop CPU s':>11} {'wall s':>7} {'peak MiB':>9}")
    rows = []
    for documents in told.corpora:
        with tempfile.TemporaryDirectory(prefix="increments-", dir=told.scratch) as scratch:
            first, drops = measured(Path(scratch), documents, told.drop, told.repeats, pool)
        drop = sorted(drops, key=lambda one: one.cpu_seconds)[len(drops) // 2]
        print(f"{documents:>8,} {first.cpu_seconds:>12.1f} {drop.cpu_seconds:>11.2f} {drop.wall_seconds:>7.1f} "
              f"{drop.peak_mib:>9.0f}", flush=True)  # fmt: skip
        rows.append({"corpus": documents, "first_cpu_seconds": round(first.cpu_seconds, 2), **drop.as_json()})
    print(json.dumps({"drop": told.drop, "repeats": told.repeats, "rows": rows}))


def measured(scratch: Path, documents: int, drop: int, repeats: int, pool: list[str]) -> tuple[Taken, list[Taken]]:
    """What the first drop of so many documents took, and each of several small ones after it."""
    inbox, home = scratch / "inbox" / "finance", scratch / "home"
    command: list[str | Path] = [sys.executable, "-m", MODULE, "--inbox", inbox, "--home", home]
    _put(inbox / "a-corpus", documents, pool, seed=1)
    first, drops = run(command, CHECKOUT), []
    for number in range(repeats):
        _put(inbox / f"drop-{number}", drop, pool, seed=100 + number)
        drops.append(run(command, CHECKOUT))
    return first, drops


def _put(folder: Path, documents: int, pool: list[str], seed: int) -> None:
    folder.mkdir(parents=True)
    (folder / "corpus.yaml").write_text(yaml.safe_dump(TOLD), encoding="utf-8")
    write_corpus(folder / "data.parquet", documents, pool, seed)
    (folder / ".complete").touch()


def _curate(inbox: Path, home: Path) -> None:
    """One run over an inbox as the flow makes it."""
    settings, recipe = Settings(home=home), load("finance", "smoke", SETTINGS)
    seen, records = view(inbox, recipe, settings), Records(settings)
    with opened(f"increments-{uuid4().hex[:8]}", seen.recipe, settings, inbox, "", "") as running:
        records.take(seen, seen.digests)
        running.digests = dict(seen.digests)

        step = plain_steps(running)
        made = corpus_chain.layers(step, surroundings(running, layers=seen.layers))
        records.take(seen, running.digests)
        card = corpus_chain.inbox_card(step, recipe, made, seen.inbox.quarantined)
    print(json.dumps(card.metrics))


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--corpora", type=int, nargs="+", default=[5_000, 20_000, 80_000])
    arguments.add_argument("--drop", type=int, default=1_000)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--sentences", type=Path)
    arguments.add_argument("--scratch", type=Path)
    arguments.add_argument("--inbox", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    return arguments.parse_args()


if __name__ == "__main__":
    main()
