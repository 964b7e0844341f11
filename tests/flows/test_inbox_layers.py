"""Layers of an inbox through the choke point: what is new is read, the rest is found."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from contracts.artifacts import RECORD, Artifact
from flows import corpus_chain, inbox, removals
from flows.build import opened
from flows.holdings import removal_report
from flows.step import plain_steps
from flows.stories import stories
from flows.surroundings import surroundings
from recipes.load import load
from tests.flows.test_inbox import drop, seen, settings


def test_drops_that_come_later_are_layers_of_their_own(tmp_path: Path) -> None:
    drop(tmp_path, "b")
    drop(tmp_path, "c")
    first = seen(tmp_path)
    assert [sorted(one.inbox.drops) for one in first.layers] == [["b", "c"]]
    inbox.Records(settings(tmp_path)).take(first, {})
    drop(tmp_path, "a")
    drop(tmp_path, "sec_finance_filings", licence="LicenseRef-SEC-public-record")
    second = seen(tmp_path)
    assert [sorted(one.inbox.drops) for one in second.layers] == [["b", "c"], ["a", "sec_finance_filings"]]
    assert second.layers[0] == first.layers[0], "what came later does not change what was there"
    later = second.layers[1]
    assert set(later.recipe.sources) == {"a", "sec_filings"} and later.inbox.described == ("a",)
    assert not set(later.recipe.tasks) & set(first.layers[0].recipe.tasks)
    assert second.recipe.sources["sec_filings"].path == "sec_finance_filings/data.jsonl"
    inbox.Records(settings(tmp_path)).take(second, {})  # a run that is killed now leaves no layer, but the order
    drop(tmp_path, "0")
    third = seen(tmp_path)
    assert [sorted(one.inbox.drops) for one in third.layers[1:]] == [["a", "sec_finance_filings"], ["0"]]
    assert third.layers[:2] == second.layers


def noted(tmp_path: Path, *layers: list[str]) -> None:
    folder = str(tmp_path / "inbox" / "finance")
    inbox.Records(settings(tmp_path)).note("finance", taken_from=folder, layers=list(layers))


def test_a_drop_that_is_away_for_a_while_comes_back_to_its_place(tmp_path: Path) -> None:
    drop(tmp_path, "a")
    noted(tmp_path, ["a", "gone"], ["b"])
    assert [sorted(one.inbox.drops) for one in seen(tmp_path).layers] == [["a"]]
    drop(tmp_path, "b")
    drop(tmp_path, "gone")
    assert [sorted(one.inbox.drops) for one in seen(tmp_path).layers] == [["a", "gone"], ["b"]]


def test_a_removal_request_concerns_the_layer_of_its_drop_alone(tmp_path: Path) -> None:
    drop(tmp_path, "a")
    drop(tmp_path, "b")
    noted(tmp_path, ["a"], ["b"])
    removals.request(tmp_path / "home", "b/l1", "")
    assert [one.removals for one in seen(tmp_path).layers] == [(), ("b/l1",)]


def test_the_cost_of_a_drop_is_that_of_the_drop(tmp_path: Path) -> None:
    """The stages' own processes, one layer after the other; the second run reads nothing of the first drop."""
    mine, recipe = settings(tmp_path), load("finance", "smoke")
    place = drop(tmp_path).parent

    def run(build_id: str) -> tuple[list[str], list[Artifact], Artifact]:
        view, records = inbox.view(place, recipe, mine), inbox.Records(mine)
        with opened(build_id, view.recipe, mine, place, "", "") as build:
            records.take(view, view.digests)
            build.digests = dict(view.digests)
            made = corpus_chain.layers(plain_steps(build), surroundings(build, layers=view.layers))
            records.take(view, build.digests)
            card = corpus_chain.inbox_card(plain_steps(build), recipe, made, view.inbox.quarantined)
            return [line.stage for line in build.lines if not line.cached], made, card

    ran, (first,), _ = run("b1")
    assert ran == ["write", "curate", "card"]
    assert list(inbox.view(place, recipe, mine).digests) == ["letters"]
    more = drop(tmp_path, "more", letters=[*range(20, 30), 3])
    read = [place / "letters" / "data.jsonl", first.path / "pretraining.jsonl"]
    kept = [garbled(path) for path in read]
    ran, (again, second), card = run("b2")
    for path, content in zip(read, kept, strict=True):
        garbled(path, content)
    assert ran == ["curate", "card"] and again.fingerprint == first.fingerprint
    told = json.loads(second.file("card.json").read_text())
    assert {one["source"]: one["rejected"] for one in told["sources"]} == {"more": {"exact_duplicate": 5}}
    assert card.metrics["read"] == 35 + first.metrics["read"] - 24
    assert run("b3")[0] == [], "nothing is made again"
    told = "\n".join(stories(mine.home, "letters/l3"))
    assert "its copy  more/l3: exact_duplicate (of letters/l3; accepted in drop letters)" in told
    told = "\n".join(stories(mine.home, "more/l3"))
    assert "is a copy of letters/l3, which was kept" in told

    whole, later = files_of(first.path), files_of(second.path)
    shutil.rmtree(first.path / "index")
    ran, (mended, same), _ = run("b4")
    assert ran == ["curate"] and same.fingerprint == second.fingerprint
    assert files_of(mended.path) == whole and files_of(same.path) == later

    removals.request(mine.home, "more/l25", "the writer asked")
    ran, (kept, anew), _ = run("b5")
    assert (
        ran == ["curate", "card"] and kept.fingerprint == mended.fingerprint and anew.fingerprint != second.fingerprint
    )
    report = "\n".join(removal_report(mine, "letters/l3"))
    assert report.count("finance: 1 accepted documents of letters/l3") == 1
    assert f"curate {anew.fingerprint}" in report

    view = inbox.view(place, recipe, mine)
    with opened("b6", view.recipe, mine, place, "", "") as build:
        corpus = corpus_chain.curate(plain_steps(build), view.recipe, surroundings(build, layers=view.layers))
        assert [line.stage for line in build.lines if not line.cached] == ["join"]
    assert (corpus.kind, corpus.metrics["read"]) == ("corpus", card.metrics["read"])
    assert f"in corpus {corpus.fingerprint}, vertical finance" in stories(mine.home, "letters/l3")[0]
    report = "\n".join(removal_report(mine, "letters/l3"))
    assert report.count("finance: 1 accepted") == 1 and f"join {corpus.fingerprint}" in report

    (more / "data.jsonl").write_text("")
    assert list(inbox.view(place, recipe, mine).digests) == ["letters"]


def garbled(path: Path, content: bytes = b"") -> bytes:
    """Other bytes of the same size and time, or the old ones again; whoever reads the file takes it for another."""
    before, seen_at = path.read_bytes(), path.stat()
    path.write_bytes(content or b"?" * len(before))
    os.utime(path, ns=(seen_at.st_atime_ns, seen_at.st_mtime_ns))
    return before


def files_of(folder: Path) -> dict[str, bytes]:
    """All but the record, which tells what it took."""
    found = {str(one.relative_to(folder)): one for one in sorted(folder.rglob("*")) if one.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != RECORD}
