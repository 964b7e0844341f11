"""Near-duplicates over the sources of one run: by the rules of one source, as if they had come one after another."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.curation_report import CurationCard
from contracts.errors import GateError
from data_curation.card_samples import read
from data_curation.cross_sources import Compared, Printed, find_across
from data_curation.curate import curate
from data_curation.guard import check_split
from data_curation.kernel import texts_of, wanted
from data_curation.near_pairs import roots
from data_curation.prints import boilerplate_of, prints_of
from data_curation.splitting import entity_key, position
from recipes.corpus import Inbox
from recipes.schema import Curation, Source
from recipes.stage_sections import CurateSection
from tests.data_curation.corpus_sample import lease, lines, section, story, write_rows
from tests.data_curation.test_duplicates import CLAUSES, words
from tests.data_curation.test_duplicates import lease as form
from tests.data_curation.test_layers import Place, stories

CURATION = Curation(licences=("CC0-1.0", "MIT"))
Row = dict[str, Any]


def edited(text: str, every: int = 90) -> str:
    """The same text with a word in so many changed."""
    return " ".join("altered" if at % every == every // 2 else word for at, word in enumerate(text.split()))


def told_of(corpus: Path, sources: dict[str, list[Row]], **changes: Any) -> CurateSection:
    """A section over sources of plain text, in this order; a row may hold ``date``."""
    for name, rows in sources.items():
        write_rows(corpus / f"{name}.jsonl", rows)
    licences = changes.pop("licences", {})
    own = {
        name: Source(path=f"{name}.jsonl", use=changes.get(f"{name}_use", "pretraining"), date="date",
                     licence=licences.get(name, "CC0-1.0"), figures_tell_apart=changes.get(f"{name}_apart"))
        for name in sources
    }  # fmt: skip
    made = section(corpus, **{key: one for key, one in changes.items() if key in Curation.model_fields})
    workers = changes.get("workers", 0)
    tasks = made.tasks if changes.get("leases") else {}
    kept = {"leases": made.sources["leases"]} if changes.get("leases") else {}
    asked = {name: task for name, task in tasks.items() if task.source == "leases"}
    return made.model_copy(update={"sources": kept | own, "tasks": asked, "workers": workers})


def curated(folder: Path, told: CurateSection) -> Path:
    (folder / "out").mkdir(parents=True)
    curate(told, {}, folder / "out")
    return folder / "out"


def accepted(out: Path) -> set[str]:
    names = ("pretraining", "pretraining_heldout", "replay", "replay_heldout")
    return {one["id"] for name in names for one in lines(out, f"{name}.jsonl")}


def fell(out: Path) -> dict[str, tuple[str, str]]:
    return {one["id"]: (one["reason"], one["detail"]) for one in lines(out, "rejected.jsonl")}


def minutes(numbers: Sequence[int], date: str = "2020-01-01") -> list[Row]:
    return [{"id": f"m{n}", "text": story(n), "date": date} for n in numbers]


def plain(folder: Path, sources: dict[str, list[Row]], **changes: Any) -> Path:
    """Curated as drops of an inbox: no task asks for documents."""
    made = told_of(folder / "corpus", sources, **changes)
    return curated(folder, made.model_copy(update={"inbox": Inbox(drops={}, described=tuple(made.sources))}))


def test_an_edited_copy_in_another_source_falls_and_the_earliest_stays(tmp_path: Path) -> None:
    dates = {3: "2021-01-01", 4: "2019-05"}
    copies = [{"id": f"e{n}", "text": edited(story(n)), "date": date} for n, date in dates.items()]
    out = plain(tmp_path, {"minutes": minutes(range(12)), "edits": [*copies, *minutes(range(50, 60))]})
    found = fell(out)
    assert set(found) == {"edits/e3", "minutes/m4"}
    assert found["edits/e3"][0] == found["minutes/m4"][0] == "near_duplicate"
    assert found["edits/e3"][1].startswith("of minutes/m3; Jaccard 0.") and found["edits/e3"][1].endswith("minutes/m3")
    assert found["minutes/m4"][1].startswith("of edits/e4; Jaccard 0.")
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    assert {name: (one.removed, one.of_other_sources) for name, one in card.near_duplicates.items()} == {
        "minutes": (1, 1), "edits": (1, 1)
    }  # fmt: skip
    assert {(kept, gone) for kept, gone, _ in card.duplicate_samples} == {
        ("minutes/m3", "edits/e3"), ("edits/e4", "minutes/m4")
    }  # fmt: skip


def test_of_one_day_stays_the_longer_then_the_better_licence_then_the_one_read_first(tmp_path: Path) -> None:
    longer = {"id": "longer", "text": story(1) + " and more", "date": "2020-01-01"}
    worse = {"first": "MIT", "second": "CC0-1.0", "third": "CC0-1.0"}
    rows = {"first": minutes(range(12)), "second": [longer, *minutes([2, *range(30, 40)])], "third": minutes([2, 3])}
    found = fell(plain(tmp_path, rows, licences=worse, removal_ceiling=1.0))
    assert found["first/m1"][1].startswith("of second/longer")
    assert found["first/m2"] == ("exact_duplicate", "of second/m2"), "the recipe names its licence first"
    assert found["third/m2"] == ("exact_duplicate", "of second/m2"), "read later"
    assert found["first/m3"] == ("exact_duplicate", "of third/m3")


def test_drops_that_come_together_end_as_drops_that_come_one_after_the_other(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.drop("early", stories(range(20)))
    changed = [{"id": f"e{n}", "text": edited(story(n), 70 + n)} for n in range(0, 20, 2)]
    place.drop("late", [*changed, *stories(range(100, 115), "t")])
    place.drop("last", [{"id": "x", "text": edited(story(101))}, *stories(range(200, 212), "u")])
    first = place.layer("one", ["early"])
    second = place.layer("two", ["late"], [first])
    third = place.layer("three", ["last"], [first, second])
    stepwise = set().union(*(accepted(one.path) for one in (first, second, third)))
    at_once = place.layer("all", ["early", "late", "last"], removal_ceiling=0.9)
    assert accepted(at_once.path) == stepwise and len(stepwise) == 20 + 15 + 12


def test_dates_decide_whatever_the_order_of_the_sources(tmp_path: Path) -> None:
    early = minutes(range(12), "2019-01-01")
    late = [{"id": f"e{n}", "text": edited(story(n)), "date": "2021-01-01"} for n in range(0, 12, 3)] + [
        {"id": f"n{n}", "text": story(n + 70), "date": "2021-02-02"} for n in range(8)
    ]
    kept = [
        accepted(plain(tmp_path / str(turn), dict(order), removal_ceiling=0.9))
        for turn, order in enumerate([[("early", early), ("late", late)], [("late", late), ("early", early)]])
    ]
    assert kept[0] == kept[1] == {f"early/m{n}" for n in range(12)} | {f"late/n{n}" for n in range(8)}


def test_any_number_of_workers_gives_the_same_files(tmp_path: Path) -> None:
    rows = {
        "one": minutes(range(30)),
        "two": [{"id": f"e{n}", "text": edited(story(n)), "date": "2018"} for n in range(0, 30, 4)] + minutes([90, 91]),
        "three": minutes(range(25, 45)),
    }
    made = []
    for workers in (1, 3):
        out = plain(tmp_path / str(workers), rows, workers=workers, removal_ceiling=1.0)
        names = ("rejected.jsonl", "pretraining.jsonl", "pretraining_heldout.jsonl", "card.json", "samples.json")
        made.append({name: (out / name).read_bytes() for name in names})
    assert made[0] == made[1]
    assert b"exact_duplicate" in made[0]["rejected.jsonl"] and b'"near_duplicate"' in made[0]["rejected.jsonl"]


def test_plain_text_and_replay_do_not_meet_and_neither_do_two_sources_that_tasks_read(tmp_path: Path) -> None:
    rows = {"minutes": minutes(range(12)), "again": [{"id": "e3", "text": edited(story(3))}, *minutes(range(40, 50))]}
    assert not fell(plain(tmp_path / "replay", rows, again_use="replay"))
    assert not fell(plain(tmp_path / "tasks", rows, again_use="tasks", minutes_use="tasks"))


def test_text_that_repeats_a_held_out_document_of_a_task_falls(tmp_path: Path) -> None:
    held = next(n for n in range(40) if position(7, entity_key(lease(n)["party"])) < 0.25)
    free = next(n for n in range(40) if position(7, entity_key(lease(n)["party"])) > 0.5)
    write_rows(tmp_path / "corpus" / "leases.jsonl", [lease(n) for n in range(40)])
    twins = [{"id": f"twin{n}", "text": lease(n)["text"].replace("weighed", "looked at")} for n in (held, free)]
    told = told_of(tmp_path / "corpus", {"notes": [*twins, *minutes(range(10))]}, leases=True, holdout_share=0.25)
    found = fell(curated(tmp_path, told))
    assert found[f"notes/twin{held}"][0] == "near_duplicate_of_evaluation"
    assert found[f"notes/twin{held}"][1].startswith(f"of leases/lease-{held}; Jaccard 0.")
    assert f"notes/twin{free}" not in found, "another use, and the same side"


def test_a_ceiling_counts_near_copies_in_other_sources_and_no_exact_ones(tmp_path: Path) -> None:
    near = [{"id": f"e{n}", "text": edited(story(n)), "date": "2021"} for n in range(6)]
    rows = {"minutes": minutes(range(12)), "edits": [*near, *minutes(range(50, 54))]}
    with pytest.raises(GateError, match=r"source edits: would lose more than 50%.* got 6 of 10, 6 of them copies in"):
        plain(tmp_path / "near", rows, removal_ceiling=0.5)
    exact = {"minutes": minutes(range(12)), "again": minutes(range(8))}
    found = fell(plain(tmp_path / "exact", exact, removal_ceiling=0.5))
    assert {reason for reason, _ in found.values()} == {"exact_duplicate"} and len(found) == 8


def test_clusters_over_sources_are_alarmed_and_shown_with_their_sources(tmp_path: Path) -> None:
    rows = {
        name: [{"id": "c", "text": f"{story(1)} told by {name}", "date": f"20{10 + place}"},
               *minutes(range(20 * place + 20, 20 * place + 32))]
        for place, name in enumerate(("a", "b", "c"))
    }  # fmt: skip
    rows["b"].append({"id": "d", "text": f"{story(1)} told by b once more", "date": "2015"})
    out = plain(tmp_path, rows, cluster_alarm=2)
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    assert card.cluster_alarms == ["a, b, c: 3 documents are held for copies of a/c"]
    (cluster,) = read(out).clusters
    assert (cluster.kept, cluster.documents, cluster.sources) == ("a/c", 4, ["a", "b", "c"])
    assert cluster.kept_text and len(cluster.fell) == 3, "one fell beside b/c, which fell itself"
    assert "<b>4 documents</b> of a, b, c" in (out / "card.html").read_text()


def printed(texts: list[str], how: Compared, file: BinaryIO) -> Printed:
    sides = np.zeros(len(texts), np.bool_)
    prints = prints_of([texts_of(texts)], wanted(CURATION, common=how.common), file)
    return Printed(how, prints, np.arange(len(texts)), ~sides, np.zeros(len(texts), np.uint64), sides)


def groups(sources: list[list[str]], apart: Sequence[bool]) -> set[frozenset[int]]:
    """Clusters of documents, numbered through the sources."""
    with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as two, tempfile.TemporaryFile() as three:
        files = [cast(BinaryIO, file) for file in (one, two, three)]
        made = [
            printed(texts, Compared(boilerplate_of(texts_of(texts), CURATION), apart[at], "pretraining"), files[at])
            for at, texts in enumerate(sources)
        ]
        edges, likeness = find_across(made, CURATION)
        assert (likeness >= CURATION.near_duplicate_jaccard).all()
        firsts = roots(sum(map(len, sources)), edges)
    found: dict[int, set[int]] = {}
    for number in np.unique(edges).tolist():
        found.setdefault(int(firsts[number]), set()).add(number)
    return {frozenset(group) for group in found.values()}


@pytest.mark.parametrize("apart", [(True, False), (False, True)])
def test_a_form_is_boilerplate_where_it_is_one_and_figures_tell_apart_where_either_source_says_so(
    apart: tuple[bool, bool],
) -> None:
    leases = [form(n) for n in range(40)]
    others = [words(random.Random(n), 90) for n in range(9)]
    other = [form(3).replace("Harbour", "HARBOUR"), form(100), form(101), *others]
    assert groups([leases, other], apart) == {frozenset((3, 40))}
    figures = [f"{form(5)} Copy 99173.", *other[3:]]
    assert groups([leases, figures], apart) == set()
    assert groups([leases, figures], (False, False)) == {frozenset((5, 40))}


def test_what_is_a_form_in_a_third_source_hides_no_copy() -> None:
    """The third has the text so often that it is boilerplate there; between the first two it is not."""
    text = " ".join(CLAUSES[:6])
    rest = [words(random.Random(n), 90) for n in range(24)]
    third = [f"{words(random.Random(50 + n), 160)} {text}" for n in range(12)]
    assert groups([[text, *rest[:12]], [edited(text, 300), *rest[12:]], third], (False,) * 3) == {frozenset((0, 13))}


def test_pairs_are_those_that_a_comparison_of_all_with_all_finds() -> None:
    chance = random.Random(8)
    bases = [words(chance, 160).split() for _ in range(25)]

    def some(edits: int) -> list[str]:
        made = []
        for base in chance.sample(bases, 15):
            text = list(base)
            for at in chance.sample(range(160), edits):
                text[at] = words(chance, 1)
            made.append(" ".join(text))
        return made

    sources = [some(0), some(1), some(3)]
    numbered = [text.split() for texts in sources for text in texts]
    shingles = [{tuple(text[at : at + 5]) for at in range(len(text) - 4)} for text in numbered]
    of = np.repeat(np.arange(3), 15)
    edges = [
        (one, other) for one in range(45) for other in range(one)
        if of[one] != of[other] and len(shingles[one] & shingles[other]) >= 0.8 * len(shingles[one] | shingles[other])
    ]  # fmt: skip
    firsts = roots(45, np.array(edges, np.int64))
    wanted_groups = {frozenset(np.flatnonzero(firsts == first).tolist()) for first in set(firsts.tolist())}
    assert groups(sources, (False,) * 3) == {one for one in wanted_groups if len(one) > 1}


def test_near_copies_in_two_sources_do_not_lie_on_both_sides_of_the_split(tmp_path: Path) -> None:
    out = plain(tmp_path, {"minutes": minutes(range(30)), "others": minutes(range(50, 70))})
    plainly = Compared(boilerplate_of(texts_of([]), CURATION), False, "pretraining")
    how = dict.fromkeys(("minutes", "others"), plainly)
    check_split(out, CURATION, how)
    (held,) = (out / "dataset" / "data").glob("pretraining-heldout-*.parquet")
    (shard,) = (out / "dataset" / "data").glob("pretraining-train-*.parquet")
    one = pq.read_table(held).to_pylist()[0]
    other = {"minutes": "others", "others": "minutes"}[one["source"]]
    table = pq.read_table(shard)
    copy = one | {"id": f"{other}/copy", "source": other, "entity": f"{other}/copy", "text": edited(one["text"])}
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist([copy], schema=table.schema)]), shard)
    with pytest.raises(GateError, match="split: near-duplicates: lie on both sides") as raised:
        check_split(out, CURATION, how)
    assert f"{other}/copy" in str(raised.value) and one["id"] in str(raised.value)


def test_plain_text_that_its_figures_tell_apart_may_lie_on_both_sides(tmp_path: Path) -> None:
    """It was told apart before there were sides: the last look must not join it."""
    body = words(random.Random(4), 150)
    rows = [{"id": f"l{n}", "text": f"Listing {n}, {n * 37 + 100} a night. {body}"} for n in range(9)]
    out = plain(tmp_path, {"listings": rows}, listings_apart=True)
    assert len(accepted(out)) == 9 and lines(out, "pretraining_heldout.jsonl")
