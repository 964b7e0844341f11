"""Drops that lie elsewhere, on fsspec's own file systems: files and memory."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from contracts.errors import InputError
from data_curation import remote_drops
from data_curation.drops import look
from data_curation.remote_drops import RECORD, Fetched, fetch_drops, shown
from recipes.schema import Curation

TOLD = """source: A test
licence: CC0-1.0
dates: {first: 2020-01-01, last: 2021-12-31}
jurisdiction: US
language: en
personal_data: false
"""


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{uuid4().hex}/finance" if request.param == "memory" else (tmp_path / "there" / "finance").as_uri()


def put(url: str, path: str, content: str) -> None:
    files, root = fsspec.core.url_to_fs(url)
    files.makedirs(f"{root}/{path.rpartition('/')[0]}", exist_ok=True)
    files.pipe(f"{root}/{path}", content.encode())


def drop(url: str, name: str = "letters", marker: bool = True) -> None:
    put(url, f"{name}/corpus.yaml", TOLD)
    put(url, f"{name}/deep/data.jsonl", '{"id": "1", "text": "one"}\n')
    if marker:
        put(url, f"{name}/.complete", "")


def fetch(url: str, tmp_path: Path, rest: float = 6000) -> list[Fetched]:
    return fetch_drops(url, tmp_path / "inbox", time.time(), rest)


def visible(tmp_path: Path) -> list[str]:
    return sorted(one.name for one in (tmp_path / "inbox").iterdir() if not one.name.endswith(".lock"))


def test_a_complete_drop_is_copied_once_with_its_checksums(url: str, tmp_path: Path) -> None:
    drop(url)
    assert fetch(url, tmp_path) == [Fetched("letters", "copied")]
    copied = tmp_path / "inbox" / "letters"
    content = (copied / "deep" / "data.jsonl").read_bytes()
    assert content == b'{"id": "1", "text": "one"}\n'
    record = json.loads((copied / RECORD).read_text())
    assert record["sha256"]["deep/data.jsonl"] == hashlib.sha256(content).hexdigest()
    (seen,) = look(tmp_path / "inbox", Curation(licences=("CC0-1.0",)), time.time(), 6000)
    assert (seen.status, [one.path for one in seen.files]) == ("complete", ["deep/data.jsonl"])
    assert fetch(url, tmp_path) == [Fetched("letters", "unchanged")]


def test_a_drop_waits_until_it_is_complete(url: str, tmp_path: Path) -> None:
    drop(url, marker=False)
    (waiting,) = fetch(url, tmp_path)
    assert waiting.status == "waiting" and "must rest for 6000 s" in waiting.reason
    assert fetch(url, tmp_path, rest=0) == [Fetched("letters", "copied")]
    put(url, "letters/more.jsonl.part", "{")
    (waiting,) = fetch(url, tmp_path, rest=0)
    assert waiting.reason == "more.jsonl.part is still being copied"
    assert (tmp_path / "inbox" / "letters" / "corpus.yaml").is_file(), "the copy of before stays"


def test_what_changed_is_copied_again_and_what_is_gone_goes(url: str, tmp_path: Path) -> None:
    drop(url)
    drop(url, "other")
    own = tmp_path / "inbox" / "by-hand"
    own.mkdir(parents=True)
    assert [one.status for one in fetch(url, tmp_path)] == ["copied", "copied"]
    put(url, "letters/deep/data.jsonl", '{"id": "1", "text": "another"}\n')
    put(url, "letters/.complete", "")
    files, root = fsspec.core.url_to_fs(url)
    files.rm(f"{root}/other", recursive=True)
    assert fetch(url, tmp_path) == [Fetched("letters", "copied"), Fetched("other", "gone")]
    assert "another" in (tmp_path / "inbox" / "letters" / "deep" / "data.jsonl").read_text()
    assert visible(tmp_path) == ["by-hand", "letters"]


def test_a_drop_that_changes_while_it_is_copied_is_thrown_away(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(url)
    copy = remote_drops._copy

    def slow(*asked: object) -> str | None:
        put(url, "letters/deep/late.jsonl", "{}")
        return copy(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(remote_drops, "_copy", slow)  # the only way to change it between two reads without a race
    assert fetch(url, tmp_path) == [Fetched("letters", "waiting", "changed while it was copied")]
    assert not visible(tmp_path)


def test_drops_that_must_not_be_copied_are_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(url, "a b")
    drop(url)
    put(url, "letters/.fetched.json", "{}")
    drop(url, "many")
    told = {one.name: (one.status, one.reason) for one in fetch(url, tmp_path)}
    assert told["a b"] == ("refused", "its name may hold letters, digits, . _ and - only")
    assert told["letters"] == ("refused", "a file's name leads elsewhere: '.fetched.json'")
    monkeypatch.setattr(remote_drops, "MOST_FILES", 2)
    drop(url, "more")
    told = {one.name: (one.status, one.reason) for one in fetch(url, tmp_path)}
    assert told["more"] == ("refused", "more than 2 files")
    monkeypatch.setattr(remote_drops, "MOST_FILES", 9)
    monkeypatch.setattr(remote_drops, "SPARE_BYTES", 1 << 60)
    told = {one.name: (one.status, one.reason) for one in fetch(url, tmp_path)}
    assert told["more"][0] == "refused" and told["more"][1].endswith("and 0 are free here")


def test_a_url_that_cannot_be_read_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        fetch("memory://nowhere/finance", tmp_path)
    with pytest.raises(InputError, match="cannot be opened") as caught:
        fetch("nosuch://user:secret@host/finance", tmp_path)
    assert "secret" not in str(caught.value) and "nosuch://host/finance" in str(caught.value)
    assert shown("s3://bucket/a") == "s3://bucket/a"


def test_links_are_not_followed_out_of_a_folder(tmp_path: Path) -> None:
    place = tmp_path / "there" / "finance"
    drop(place.as_uri())
    (tmp_path / "outside.jsonl").write_text("{}")
    os.symlink(tmp_path / "outside.jsonl", place / "letters" / "link.jsonl")
    put(place.as_uri(), "letters/.complete", "")
    (refused,) = fetch(place.as_uri(), tmp_path)
    assert refused == Fetched("letters", "refused", "holds a link: link.jsonl")
