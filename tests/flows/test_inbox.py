"""The inbox: only complete drops are read, faults end in quarantine, an unchanged inbox is left alone."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from contracts.errors import BusyError, InputError
from data_curation.drops import look
from flows import corpus_chain, curate, inbox, removals
from flows.build import opened
from flows.holdings import removal_report
from flows.platform import automations
from flows.settings import CHECKOUT, Settings
from flows.step import plain_steps
from flows.stories import stories
from flows.surroundings import surroundings
from flows.watch import EVENT, RESOURCE, Watch
from recipes.load import load

TOLD = {
    "source": "A test", "licence": "CC0-1.0", "dates": {"first": "2020-01-01", "last": "2021-12-31"},
    "jurisdiction": "US", "language": "en", "personal_data": False,
}  # fmt: skip
RIVERS = ["Aller", "Bode", "Dosse", "Elde", "Fuhse", "Gera", "Havel", "Inde"]


def settings(tmp_path: Path, **changes: Any) -> Settings:
    return Settings(home=tmp_path / "home", inbox=tmp_path / "inbox", **{"inbox_rest_seconds": 0, **changes})


def drop(
    tmp_path: Path, name: str = "letters", vertical: str = "finance", letters: Iterable[int] = range(24), **told: Any
) -> Path:
    """A drop of short letters about the market."""
    folder = tmp_path / "inbox" / vertical / name
    folder.mkdir(parents=True)
    (folder / "corpus.yaml").write_text(yaml.safe_dump(TOLD | told), encoding="utf-8")
    rows = [{"id": f"l{n}", "text": letter(n)} for n in letters]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def letter(number: int) -> str:
    river, clerk = RIVERS[number % 8], RIVERS[(number * 3 + 1) % 8]
    return (
        f"Letter {number} on the market of {river}: monetary policy was discussed, and the rate of {number * 17 + 3} "
        f"basis points was held. The {river} office of the bank counted {number * 31 + 5} loans and {number * 7 + 2} "
        f"deposits in quarter {number % 4 + 1}. Its clerk {clerk} wrote that prices rose by {number / 10:.1f} per "
        f"cent, while wages at mill {number * 13 + 1} fell. The next letter is due after day {number % 27 + 1}. "
        f"It will tell of the harvest at farm {number * 5 + 2}, and of the price of grain there. Nobody else has "
        f"written since. The council of the town met {number % 5 + 2} times."
    )


def seen(tmp_path: Path, **changes: Any) -> inbox.View:
    return inbox.view(tmp_path / "inbox" / "finance", load("finance", "smoke"), settings(tmp_path, **changes))


def reasons(tmp_path: Path, **changes: Any) -> dict[str, str]:
    return {one.name: f"{one.status}: {one.reason}" for one in seen(tmp_path, **changes).drops}


def test_a_drop_that_still_changes_waits_and_one_at_rest_is_read(tmp_path: Path) -> None:
    drop(tmp_path)
    told = reasons(tmp_path, inbox_rest_seconds=6000)["letters"]
    assert told.startswith("waiting: changed ")
    assert told.endswith(" s ago; it must rest for 6000 s, or get a file .complete")
    assert not seen(tmp_path, inbox_rest_seconds=6000).inbox.drops
    assert list(seen(tmp_path).inbox.drops) == ["letters"]


def test_an_old_time_of_modification_does_not_deceive(tmp_path: Path) -> None:
    folder = drop(tmp_path)
    for path in (*folder.iterdir(), folder):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert reasons(tmp_path, inbox_rest_seconds=6000)["letters"].startswith("waiting")


def test_a_marker_completes_a_drop_until_something_comes_after_it(tmp_path: Path) -> None:
    folder = drop(tmp_path)
    (folder / ".complete").touch()
    assert reasons(tmp_path, inbox_rest_seconds=6000)["letters"] == "complete: "
    now = time.time()
    recipe = load("finance", "smoke")
    time.sleep(1.1)
    (folder / "more.jsonl").write_text("{}")
    (late,) = look(folder.parent, recipe.curation, now + 1, 6000)
    assert late.status == "waiting"


def test_an_unfinished_copy_holds_a_drop_back(tmp_path: Path) -> None:
    (drop(tmp_path) / "data2.jsonl.part").write_text('{"id": "half')
    assert reasons(tmp_path)["letters"] == "waiting: data2.jsonl.part is still being copied"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"licence": 7}, "corpus.yaml: licence must be text, got int '7'"),
        ({"licence": ["MIT"]}, "corpus.yaml: licence must be text, got list"),
        ({"licence": "Sesame-3"}, "corpus.yaml: licence is no SPDX licence, got str 'Sesame-3'"),
        ({"licence": "GPL-3.0-only"}, "licence GPL-3.0-only is not among the recipe's curation.licences"),
        ({"jurisdiction": False}, "corpus.yaml: jurisdiction must be text, got bool 'False'"),
        ({"personal_data": "perhaps"}, "corpus.yaml: personal_data must be true or false, got str 'perhaps'"),
        ({"dates": {"first": "2020-01-01", "last": "9999-01-01"}}, "corpus.yaml: dates must lie between 1000 and 2100"),
        ({"dates": {"first": "2021-01-01", "last": "2020-01-01"}}, "corpus.yaml: dates first must not be after last"),
        ({"licens": "MIT", "source": ""}, "corpus.yaml: source must not be empty"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_fault_of_corpus_yaml_puts_the_drop_into_quarantine(
    tmp_path: Path, told: dict[str, Any], reason: str
) -> None:
    drop(tmp_path, **told)
    drop(tmp_path, "good")
    view = seen(tmp_path)
    assert view.inbox.quarantined["letters"].startswith(reason)
    assert list(view.inbox.drops) == ["good"]
    assert "letters" not in {source.path for source in view.recipe.sources.values()}


def test_every_other_fault_of_a_drop_has_its_reason(tmp_path: Path) -> None:
    folder = drop(tmp_path)
    place = folder.parent
    (place / "bare").mkdir()
    (place / "empty").mkdir()
    (place / "empty" / "corpus.yaml").write_text((folder / "corpus.yaml").read_text())
    (place / "broken").mkdir()
    (place / "broken" / "corpus.yaml").write_bytes(b"source: [\xff")
    (place / "deep").mkdir()
    (place / "deep" / "corpus.yaml").write_text("a: " + "[" * 5000)
    (place / "list").mkdir()
    (place / "list" / "corpus.yaml").write_text("- a")
    (place / "a b").mkdir()
    (place / "a b" / "corpus.yaml").write_text((folder / "corpus.yaml").read_text())
    (place / "loose.jsonl").write_text("{}")
    (place / "linked").symlink_to(folder)
    found = reasons(tmp_path)
    assert found.pop("letters") == "complete: "
    assert {name: told.removeprefix("quarantined: ")[:32] for name, told in found.items()} == {
        "a b": "its name may hold letters, digit",
        "bare": "corpus.yaml: is missing; write o",
        "broken": "corpus.yaml: is not YAML, got 'u",
        "deep": "corpus.yaml: is not YAML, got ma",
        "empty": "holds no documents",
        "linked": "is a symbolic link: copy what it",
        "list": "corpus.yaml: must be a mapping o",
        "loose.jsonl": "lies beside the drops: put it in",
    }


def test_a_source_of_the_recipe_reads_the_drop_of_its_name(tmp_path: Path) -> None:
    drop(tmp_path, "sec_finance_filings", licence="LicenseRef-SEC-public-record")
    drop(tmp_path, "fomc_communications", licence="CC0-1.0")
    view = seen(tmp_path)
    assert view.recipe.sources["sec_filings"].path == "sec_finance_filings/data.jsonl"
    assert view.recipe.sources["sec_filings"].entity == "ticker"
    (told,) = view.inbox.quarantined.items()
    assert told[0] == "fomc_communications"
    assert told[1] == "licence CC0-1.0: the recipe's source fed_communications states LicenseRef-US-public-domain"
    assert set(view.recipe.sources) == set(load("finance", "smoke").sources), "no source beside it"


def test_the_state_changes_with_what_a_curation_would_see(tmp_path: Path) -> None:
    folder = drop(tmp_path)
    states = [seen(tmp_path).state]
    (folder / ".complete").touch()
    assert seen(tmp_path).state == states[0], "a marker is no document"
    (folder.parent / "half.part").mkdir()
    assert seen(tmp_path, inbox_rest_seconds=0).state != states[0], "a drop in quarantine is told on the card"
    (folder.parent / "half.part").rmdir()
    (folder / "data.jsonl").write_text("{}")
    states.append(seen(tmp_path).state)
    removals.request(tmp_path / "home", "letters/l1", "")
    states.append(seen(tmp_path).state)
    assert not removals.request(tmp_path / "home", "letters/l1", "")
    assert len(set(states)) == 3
    removals.request(tmp_path / "home", "listings/12", "of another vertical")
    assert seen(tmp_path).state == states[-1]


def test_a_folder_that_is_no_inbox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is the inbox of no vertical, got letters"):
        inbox.vertical_of(drop(tmp_path))


def test_an_inbox_is_curated_once_and_every_document_has_its_story(tmp_path: Path) -> None:
    """The stages' own processes, the store and the ledger; only Prefect is left out."""
    folder, mine = drop(tmp_path), settings(tmp_path)
    drop(tmp_path, "unknown", licence="Sesame-3")
    (folder / "scan.xyz").write_bytes(b"?")
    place, recipe = folder.parent, load("finance", "smoke")
    removals.request(mine.home, "letters/l5", "the writer asked")
    view = inbox.view(place, recipe, mine)
    with opened("b1", view.recipe, mine, place, "", "") as build:
        corpus = corpus_chain.curate(plain_steps(build), view.recipe, surroundings(build, layers=view.layers))
    card = json.loads(corpus.file("card.json").read_text())
    (source,) = [one for one in card["sources"] if one["source"] == "letters"]
    assert (source["read"], source["rejected"]) == (24, {"removal_requested": 1})
    assert view.inbox.quarantined["unknown"].startswith("corpus.yaml: licence is no SPDX licence")
    assert "scan.xyz" in "".join(card["quarantined"])
    assert {one["name"]: one["documents"] for one in card["coverage"]}["monetary_policy"] == 23
    inbox.refuse_changed(view, recipe, mine)

    records = inbox.Records(mine)
    assert not records.card(view, "smoke")
    records.note("finance", curated=f"smoke/{view.state}", folder=str(place), card=str(corpus.path / "card.html"))
    assert records.card(inbox.view(place, recipe, mine), "smoke") == str(corpus.path / "card.html")
    assert not records.card(view, "local"), "another scale is another corpus"

    told = "\n".join(stories(mine.home, "letters/l7"))
    raw = (folder / "data.jsonl").read_bytes().split(b"\n")
    start = sum(len(line) + 1 for line in raw[:7])
    assert f"came from    letters/data.jsonl, bytes {start:,} to {start + len(raw[7]) + 1:,}" in told
    assert "lies in      dataset/data/pretraining-" in told
    told = "\n".join(stories(mine.home, "letters/l5"))
    assert "removal requests     rejected: removal_requested (of letters/l5)" in told
    assert "exact duplicates     passed" in told
    assert "split                not reached" in told
    with pytest.raises(InputError, match="is in none of the curated corpora"):
        stories(mine.home, "letters/l99")

    report = "\n".join(removal_report(mine, "letters"))
    assert "finance: 23 accepted documents of letters" in report
    assert f"corpus {corpus.fingerprint}" in report
    assert "cheapest rebuild: stillroom curate finance --scale smoke" in report
    assert "no artifact holds it: only rejected, 1 times" in removal_report(mine, "letters/l5")[0]

    (folder / "data.jsonl").write_text("{}")
    with pytest.raises(BusyError, match="letters: changed while it was read"):
        inbox.refuse_changed(view, recipe, mine)


def test_the_watcher_speaks_until_a_run_has_taken_what_it_saw(tmp_path: Path) -> None:
    folder, mine = drop(tmp_path), settings(tmp_path)
    said: list[tuple[str, dict[str, Any]]] = []
    watch = Watch(mine, "smoke", lambda vertical, payload: said.append((vertical, payload)))
    spoke = [at for at in range(0, 2000, 10) if watch.look(at)]
    assert spoke == [0, 30, 90, 210, 450, 930, 1530]
    assert said[0] == ("finance", {"vertical": "finance", "state": said[0][1]["state"], "drops": ["letters"]})
    inbox.Records(mine).note("finance", attempted=said[0][1]["state"])
    assert not any(watch.look(at) for at in range(2000, 4000, 10))
    (folder / "more.jsonl").write_text('{"id": "1", "text": "new"}')
    assert watch.look(4000) == ["finance"]
    assert said[-1][1]["state"] != said[0][1]["state"]


def test_the_watcher_keeps_silent_on_what_waits_and_survives_a_broken_inbox(tmp_path: Path) -> None:
    drop(tmp_path)
    said: list[str] = []
    watch = Watch(settings(tmp_path, inbox_rest_seconds=6000), "smoke", lambda vertical, _: said.append(vertical))
    assert not watch.look(0)
    (tmp_path / "inbox" / "real_estate").mkdir()
    assert not watch.look(10)
    assert not said


def test_the_deployment_is_started_by_the_watchers_event() -> None:
    rows = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    row = next(one for one in rows if one["name"] == "inbox")
    (made,) = automations(row, "curate", uuid4())
    assert made.trigger.expect == {EVENT}
    assert made.trigger.match.matches({"prefect.resource.id": f"{RESOURCE}.finance"})
    assert made.trigger.posture == "Reactive"
    (action,) = made.actions
    assert action.parameters["vertical"] == "{{ event.payload.vertical }}"
    assert row["schedules"][0]["active"]
    assert not [one for other in rows if other is not row for one in automations(other, "any", uuid4())]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["curate", "no/such"], 2, "no/such: is no vertical and no folder"),
        (["curate", "{inbox}/finance/letters"], 2, "is the inbox of no vertical, got letters"),
        (["curate", "{inbox}/finance", "--corpus", "x"], 2, "--corpus: does not go with an inbox, got x"),
        (["curate", "show", "letters/l1"], 2, "letters/l1: is in none of the curated corpora, got 0 looked at"),
        (["curate", "{inbox}/finance"], 0, "letters is waiting: changed"),
        (["curate", "finance", "--set", "curation.bandz=1"], 2, "did you mean bands?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands(tmp_path: Path, arguments: list[str], code: int, told: str) -> None:
    drop(tmp_path)
    given = [one.format(inbox=tmp_path / "inbox") for one in arguments]
    own = {"STILLROOM_HOME": str(tmp_path / "home"), "STILLROOM_INBOX_REST_SECONDS": "600", "COLUMNS": "160"}
    said = subprocess.run([sys.executable, "-m", "flows.cli", *given], cwd=CHECKOUT, env=os.environ | own,
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert told in said.stderr
    assert said.returncode == code
    assert "Traceback" not in said.stderr


def test_a_second_run_of_what_another_has_begun_with_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher says a drop again until a run has taken it, and Prefect may start both."""
    folder, mine = drop(tmp_path).parent, settings(tmp_path)
    recipe = load("finance", "smoke")
    monkeypatch.setattr(curate, "get_run_logger", lambda: logging.getLogger("stillroom"))  # Prefect's needs a run
    with opened("first", recipe, mine, folder, "", ""):
        with pytest.raises(BusyError, match="finance: is being built already"):
            curate._inbox(folder, recipe, mine)
        inbox.Records(mine).note("finance", attempted=inbox.view(folder, recipe, mine).state)
        assert curate._inbox(folder, recipe, mine) == ""


def test_a_drop_of_forms_says_that_figures_tell_them_apart(tmp_path: Path) -> None:
    drop(tmp_path, "leases", figures_tell_apart=True)
    drop(tmp_path, "letters")
    sources = seen(tmp_path).recipe.sources
    assert sources["leases"].figures_tell_apart
    assert sources["letters"].figures_tell_apart is None
