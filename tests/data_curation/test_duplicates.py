"""Near-duplicates: forms filled in survive, copies go, the keeper is chosen by rule; real listings and contracts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.answers import numbers
from contracts.documents import Document
from data_curation.candidates import Candidate
from data_curation.duplicates import Clusters, find_clusters, large_clusters
from recipes.schema import Curation

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


def names(clusters: Clusters, members: list[Candidate]) -> set[frozenset[str]]:
    return {frozenset(members[one].document.id for one in group) for group in clusters.groups}


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
    clusters = find_clusters([*members, *copies], CURATION, tell_reports_apart=by_facts)
    expected = {frozenset((f"lease-{n}", f"copy-{n}")) for n in range(0, count, 3)}
    if by_facts or count >= 30:
        assert names(clusters, [*members, *copies]) == expected, "figures or boilerplate tell them apart"
    else:
        assert expected and clusters.groups, "four documents are too few to tell what is form: figures must"


def test_figures_join_what_would_cross_the_split() -> None:
    body = " ".join(CLAUSES)
    members = [
        candidate("a", body + " Rent 100."),
        candidate("b", body + " Rent 200."),
        candidate("c", body + " Rent 300.", heldout=True),
        candidate("d", body + " Rent 400.", "Elm", heldout=True),
        candidate("e", body + " Rent 500.", "Elm"),
    ]
    assert names(find_clusters(members[:2], CURATION, True), members) == set()
    assert names(find_clusters(members[:3], CURATION, True), members) == {frozenset("abc")}
    assert names(find_clusters(members[3:], CURATION, True), members[3:]) == set(), "two reports about one entity"


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
    clusters = find_clusters(members, CURATION, tell_reports_apart=False)
    assert [members[one].document.id for one in clusters.keepers] == ["long, best licence"]
    assert set(clusters.similarity) == set(range(6))


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
    clusters = find_clusters(members, CURATION, tell_reports_apart=False)

    def shingles(number: int) -> set[tuple[str, ...]]:
        found = members[number].document.text.split()
        return {tuple(found[at : at + 5]) for at in range(len(found) - 4)}

    for number, (other, jaccard) in clusters.similarity.items():
        one, two = shingles(number), shingles(other)
        assert jaccard == pytest.approx(len(one & two) / len(one | two)) and jaccard >= 0.8
    together = {frozenset(group) for group in clusters.groups}
    assert len(together) == 60, "no document of another text, and every text has its copies"
    assert sum(4 * base + 1 in group for base, group in enumerate(map(set, clusters.groups))) == 60


def test_any_number_of_workers_finds_the_same_clusters() -> None:
    members = [candidate(f"lease-{n}", lease(n % 1_500)) for n in range(2_500)]
    found = [find_clusters(members, CURATION, True, workers=workers) for workers in (1, 4)]
    assert found[0] == found[1] and len(found[0].groups) == 1_000


def test_many_documents_that_share_all_but_a_little_are_compared_in_time_and_named() -> None:
    body = words(random.Random(2), 300)
    members = [candidate(str(number), body + f" number {number}") for number in range(3_000)]
    clusters = find_clusters(members[:5], CURATION, tell_reports_apart=False)
    assert len(clusters.groups) == 1
    clusters = find_clusters(members, CURATION, tell_reports_apart=False)
    assert [len(group) for group in clusters.groups] == [3_000]
    assert large_clusters("s", members, clusters, CURATION) == ["s: 3000 documents are held for copies of 0"]


def test_texts_without_words_are_copies_only_when_they_are_equal() -> None:
    members = [candidate(name, text) for name, text in zip("abcde", ["", "***", "---", "*** ", "one"], strict=True)]
    assert names(find_clusters(members, CURATION, True), members) == {frozenset("bd")}


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.mark.shared
def test_real_listings_that_differ_in_their_facts_survive(shared_data: Path) -> None:
    found = list(rows(shared_data / "real_estate/airbnb_listings/data.jsonl"))
    members = [candidate(row["id"], f"{row['name']}\n{row['description']}") for row in found]
    clusters = find_clusters(members, CURATION, tell_reports_apart=True)
    removed = sum(len(group) - 1 for group in clusters.groups)
    assert 0 < removed < 0.1 * len(members)
    for group in clusters.groups:
        assert len({frozenset(numbers(members[one].document.text)) for one in group}) == 1


@pytest.mark.shared
def test_real_contracts_on_common_forms_survive(shared_data: Path) -> None:
    found = list(rows(shared_data / "corporate/edgar_contract_types/data.jsonl"))
    text = max((key for key in found[0] if isinstance(found[0][key], str)), key=lambda key: len(found[0][key]))
    members = [candidate(str(number), row[text]) for number, row in enumerate(found)]
    copies = [candidate(f"copy {number}", members[number].document.text + " ") for number in range(0, len(members), 10)]
    clusters = find_clusters([*members, *copies], CURATION, tell_reports_apart=True)
    exact = len({member.document.text for member in members})
    kept = len(members) + len(copies) - sum(len(group) - 1 for group in clusters.groups)
    assert 0.98 * exact <= kept <= exact
