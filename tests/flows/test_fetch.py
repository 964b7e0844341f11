"""An inbox by its URL: what is copied where, and what the watcher says when it cannot."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from contracts.errors import InputError
from flows import inbox
from flows.fetch import fetch_all, fetched, is_url
from flows.watch import Watch
from recipes.load import load
from tests.flows.test_inbox import drop, settings


def test_an_inbox_by_its_url_is_read_like_any_other(tmp_path: Path) -> None:
    (drop(tmp_path) / ".complete").touch()
    url = (tmp_path / "inbox" / "finance").as_uri()
    said: list[str] = []
    mine = settings(tmp_path, inbox_rest_seconds=6000)
    folder = fetched(url, mine, said.append)
    assert said == [f"{url}/letters is copied"] and folder.is_relative_to(mine.home) and folder.name == "finance"
    assert list(inbox.view(folder, load("finance", "smoke"), mine).inbox.drops) == ["letters"]
    assert fetched(url, mine, said.append) == folder and len(said) == 1
    assert is_url(url) and not is_url("inbox/finance")
    with pytest.raises(InputError, match="is the inbox of no vertical, got letters"):
        fetched(f"{url}/letters", mine, said.append)


def test_the_watcher_copies_before_it_looks_and_complains_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (drop(tmp_path) / ".complete").touch()
    there = tmp_path / "there"
    (tmp_path / "inbox").rename(there)
    mine = settings(tmp_path, inbox_url=there.as_uri(), inbox_rest_seconds=6000)
    fetch_all(settings(tmp_path), lambda _: pytest.fail("no URL is set"))
    spoken: list[str] = []
    watch = Watch(mine, "smoke", lambda vertical, _: spoken.append(vertical))
    with caplog.at_level(logging.INFO, "stillroom"):
        watch.fetch()
        watch.fetch()
    assert watch.look(0) == ["finance"] == spoken, "that there is no folder for the others is no fault"
    assert sum("letters is copied" in one.message for one in caplog.records) == 1
    assert [one for one in caplog.records if one.levelname == "WARNING"] == []
