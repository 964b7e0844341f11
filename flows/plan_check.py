"""The planner beside published figures, for the terminal and for docs/plan.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from flows.plan_tables import titled
from recipes.published import Published

KINDS = {
    "pretraining_flops": "Operations of training",
    "pretraining_hours": "Whole runs",
    "pretraining_days": "Whole runs",
    "training_speed": "Speed of training",
    "distillation_hours": "Distillation",
    "qlora_memory": "Memory",
    "logit_memory": "Memory",
    "serving_speed": "Speed of serving",
    "usd_per_million": "Cost of serving",
    "quotient": "Cost of serving",
    "fp8_peak": "Devices",
    "peak_ratio": "Devices",
    "usual_price": "Prices",
    "between": "Prices",
    "product": "Volumes and prices",
}


def rows_as_json(rows: Sequence[Published]) -> list[dict[str, Any]]:
    """Every row with what was computed."""
    return [row.model_dump() | {"computed": row.computed, "error": row.error, "stands": row.stands} for row in rows]


def table(rows: Sequence[Published]) -> Table:
    """All rows, by what they are about."""
    shown = titled("the planner against published figures", ("about", "figure"))
    for heading in ("published", "computed", "error", "tolerance"):
        shown.add_column(heading, justify="right")
    shown.add_column("verdict")
    shown.add_column("note", overflow="fold")
    for row in ordered(rows):
        style = "" if row.stands and not row.contradicts else "yellow" if row.stands else "red"
        shown.add_row(*map(Text, cells(row)), style=style)
    return shown


def markdown(rows: Sequence[Published]) -> str:
    """The same as a table of a page."""
    head = ("about", "figure", "published", "computed", "error", "tolerance", "verdict", "note")
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---:' if 1 < at < 6 else '---' for at in range(len(head)))}|"]
    return "\n".join([*lines, *(f"| {' | '.join(cells(row))} |" for row in ordered(rows))]) + "\n"


def ordered(rows: Sequence[Published]) -> list[Published]:
    """By what they are about, then as in the file."""
    about = list(dict.fromkeys(KINDS.values()))
    return sorted(rows, key=lambda row: about.index(KINDS[row.kind]))


def cells(row: Published) -> tuple[str, ...]:
    """One row's cells as text."""
    verdict = "contradicts its source" if row.contradicts else "within"
    return (
        KINDS[row.kind],
        row.id,
        f"{row.published:,.6g} {row.unit}",
        f"{row.computed:,.4g}",
        f"{row.error:+.1%}",
        f"{row.tolerance:.0%}",
        verdict if row.stands else "OUTSIDE",
        row.note,
    )
