"""A page as HTML: one style sheet in it, nothing from elsewhere, every name escaped by the template engine."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from flows.dashboard import amounts
from flows.dashboard.page import Page
from flows.dashboard.query import PAGES, Links, Query
from flows.report import count, plain, seconds
from ledger.snapshot import BuildRow

HERE = Path(__file__).parent
BUILDS_OFFERED = 200


@dataclass(frozen=True)
class Frame:
    """What surrounds every page."""

    query: Query
    links: Links
    now: datetime
    ledger: str
    path: str = "/"
    exported: bool = False
    filters: bool = True
    offered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the filter offers for ``vertical``, ``team`` and ``scale``; an exported page links its verticals."""
    builds: tuple[BuildRow, ...] = ()

    @property
    def menu(self) -> dict[str, str]:
        """The panels in their order."""
        return PAGES

    @property
    def style(self) -> Markup:
        """The style sheet."""
        return Markup(style())  # noqa: S704 - our own files

    @property
    def policy(self) -> str:
        """For an exported page: nothing but its own style."""
        return policy(scripts=False)


def choices(builds: Sequence[BuildRow]) -> dict[str, tuple[str, ...]]:
    """What the filter offers."""
    return {
        name: tuple(sorted({value for one in builds if (value := getattr(one, name))}))
        for name in ("vertical", "team", "scale")
    }


def render(page: Page, frame: Frame) -> str:
    """The page as text."""
    return environment().get_template(f"{page.template}.html.jinja").render(page=page, frame=frame, **page.told)


def policy(*, scripts: bool) -> str:
    """The Content-Security-Policy: the style by its digest, scripts of this server only where a page has one.

    A page of the server sends its forms nowhere else and stands in no frame; a meta tag cannot say the latter.
    """
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    own = "script-src 'self'; connect-src 'self'; " if scripts else ""
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; {own}form-action 'self'; base-uri 'none'"


@cache
def style() -> str:
    """The report's style sheet and the dashboard's own."""
    return (HERE.parent / "report_page.css").read_text(encoding="utf-8") + (HERE / "dashboard.css").read_text(
        encoding="utf-8"
    )


@cache
def script() -> str:
    """What refreshes the running page."""
    return (HERE / "live.js").read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Templates, with figures printed as ``amounts`` and the build report print them."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters.update(
        money=amounts.money,
        amount=amounts.amount,
        digits=amounts.digits_for,
        hours=amounts.hours,
        percent=amounts.percent,
        points=amounts.points,
        when=amounts.when,
        plain=amounts.plain,
        seconds=seconds,
        count=count,
        plain_metric=plain,
        exact=escape,
    )
    return made


def _shown(value: object) -> object:
    """Every text that is shown, unless ``exact`` says that it is a form's value."""
    return amounts.visible(value) if type(value) is str else value
