"""The band index: drops against what was accepted before, rebuilt, continued in another folder, damaged, killed."""

from __future__ import annotations

import json
import random
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from contracts.documents import Document
from contracts.errors import InputError
from data_curation.band_index import BandIndex, Seen
from data_curation.candidates import Candidate
from data_curation.drop_prints import Drop, drop_of
from recipes.schema import Curation
from tests.data_curation.in_memory import batches_of

CURATION = Curation(licences=("CC0-1.0",))
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]


def words(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(SYLLABLES, k=3)) for _ in range(count)]


def candidate(identity: str, text: str, entity: str = "", heldout: bool = False) -> Candidate:
    document = Document(id=identity, text=text, source="s", licence="CC0-1.0", entity=entity or identity)
    return Candidate(document, {}, named_entity=bool(entity), heldout=heldout)


def edited(seed: int, count: int = 120) -> str:
    changed = words(seed, count)
    changed[count // 2] = "altered"
    return " ".join(changed)


def drops() -> list[tuple[str, list[Candidate]]]:
    """Three drops of 12 documents; each later one repeats two of the first, one exactly and one edited."""
    made = []
    for number in range(3):
        documents = [candidate(f"{number}/{n}", " ".join(words(100 * number + n, 120))) for n in range(12)]
        if number:
            documents += [
                candidate(f"{number}/copy", "  ".join(words(number, 120)).upper()),
                candidate(f"{number}/edited", edited(number + 3)),
            ]
        made.append((f"drop-{number}", documents))
    return made


def read(candidates: list[Candidate]) -> AbstractContextManager[Drop]:
    return drop_of(batches_of(candidates), CURATION)


def run(index: BandIndex, made: list[tuple[str, list[Candidate]]]) -> list[dict[int, Seen]]:
    """Accept drop after drop what was not seen before; what was."""
    decisions = []
    for name, candidates in made:
        with read(candidates) as drop:
            seen = index.seen(drop, tell_reports_apart=True)
            index.accept(name, drop, [n for n in range(len(candidates)) if n not in seen])
        decisions.append(seen)
    return decisions


def test_a_later_drop_meets_what_was_accepted_before(tmp_path: Path) -> None:
    first, second, third = run(BandIndex(tmp_path / "index", CURATION), drops())
    assert not first
    assert second[12] == Seen("0/1", "drop-0", 1.0, exact=True, heldout=False)
    assert second[13].document == "0/4" and 0.8 <= second[13].jaccard < 1 and not second[13].exact
    assert set(third) == {12, 13}


def test_rebuilt_from_the_accepted_it_decides_the_same(tmp_path: Path) -> None:
    made = drops()
    index = BandIndex(tmp_path / "index", CURATION)
    decided = run(index, made)
    again = BandIndex(tmp_path / "again", CURATION)
    for (name, candidates), seen in zip(made, decided, strict=True):
        kept = [one for n, one in enumerate(candidates) if n not in seen]
        with read(kept) as drop:
            again.accept(name, drop, range(len(kept)))
    probe = [*made[1][1], *made[2][1], candidate("new", edited(205)), candidate("other", " ".join(words(7_000, 90)))]
    answers = []
    for one in (index, again, BandIndex(tmp_path / "index", CURATION)):
        with read(probe) as drop:
            answers.append(one.seen(drop, tell_reports_apart=False))
    assert answers[0] == answers[1] == answers[2] and answers[0][28].document == "2/5" and 29 not in answers[0]
    assert index.drops == again.drops and len(index) == len(again) == 36


def test_a_drop_is_accepted_once(tmp_path: Path) -> None:
    index = BandIndex(tmp_path / "index", CURATION)
    run(index, drops()[:1])
    with read(drops()[0][1]) as drop:
        index.accept("drop-0", drop, range(12))
    assert len(index) == len(BandIndex(tmp_path / "index", CURATION)) == 12


def test_an_index_goes_on_in_another_folder_and_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    made, layers = drops(), {"one": tmp_path / "one", "two": tmp_path / "two"}
    whole = BandIndex(tmp_path / "whole", CURATION)
    decided = run(BandIndex(layers["one"], CURATION), made[:1])
    before = {path: path.read_bytes() for path in layers["one"].rglob("*") if path.is_file()}
    decided += run(BandIndex.after("one", layers["two"], CURATION, layers), made[1:2])
    last = BandIndex.after("two", tmp_path / "three", CURATION, layers)
    decided += run(last, made[2:])
    assert decided == run(whole, made) and last.drops == whole.drops and len(last) == len(whole)
    assert before == {path: path.read_bytes() for path in layers["one"].rglob("*") if path.is_file()}


def test_segments_that_are_not_merged_stay_where_they_are(tmp_path: Path) -> None:
    large = [candidate(f"l{n}", " ".join(words(n, 40))) for n in range(40)]
    small = [candidate(f"s{n}", " ".join(words(900 + n, 40))) for n in range(3)]
    run(BandIndex(tmp_path / "one", CURATION), [("large", large)])
    layers = {"one": tmp_path / "one"}
    run(BandIndex.after("one", tmp_path / "two", CURATION, layers), [("small", small)])
    index = BandIndex(tmp_path / "two", CURATION, layers)
    assert [one.folder.parent.name for one in index.segments] == ["one", "two"]
    assert len(index.segments[1]) == 3


def test_boilerplate_of_the_accepted_does_not_make_new_documents_copies(tmp_path: Path) -> None:
    form = " ".join(words(9, 400))
    leases = [candidate(f"l{n}", form + " " + " ".join(words(500 + n, 30))) for n in range(30)]
    index = BandIndex(tmp_path / "index", CURATION)
    run(index, [("first", leases[:20])])
    with read(leases[20:]) as drop:
        assert not index.seen(drop, tell_reports_apart=False)


def test_figures_tell_a_new_report_from_an_accepted_one(tmp_path: Path) -> None:
    text = " ".join(words(1, 200))
    index = BandIndex(tmp_path / "index", CURATION)
    run(index, [("first", [candidate("a", text + " rent 1,200", "Elm House")])])
    probe = [
        candidate("b", text + " rent 1,300", "Elm House", heldout=True),
        candidate("c", text + " rent 1,300", "Oak House"),
        candidate("d", text + " rent 1,300", "Oak House", heldout=True),
        candidate("e", text + " rent 1200", "Oak House"),
    ]
    with read(probe) as drop:
        assert set(index.seen(drop, tell_reports_apart=True)) == {2, 3}
        assert set(index.seen(drop, tell_reports_apart=False)) == {0, 1, 2, 3}


def test_what_a_drop_costs_grows_with_the_drop(tmp_path: Path) -> None:
    index = BandIndex(tmp_path / "index", CURATION)
    written = []
    for number in range(40):
        before = {one.folder.name for one in index.segments}
        run(
            index,
            [(f"d{number}", [candidate(f"{number}/{n}", " ".join(words(50 * number + n, 20))) for n in range(4)])],
        )
        written.append(sum(len(one) for one in index.segments if one.folder.name not in before))
    assert sum(written) <= 160 * 8, "every document is written again about log2(40) times, not 40 times"
    assert len(index.segments) <= 7


@pytest.mark.parametrize("damage", ["not json", "{}", '{"segments": [["segment-9", ""]]}'])
def test_a_damaged_index_is_refused(tmp_path: Path, damage: str) -> None:
    run(BandIndex(tmp_path / "index", CURATION), drops()[:1])
    (tmp_path / "index" / "index.json").write_text(damage)
    with pytest.raises(InputError, match="is no whole index"):
        BandIndex(tmp_path / "index", CURATION)


def test_an_index_of_other_parameters_is_refused(tmp_path: Path) -> None:
    run(BandIndex(tmp_path / "index", CURATION), drops()[:1])
    with pytest.raises(InputError, match="other parameters"):
        BandIndex(tmp_path / "index", CURATION.model_copy(update={"bands": 20}))


def test_killed_before_the_record_is_written_the_index_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, made = BandIndex(tmp_path / "index", CURATION), drops()
    run(index, made[:1])
    before = json.loads((tmp_path / "index" / "index.json").read_text())
    with monkeypatch.context() as patched:  # the only way to stop between two files without a race
        patched.setattr(BandIndex, "_publish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(index, made[1:2])
    again = BandIndex(tmp_path / "index", CURATION)
    assert again._told == before and len(again) == 12
    run(again, made[1:])
    assert len(again) == 36
