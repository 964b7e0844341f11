"""Curation outlives a hostile corpus: every file has its fate, every byte is accounted for, the sums hold."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from contracts.curation_report import CurationCard
from data_curation.curate import curate
from recipes.schema import Source
from tests.data_curation.corpus_sample import corpus, lines, section
from tests.data_curation.hostile_corpus import Fate, make

Span = tuple[int, int | None, str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Fate]]:
    """The corpus, the stage's outputs, and the fates that were meant."""
    place, out = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("out")
    corpus(place / "corpus")
    fates = make(place / "corpus" / "odd", beside=place)
    told = section(place / "corpus")
    source = Source(path="odd", use="pretraining", licence="CC0-1.0", date="date")
    curate(told.model_copy(update={"sources": told.sources | {"stories": source}}), {}, out)
    return place / "corpus", out, {f"odd/{name}": fate for name, fate in fates.items()}


def accepted(out: Path) -> dict[str, set[Span]]:
    """File to the places that accepted documents came from."""
    found: dict[str, set[Span]] = defaultdict(set)
    for name in ("pretraining", "pretraining_heldout"):
        for one in lines(out, f"{name}.jsonl"):
            found[one["origin"]["file"]].add(_span(one["origin"]))
    return found


def rejected(out: Path) -> dict[str, dict[Span, str]]:
    """File to the places and reasons of rejects."""
    found: dict[str, dict[Span, str]] = defaultdict(dict)
    for one in lines(out, "rejected.jsonl"):
        if one["source"] == "stories":
            found[one["origin"]["file"]][_span(one["origin"])] = one["reason"]
    return found


def _span(one: dict[str, Any]) -> Span:
    return one["start"], one["end"], one.get("part", "")


def test_every_file_has_its_fate(run: tuple[Path, Path, dict[str, Fate]]) -> None:
    _, out, fates = run
    errors: dict[str, list[str]] = defaultdict(list)
    for one in lines(out, "quarantine.jsonl"):
        errors[one["file"]].append(one["error"])
    stayed, fell = accepted(out), rejected(out)
    wrong = {}
    for name, fate in fates.items():
        found = Fate(len(stayed[name]), tuple(errors[name]), tuple(fell[name].values()))
        counted = fate.accepted in (-1, found.accepted)
        reasons = len(fate.quarantined) == len(found.quarantined) and all(
            wanted in got for wanted, got in zip(fate.quarantined, found.quarantined, strict=True)
        )
        if not (counted and reasons and (fate.rejected in (("*",), found.rejected))):  # "*": some reason
            wrong[name] = {"wanted": fate, "found": found}
    assert not wrong, "\n".join(f"{name}: {pair}" for name, pair in wrong.items())
    assert {name for name in errors if name.startswith("odd/")} <= fates.keys()


def test_counts_sum_and_nothing_is_read_from_outside(run: tuple[Path, Path, dict[str, Fate]]) -> None:
    place, out, _ = run
    card = CurationCard.model_validate_json((out / "card.json").read_text())
    for source in card.sources:
        assert source.read == source.accepted + sum(source.rejected.values())
    secret = (place.parent / "outside" / "secret.txt").read_text()[:60]
    assert secret not in (out / "pretraining.jsonl").read_text() + (out / "pretraining_heldout.jsonl").read_text()
    assert "<script" not in (out / "card.html").read_text()
    assert not (place.parent / "escape.jsonl").exists()
    ids = [one["id"] for name in ("pretraining", "pretraining_heldout") for one in lines(out, f"{name}.jsonl")]
    assert len(ids) == len(set(ids)) and all(one.isprintable() and len(one) < 300 for one in ids)


def test_every_byte_of_a_file_of_lines_is_in_one_place(run: tuple[Path, Path, dict[str, Fate]]) -> None:
    place, out, fates = run
    spans: dict[str, set[tuple[int, int | None]]] = defaultdict(set)
    for file, places in [*accepted(out).items(), *rejected(out).items()]:
        spans[file] |= {one[:2] for one in places}
    for one in lines(out, "quarantine.jsonl"):
        if one["start"] is not None:
            spans[one["file"]].add((one["start"], one["end"]))
    checked = 0
    for name in fates:
        if name.endswith(".jsonl") and (place / name).is_file() and not (place / name).is_symlink():
            assert not _uncovered((place / name).read_bytes(), spans[name]), name
            checked += 1
    assert checked > 12


def _uncovered(raw: bytes, spans: set[tuple[int, int | None]]) -> bytes:
    """Bytes that no span holds, but blanks and a byte order mark. Spans must not overlap."""
    left, position = b"", 0
    for start, end in sorted(spans, key=lambda one: one[0]):
        assert start >= position
        left += raw[position:start]
        position = len(raw) if end is None else end
    return (left + raw[position:]).strip(b"\xef\xbb\xbf\xff\xfe\x00 \r\n")


def test_a_source_that_leads_out_of_the_corpus_is_refused(tmp_path: Path) -> None:
    from contracts.errors import InputError
    from data_curation.reading import find_files

    place = corpus(tmp_path / "corpus")
    for path in ("../corpus", "/etc", "a/../../b"):
        with pytest.raises(InputError, match="leads out of the corpus"):
            find_files(place, path)


def test_what_the_script_prints_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    from tests.data_curation import hostile_corpus

    monkeypatch.setattr("sys.argv", ["hostile_corpus", str(tmp_path / "made")])
    hostile_corpus.main()
    assert json.loads(capsys.readouterr().out)["empty.csv"]["quarantined"] == ["is empty"]
