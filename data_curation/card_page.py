"""The card as a page: self-contained, without a script, every shown text escaped by the template engine."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from contracts.curation_report import CurationCard, SourceCount
from data_curation.card_samples import SAMPLES, Alike, Cluster, Removed, Samples
from data_curation.quality_bins import BINS, MEASURES
from data_curation.quarantine import NOTE

HERE = Path(__file__).parent
YEARS_SHOWN = 15
OVER = ("over_max_documents", "over_max_pretraining_chars")
"""Reasons for which sound documents are left out."""
Run = tuple[bool, str]
"""Whether the words are the other text's too, and the words."""


def write_card(out_dir: Path, card: CurationCard, samples: Samples) -> None:
    """card.json, samples.json and card.html."""
    (out_dir / "card.json").write_text(card.model_dump_json(indent=2), encoding="utf-8")
    (out_dir / SAMPLES).write_text(samples.model_dump_json(indent=1), encoding="utf-8")
    (out_dir / "card.html").write_text(render_card(card, samples), encoding="utf-8")


def render_card(card: CurationCard, samples: Samples) -> str:
    """The page of a card with its samples."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(count=count, chars=chars, share=share)
    return environment.get_template("card_page.html.jinja").render(
        card=card,
        style=Markup((HERE / "card_page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        totals=_totals(card),
        reasons=_reasons(card),
        most=_most(card),
        samples=samples,
        unread={file: error for file, error in card.quarantined.items() if error != NOTE},
        notes=[file for file, error in card.quarantined.items() if error == NOTE],
        alike=[_alike(one) for one in samples.pairs if one.kept_text and one.removed_text],
        clusters=[_cluster(one) for one in samples.clusters],
        removed=_by_reason(samples.removed),
        kinds=_kinds(card),
        years=_years(card.places_and_years),
        quality=_quality(card),
        personal=_by_name({name: one.personal_data for name, one in card.texts.items()}),
        stayed=_by_name({name: one.kept for name, one in card.texts.items()}),
        languages=_by_name({name: one.languages for name, one in card.texts.items()}),
        tasks=sorted({*card.train_examples, *card.student_examples, *card.eval_examples, *card.pairs}),
    )


def count(value: int) -> str:
    """1,234."""
    return f"{value:,}"


def chars(value: int) -> str:
    """A power of two for an axis: 512, 4k, 2M."""
    for size, unit in ((1 << 20, "M"), (1 << 10, "k")):
        if value >= size:
            return f"{value // size}{unit}"
    return str(value)


def share(part: float, whole: float) -> str:
    """A share in per cent, 0 % and 100 % only where it is so."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent in (0, 100) or 1 <= percent < 99 else f"{percent:.3g} %"


def _totals(card: CurationCard) -> dict[str, int]:
    near = card.near_duplicates.values()
    return {
        "read": sum(one.read for one in card.sources),
        "accepted": sum(one.accepted for one in card.sources),
        "accepted_tokens": sum(one.accepted_tokens for one in card.sources),
        "tokens": sum(_tokens(one) for one in card.sources),
        "rejected_tokens": sum(sum(one.rejected_tokens.values()) for one in card.sources),
        "train": sum(card.train_examples.values()),
        "eval": sum(card.eval_examples.values()),
        "covered": sum(one.documents > 0 for one in card.coverage),
        "contaminated": sum(one.rejected.get("contaminated", 0) for one in card.sources),
        "left_out": sum(one.rejected.get(reason, 0) for one in card.sources for reason in OVER),
        "compared": sum(one.compared for one in near),
        "copies": sum(one.removed for one in near),
        "personal": sum(sum(one.personal_data.values()) for one in card.texts.values()),
        "kept": sum(sum(one.kept.values()) for one in card.texts.values()),
        "numbers_before": sum(one.numbers_before for one in card.texts.values()),
        "numbers_after": sum(one.numbers_after for one in card.texts.values()),
    }


def _tokens(source: SourceCount) -> int:
    return source.accepted_tokens + sum(source.rejected_tokens.values())


def _reasons(card: CurationCard) -> list[dict[str, Any]]:
    """A row a reason, the most frequent first: its meaning, totals, and the sources that lost documents by it."""
    totals: Counter[str] = Counter()
    for source in card.sources:
        totals.update(source.rejected)
    return [
        {"reason": reason, "told": card.explanations.get(reason, ""), "documents": documents,
         "tokens": sum(one.rejected_tokens.get(reason, 0) for one in card.sources),
         "sources": sorted(((one.source + (", written" if one.synthetic else ""), one.rejected[reason], one.read)
                            for one in card.sources if reason in one.rejected), key=lambda row: (-row[1], row[0]))}
        for reason, documents in totals.most_common()
    ]  # fmt: skip


def _by_reason(removed: list[Removed]) -> dict[str, list[Removed]]:
    found: dict[str, list[Removed]] = {}
    for one in removed:
        found.setdefault(one.reason, []).append(one)
    return found


def _most(card: CurationCard) -> dict[str, int]:
    """What the longest bar of each chart stands for."""
    return {
        "length": max((one.accepted + one.rejected for one in card.lengths), default=1) or 1,
        "coverage": max((one.documents for one in card.coverage), default=1) or 1,
    }


def _kinds(card: CurationCard) -> dict[str, list[Any]]:
    """The ontology's lines by kind, in its order."""
    kinds: dict[str, list[Any]] = {}
    for one in card.coverage:
        kinds.setdefault(one.kind, []).append(one)
    return kinds


def _years(places: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Columns and most of the table of places and years; of many years the older ones are one column."""
    years = sorted({year for row in places.values() for year in row if year.isdigit()})
    early, shown = years[:-YEARS_SHOWN], years[-YEARS_SHOWN:]
    rows = {
        place: ([sum(row.get(year, 0) for year in early)] if early else [])
        + [row.get(year, 0) for year in shown]
        + [sum(number for year, number in row.items() if not year.isdigit())]
        for place, row in places.items()
    }
    heads = ([f"to {early[-1]}"] if early else []) + shown + ["no date"]
    return {"heads": heads, "rows": rows, "most": max((n for row in rows.values() for n in row), default=1) or 1}


def _quality(card: CurationCard) -> list[dict[str, Any]]:
    """A chart a measure: columns of documents that kept the rules and of those that fell, over all sources."""
    charts = []
    for name, (_, per, end) in MEASURES.items():
        lists = [one.quality[name] for one in card.texts.values() if name in one.quality]
        if not lists:
            continue
        sums = [sum(column) for column in zip(*lists, strict=True)]
        columns = list(zip(sums[:BINS], sums[BINS:], strict=True))
        heads = [f"{100 * place // BINS} %" if end == 1 else f"{int(end * place / BINS)}" for place in range(BINS)]
        most = max(kept + fell for kept, fell in columns) or 1
        last = f"{heads[-1]} and more" if per else ""
        charts.append({"name": name, "columns": list(zip(heads, columns, strict=True)), "most": most, "last": last})
    return charts


def _by_name(tables: dict[str, Mapping[str, int]] | dict[str, dict[str, int]]) -> list[tuple[str, int, str]]:
    """Name, total, and the sources it is from; the most frequent first."""
    totals: Counter[str] = Counter()
    for table in tables.values():
        totals.update(table)
    return [
        (name, total, ", ".join(f"{source} {table[name]:,}" for source, table in tables.items() if table.get(name)))
        for name, total in totals.most_common()
    ]


def _alike(pair: Alike) -> dict[str, Any]:
    """A pair with each text in runs of words."""
    kept, removed = _marked(pair.kept_text, pair.removed_text)
    return {
        "kept": pair.kept,
        "removed": pair.removed,
        "jaccard": pair.jaccard,
        "kept_runs": kept,
        "removed_runs": removed,
    }


def _cluster(cluster: Cluster) -> dict[str, Any]:
    """A cluster with the texts of those that fell in runs of words, beside the one that stayed."""
    fell = [(name, _marked(cluster.kept_text, text)[1]) for name, text in cluster.fell]
    return {"kept": cluster.kept, "documents": cluster.documents, "text": cluster.kept_text, "fell": fell,
            "sources": cluster.sources, "more": cluster.documents - 1 - len(fell)}  # fmt: skip


def _marked(one: str, other: str) -> tuple[list[Run], list[Run]]:
    first, second = (re.findall(r"\S+\s*", text) for text in (one, other))
    bare, other_bare = ([word.strip() for word in words] for words in (first, second))
    blocks = difflib.SequenceMatcher(None, bare, other_bare, autojunk=False).get_matching_blocks()
    return _runs(first, [(b.a, b.size) for b in blocks]), _runs(second, [(b.b, b.size) for b in blocks])


def _runs(words: list[str], same: list[tuple[int, int]]) -> list[Run]:
    """Words in runs: those that stand in the other text too, and those between them."""
    runs: list[Run] = []
    place = 0
    for start, size in same:
        runs += [(False, "".join(words[place:start]))] if start > place else []
        runs += [(True, "".join(words[start : start + size]))] if size else []
        place = start + size
    return runs
