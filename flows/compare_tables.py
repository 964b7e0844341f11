"""A comparison in the terminal."""

from __future__ import annotations

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from flows.compare import Comparison
from flows.plan_tables import figure, spread, titled
from recipes.economics import Against, Range


def table(made: Comparison) -> Lines:
    """Ratios, ways to train, what serving costs, each API beside it, and where small models do not win."""
    notes = [Text(f"- {note}", style="dim") for note in made.notes]
    return Lines(_trained(made), _ways(made), _serving(made), _prices(made), _against(made), _task_fit(made), *notes)


def _trained(made: Comparison) -> Table:
    shown = titled("how long models are trained", ("model",))
    for heading in ("parameters", "tokens", "tokens a parameter", "times Chinchilla"):
        shown.add_column(heading, justify="right")
    for one in made.trained:
        row = (f"{one.params:.3g}", f"{one.tokens:.3g}", figure(one.tokens_per_param), figure(one.over_chinchilla))
        shown.add_row(Text(one.model), *row)
    return shown


def _ways(made: Comparison) -> Table:
    shown = titled(f"ways to models of one's own, on {made.device}", ("way",))
    for heading in ("FLOPs", "device-hours p50 (p10 to p90)", "USD compute p50 (p10 to p90)", "USD all in", "days"):
        shown.add_column(heading, justify="right")
    for one in made.ways:
        usd = spread(one.usd) if one.usd else "no price"
        all_in = _between(one.all_in_usd) if one.all_in_usd else "-"
        shown.add_row(Text(one.way), f"{one.flops:.1e}", spread(one.device_hours), usd, all_in, figure(one.days))
    shown.add_section()
    shown.add_row(
        "published: a first vertical family, the whole programme", "", "", "", _between(made.programme_usd), ""
    )
    return shown


def _serving(made: Comparison) -> Table:
    shown = titled(f"{made.demand.tokens_a_day:,.0f} tokens a day on {made.served_on}", ("model",))
    for heading in ("requests/s of a device", "devices", "USD a month", "USD per 1M tokens at half load"):
        shown.add_column(heading, justify="right")
    for one in made.serving:
        chosen = "bold" if one.model == made.student else ""
        row = (figure(one.requests_per_second), str(one.devices), figure(one.usd_a_month), figure(one.usd_per_million))
        shown.add_row(Text(one.model), *row, style=chosen)
    return shown


def _prices(made: Comparison) -> Table:
    """What each API is expected to ask by the year, and what one's own model costs all along."""
    years = list(next(iter(made.prices.values()), {}))
    shown = titled("USD per 1M tokens, in the middle of the year", ("model",))
    for year in years:
        shown.add_column(str(year), justify="right")
    for name, by_year in made.prices.items():
        shown.add_row(Text(name), *(price(by_year[year]) for year in years))
    shown.add_section()
    for one in made.serving:
        style = "bold" if one.model == made.student else ""
        shown.add_row(Text(f"{one.model} at half load"), *(price(one.usd_per_million) for _ in years), style=style)
    return shown


def price(usd: float) -> str:
    """Three places: prices of tokens fall below a cent."""
    return f"{usd:,.3f}"


def _against(made: Comparison) -> Table:
    build = figure(made.demand.build_usd)
    title = f"{made.student} against an API over {made.demand.months} months, build of {build} USD included"
    shown = titled(title, ("API",))
    headings = (
        "USD per 1M now",
        "mean",
        "API USD",
        "own USD",
        "saved USD",
        "return",
        "paid back",
        "break-even tokens/day",
    )
    for heading in headings:
        shown.add_column(heading, justify="right")
    for one in made.against:
        shown.add_row(Text(one.api), *_cells(one), style="" if one.saved_usd > 0 else "yellow")
    return shown


def _cells(one: Against) -> tuple[str, ...]:
    even = one.break_even_tokens_a_day
    return (
        price(one.usd_per_million_now),
        price(one.usd_per_million_mean),
        figure(one.api_usd),
        figure(one.own_usd),
        figure(one.saved_usd) if one.saved_usd >= 0 else f"-{figure(-one.saved_usd)}",
        f"{one.return_on_investment:+.0%}",
        f"month {one.payback_months}" if one.payback_months else "never",
        f"{even:,.0f}" if even is not None else "at no volume",
    )


def _task_fit(made: Comparison) -> Table:
    shown = titled("where a fine-tuned 7B wins, and where not", ("task",))
    for heading in ("frontier", "fine-tuned 7B", "difference"):
        shown.add_column(heading, justify="right")
    for task, (frontier, tuned) in made.task_fit.items():
        style = "red" if tuned < frontier else ""
        shown.add_row(
            Text(task), f"{frontier:.0%}", f"{tuned:.0%}", f"{100 * (tuned - frontier):+.0f} points", style=style
        )
    return shown


def _between(band: Range) -> str:
    return f"{figure(band[0])} to {figure(band[1])}"
