"""The pages as files that open from a disk, without a server, a script or a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from contracts.errors import InputError, PublishError
from flows.dashboard.attribution_pages import build
from flows.dashboard.lineage_pages import artifact
from flows.dashboard.page import Page, builds_in
from flows.dashboard.query import ExportedLinks, Query, parse
from flows.dashboard.render import Frame, choices, render
from flows.dashboard.serve import PANELS
from flows.dashboard.source import Source

MARK = "dashboard.json"
"""An exported folder has it: only such a folder is replaced."""
MOST_BUILDS = 200


def export(source: Source, query: Query, folder: Path) -> int:
    """Write every page within the filter into ``folder``; returns how many. What was there is replaced whole.

    Raises InputError for a folder of something else, PublishError where it cannot be written, LedgerError.
    """
    folder = folder.expanduser().absolute()
    if folder.exists() and not (folder / MARK).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("--export", "is not empty and no exported dashboard", got=folder, hint="name a new folder")
    part = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        count = 0
        for name, text in pages(source, query):
            (part / name).write_text(text, encoding="utf-8")
            count += 1
        told = {"pages": count, "filter": dict(query.words), "ledger": source.name, "at": source.now().isoformat()}
        (part / MARK).write_text(json.dumps(told, indent=1), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        hint = "is there space on the disk, and may this user write there?"
        raise PublishError(str(folder), "could not be written", got=error.strerror, hint=hint) from error
    return count


def pages(source: Source, query: Query) -> Iterator[tuple[str, str]]:
    """File names and pages: the panels for all verticals and for each, then every build and artifact."""
    told = source.told()
    offered = choices(told.builds)
    verticals = offered["vertical"] if "vertical" not in query.words and len(offered["vertical"]) > 1 else ()
    builds = builds_in(told, query.scope)[:MOST_BUILDS]
    paged = frozenset(one.id for one in builds)
    for variant in ("", *verticals):
        links = ExportedLinks(verticals, variant, paged)
        asked = parse({**query.words, "vertical": variant}) if variant else query
        for name, draw in PANELS.items():
            yield links.page(name), _drawn(source, asked, links, draw(source, asked), verticals)
    links = ExportedLinks(verticals, "", paged)
    for one in builds:
        yield links.build(one.id), _drawn(source, query, links, build(source, query, one.id), verticals)
    for fingerprint in source.records().nodes:
        yield links.artifact(fingerprint), _drawn(source, query, links, artifact(source, query, fingerprint), verticals)


def _drawn(source: Source, query: Query, links: ExportedLinks, page: Page, verticals: tuple[str, ...]) -> str:
    frame = Frame(query, links, source.now(), source.name, exported=True, offered={"vertical": verticals})
    return render(page, frame)
