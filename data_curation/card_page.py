"""The card as a page: self-contained, without a script, every shown text escaped by the template engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from contracts.reports import CurationCard, SourceCount
from data_curation.card_samples import cluster_sizes, made, rejects

HERE = Path(__file__).parent
YEARS_SHOWN = 15


def render_card(card: CurationCard, folder: Path | None) -> str:
    """The page of a card; samples are read from the files in ``folder``, where there is one."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(count=count, chars=chars, share=share)
    removed, alike = rejects(folder, card) if folder else ([], [])
    return environment.get_template("card_page.html.jinja").render(
        card=card,
        style=Markup((HERE / "card_page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        totals=_totals(card),
        reasons=_reasons(card),
        most=_most(card),
        clusters=cluster_sizes(folder) if folder else {},
        removed=removed,
        alike=alike,
        made=made(folder) if folder else [],
        kinds=_kinds(card),
        years=_years(card.places_and_years),
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
    covered = [one for one in card.coverage if one.documents]
    return {
        "read": sum(one.read for one in card.sources),
        "accepted": sum(one.accepted for one in card.sources),
        "accepted_tokens": sum(one.accepted_tokens for one in card.sources),
        "tokens": sum(_tokens(one) for one in card.sources),
        "train": sum(card.train_examples.values()),
        "eval": sum(card.eval_examples.values()),
        "covered": len(covered),
    }


def _tokens(source: SourceCount) -> int:
    return source.accepted_tokens + sum(source.rejected_tokens.values())


def _reasons(card: CurationCard) -> list[dict[str, Any]]:
    """A line a reason and source, the most frequent reason first."""
    totals: Counter[str] = Counter()
    for source in card.sources:
        totals.update(source.rejected)
    return [
        {"reason": reason, "source": source.source + (", written" if source.synthetic else ""), "read": source.read,
         "documents": source.rejected[reason], "tokens": source.rejected_tokens.get(reason, 0), "total": total,
         "first": number == 0}
        for reason, total in totals.most_common()
        for number, source in enumerate(
            sorted((s for s in card.sources if reason in s.rejected), key=lambda s: -s.rejected[reason]))
    ]  # fmt: skip


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


def _by_name(tables: dict[str, Mapping[str, int]] | dict[str, dict[str, int]]) -> list[tuple[str, int, str]]:
    """Name, total, and the sources it is from; the most frequent first."""
    totals: Counter[str] = Counter()
    for table in tables.values():
        totals.update(table)
    return [
        (name, total, ", ".join(f"{source} {table[name]:,}" for source, table in tables.items() if table.get(name)))
        for name, total in totals.most_common()
    ]
