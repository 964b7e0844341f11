"""Near-duplicates: forms filled in survive, copies go, the keeper is chosen by rule; real listings and contracts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from contracts.answers import numbers
from contracts.documents import Document
from data_curation.candidates import Candidate
from data_curation.cross_sources import Compared
from data_curation.duplicates import Clusters, Members, find_clusters, large_clusters
from data_curation.kernel import texts_of
from data_curation.prints import boilerplate_of
from recipes.schema import Curation
from tests.data_curation.in_memory import entity_hashes

CURATION = Curation(licences=("CC0-1.0", "MIT", "CC-BY-4.0"))
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]
CLAUSES = [
    "The tenant shall keep the premises in good repair and shall return them in the state in which they were let.",
    "Neither party may assign this lease without the written consent of the other, not to be withheld unduly.",
    "The landlord insures the building against fire and water; the tenant insures whatever is brought into it.",
    "Notice is given in writing three months before the end of a year, otherwise the lease goes on for another one.",
    "Heating, water and the cleaning of the stairs are shared among the tenants by the area that each of them uses.",
    "The tenant may not keep animals or alter walls, floors or windows without leave; small pets in cages are allowed.",
] * 3


def candidate(
    identity: str, text: str, entity: str = "", heldout: bool = False, date: str | None = None, licence: str = "CC0-1.0"
) -> Candidate:
    document = Document(id=identity, text=text, source="s", licence=licence, entity=entity or identity, date=date)
    return Candidate(document, {}, named_entity=bool(entity), heldout=heldout)


def clusters_of(
    members: list[Candidate], curation: Curation, tell_reports_apart: bool, workers: int = 1, batch: int = 1_024
) -> Clusters:
    texts = texts_of([one.document.text for one in members])
    known = Members(
        np.arange(len(members)), entity_hashes(members), np.array([one.heldout for one in members]),
        pa.array([one.document.date for one in members], pa.string()),
        pa.array([one.document.licence for one in members]),
    )  # fmt: skip
    batches = (texts.slice(start, batch) for start in range(0, len(texts), batch))
    how = Compared(boilerplate_of(texts, curation), tell_reports_apart, "pretraining")
    return find_clusters(batches, known, how, curation, workers)


def groups_of(clusters: Clusters) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for first, number in zip(clusters.cluster.tolist(), clusters.members.tolist(), strict=True):
        found.setdefault(first, []).append(number)
    return list(found.values())


def names(clusters: Clusters, members: list[Candidate]) -> set[frozenset[str]]:
    return {frozenset(members[one].document.id for one in group) for group in groups_of(clusters)}


def words(chance: random.Random, count: int) -> str:
    return " ".join("".join(chance.choices(SYLLABLES, k=3)) for _ in range(count))


def lease(number: int) -> str:
    """One form; party, address, rent, dates and deposit are its own."""
    chance = random.Random(number)
    party, street = words(chance, 2).title(), words(chance, 1).title()
    head = (
        f"LEASE between the Harbour Company and {party}. Premises: {street} Street {chance.randrange(1, 300)}, "
        f"{chance.randrange(30, 400)} square metres. Rent {chance.randrange(500, 9_000):,} a month from "
        f"{chance.randrange(1, 28)} March {chance.randrange(2001, 2024)}, deposit {chance.randrange(1_000, 20_000):,}."
    )
    return "\n".join([head, *CLAUSES, f"Signed by {party} for {street} Street."])


@pytest.mark.parametrize("by_facts", [True, False])
@pytest.mark.parametrize("count", [4, 30, 400])
def test_leases_on_one_form_survive_and_their_copies_do_not(count: int, by_facts: bool) -> None:
    members = [candidate(f"lease-{n}", lease(n)) for n in range(count)]
    copies = [
        candidate(f"copy-{n}", lease(n).replace("Harbour", "HARBOUR").replace("\n", " ")) for n in range(0, count, 3)
    ]
    clusters = clusters_of([*members, *copies], CURATION, tell_reports_apart=by_facts)
    expected = {frozenset((f"lease-{n}", f"copy-{n}")) for n in range(0, count, 3)}
    if by_facts or count >= 30:
        assert names(clusters, [*members, *copies]) == expected, "figures or boilerplate tell them apart"
    else:
        assert expected and groups_of(clusters), "four documents are too few to tell what is form: figures must"


def test_figures_join_what_would_cross_the_split() -> None:
    body = " ".join(CLAUSES)
    members = [
        candidate("a", body + " Rent 100."),
        candidate("b", body + " Rent 200."),
        candidate("c", body + " Rent 300.", heldout=True),
        candidate("d", body + " Rent 400.", "Elm", heldout=True),
        candidate("e", body + " Rent 500.", "Elm"),
    ]
    assert names(clusters_of(members[:2], CURATION, True), members) == set()
    assert names(clusters_of(members[:3], CURATION, True), members) == {frozenset("abc")}
    assert names(clusters_of(members[3:], CURATION, True), members[3:]) == set(), "two reports about one entity"


def test_the_keeper_is_the_earliest_then_the_most_complete_then_of_the_best_licence() -> None:
    body = words(random.Random(1), 200)
    members = [
        candidate("undated", body),
        candidate("late", body + " end", date="2021-05-01"),
        candidate("short", body, date="2020-01-01", licence="CC0-1.0"),
        candidate("long, worse licence", body + " end", date="2020-01-01", licence="MIT"),
        candidate("long, best licence", body + " END", date="2020-01-01", licence="CC0-1.0"),
        candidate("no date at all", body + " end of it", date="yesterday"),
    ]
    clusters = clusters_of(members, CURATION, tell_reports_apart=False)
    assert [members[one].document.id for one in set(clusters.keepers.tolist())] == ["long, best licence"]
    assert clusters.members.tolist() == list(range(6))


def test_every_pair_that_is_joined_has_that_jaccard() -> None:
    chance = random.Random(3)
    members = []
    for base in range(60):
        text = words(chance, 150).split()
        for edits in (0, 2, 6, 20):
            changed = list(text)
            for place in chance.sample(range(150), edits):
                changed[place] = "changed" + str(place)
            members.append(candidate(f"{base}/{edits}", " ".join(changed)))
    clusters = clusters_of(members, CURATION, tell_reports_apart=False)

    def shingles(number: int) -> set[tuple[str, ...]]:
        found = members[number].document.text.split()
        return {tuple(found[at : at + 5]) for at in range(len(found) - 4)}

    for number, other, jaccard in zip(clusters.members, clusters.near, clusters.jaccard, strict=True):
        one, two = shingles(number), shingles(other)
        assert jaccard == pytest.approx(len(one & two) / len(one | two)) and jaccard >= 0.8
    together = {frozenset(group) for group in groups_of(clusters)}
    assert len(together) == 60, "no document of another text, and every text has its copies"
    assert sum(4 * base + 1 in group for base, group in enumerate(map(set, groups_of(clusters)))) == 60


def test_any_number_of_workers_finds_the_same_clusters() -> None:
    members = [candidate(f"lease-{n}", lease(n % 1_500)) for n in range(2_500)]
    told = []
    for workers, batch in ((1, 1_024), (4, 1_024), (3, 100)):
        found = clusters_of(members, CURATION, True, workers, batch)
        told.append([one.tolist() for one in vars(found).values()])
    assert told[0] == told[1] == told[2] and len(found.sizes) == 1_000


def test_many_documents_that_share_all_but_a_little_are_compared_in_time_and_named() -> None:
    body = words(random.Random(2), 300)
    members = [candidate(str(number), body + f" number {number}") for number in range(3_000)]
    clusters = clusters_of(members[:5], CURATION, tell_reports_apart=False)
    assert len(groups_of(clusters)) == 1
    clusters = clusters_of(members, CURATION, tell_reports_apart=False)
    assert [len(group) for group in groups_of(clusters)] == [3_000]
    assert large_clusters("s", lambda one: members[one].document.id, clusters, CURATION) == [
        "s: 3000 documents are held for copies of 0"
    ]


def test_texts_without_words_are_copies_only_when_they_are_equal() -> None:
    members = [candidate(name, text) for name, text in zip("abcde", ["", "***", "---", "*** ", "one"], strict=True)]
    assert names(clusters_of(members, CURATION, True), members) == {frozenset("bd")}


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.mark.shared
def test_real_listings_that_differ_in_their_facts_survive(shared_data: Path) -> None:
    found = list(rows(shared_data / "real_estate/airbnb_listings/data.jsonl"))
    members = [candidate(row["id"], f"{row['name']}\n{row['description']}") for row in found]
    clusters = clusters_of(members, CURATION, tell_reports_apart=True)
    removed = sum(len(group) - 1 for group in groups_of(clusters))
    assert 0 < removed < 0.1 * len(members)
    for group in groups_of(clusters):
        assert len({frozenset(numbers(members[one].document.text)) for one in group}) == 1


@pytest.mark.shared
def test_real_contracts_on_common_forms_survive(shared_data: Path) -> None:
    found = list(rows(shared_data / "corporate/edgar_contract_types/data.jsonl"))
    text = max((key for key in found[0] if isinstance(found[0][key], str)), key=lambda key: len(found[0][key]))
    members = [candidate(str(number), row[text]) for number, row in enumerate(found)]
    copies = [candidate(f"copy {number}", members[number].document.text + " ") for number in range(0, len(members), 10)]
    clusters = clusters_of([*members, *copies], CURATION, tell_reports_apart=True)
    exact = len({member.document.text for member in members})
    kept = len(members) + len(copies) - sum(len(group) - 1 for group in groups_of(clusters))
    assert 0.98 * exact <= kept <= exact
