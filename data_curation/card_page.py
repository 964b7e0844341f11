"""The card as a page: tables and samples, self-contained, every shown text escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from pathlib import Path

from contracts.documents import ChatExample, PreferencePair, read_jsonl
from contracts.reports import CurationCard

STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid #8884; padding: .25rem .75rem; text-align: left; vertical-align: top }
td.n, th.n { text-align: right }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .6rem; font-size: 13px }
.grey { opacity: .7 }
"""
SAMPLE_CHARS = 700
Cell = str | int | float


def render_card(card: CurationCard, folder: Path) -> str:
    """The page of a card; samples are read from the jsonl files in ``folder``."""
    body = [
        "<h1>Curation card</h1>",
        f"<p>{_headline(card)}</p>",
        "<h2>Sources</h2>",
        _table(
            ("source", "licence", "written", "read", "accepted", "rejected", "kept", "characters kept", "clusters"),
            [
                (s.source, s.licence, "yes" if s.synthetic else "", s.read, s.accepted, sum(s.rejected.values()),
                 f"{s.accepted / s.read:.0%}" if s.read else "", s.accepted_chars, s.near_duplicate_clusters)
                for s in card.sources
            ],
        ),
        "<h2>Why documents were rejected</h2>",
        _table(
            ("source", "reason", "documents"),
            [(source.source, reason, count) for source in card.sources for reason, count in source.rejected.items()],
        ),
        "<h2>Examples</h2>",
        _table(
            ("task", "training", "students only", "evaluation", "preference pairs"),
            [
                (
                    task,
                    *(
                        counts.get(task, 0)
                        for counts in (card.train_examples, card.student_examples, card.eval_examples, card.pairs)
                    ),
                )
                for task in sorted({*card.train_examples, *card.eval_examples, *card.pairs})
            ],
        ),
        _section("Examples that were not made", ("task and reason", "examples"), card.example_rejects.items()),
        _section("Licences of what was kept", ("licence", "documents"), card.licences.items()),
        _section("Files and lines in quarantine", ("file", "error"), card.quarantined.items()),
        _section("Sources that this corpus does not hold", ("source",), [(name,) for name in card.missing]),
        _section("Near-duplicates, the least alike first", ("kept", "removed", "Jaccard"), card.duplicate_samples),
        "<h2>Samples</h2>",
        *_example_samples(folder),
        *_pair_samples(folder),
        *_rejected_samples(folder),
    ]  # fmt: skip
    head = f"<meta charset='utf-8'><title>Curation card</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(body)}</body></html>\n"


def _headline(card: CurationCard) -> str:
    read, accepted = sum(s.read for s in card.sources), sum(s.accepted for s in card.sources)
    return (
        f"{read:,} documents read = {accepted:,} accepted + {read - accepted:,} rejected. "
        f"{card.pretraining_chars:,} characters for pretraining, {card.replay_chars:,} for replay; "
        f"{sum(card.train_examples.values()):,} training and {sum(card.eval_examples.values()):,} evaluation examples."
    )


def _section(title: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    listed = list(rows)
    return f"<h2>{escape(title)}</h2>" + (_table(heads, listed) if listed else "<p class='grey'>None.</p>")


def _table(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = ("".join(_cell(value) for value in row) for row in rows)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _cell(value: Cell) -> str:
    if isinstance(value, (int, float)):
        return f"<td class='n'>{value:,}</td>"
    return f"<td>{escape(value)}</td>"


def _example_samples(folder: Path) -> Iterable[str]:
    for name in ("train", "eval", "general"):
        seen: set[str] = set()
        for example in read_jsonl(folder / f"{name}.jsonl", ChatExample):
            if example.task not in seen:
                seen.add(example.task)
                shown = f"{example.prompt[-1]['content'][: SAMPLE_CHARS * 2]}\n\n-> {example.completion}"
                yield f"<h3>{escape(name)}: {escape(example.task)}</h3><pre>{escape(shown)}</pre>"


def _pair_samples(folder: Path) -> Iterable[str]:
    seen: set[str] = set()
    for pair in read_jsonl(folder / "pairs.jsonl", PreferencePair):
        if pair.fault not in seen:
            seen.add(pair.fault)
            shown = f"chosen    {pair.chosen}\nrejected  {pair.rejected}"
            yield f"<h3>pair: {escape(pair.task)}, {escape(pair.fault)}</h3><pre>{escape(shown)}</pre>"


def _rejected_samples(folder: Path) -> Iterable[str]:
    seen: dict[str, int] = {}
    with (folder / "rejected.jsonl").open(encoding="utf-8") as lines:
        for line in islice(lines, 100_000):
            record = json.loads(line)
            reason = f"{record['source']}: {record['reason']}"
            seen[reason] = seen.get(reason, 0) + 1
            if seen[reason] == 1:
                shown = f"{record['id']}\n{record['detail']}\n\n{record['text'][:SAMPLE_CHARS]}"
                yield f"<h3>rejected, {escape(reason)}</h3><pre>{escape(shown)}</pre>"
