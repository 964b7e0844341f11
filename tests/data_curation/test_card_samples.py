"""What a card shows: samples of every reason, clusters and evaluation texts side by side, ceilings, quality, split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.artifacts import Artifact
from contracts.curation_report import CurationCard
from data_curation import card_samples
from data_curation.card_samples import Samples
from data_curation.card_sum import card_of_layers
from data_curation.curate import curate
from data_curation.kernel import counts_of, texts_of
from data_curation.quality_bins import BINS, MEASURES, binned, bins_of
from data_curation.splitting import entity_key, position
from flows.curation_summary import markdown
from tests.data_curation.corpus_sample import corpus, lease, lines, section, story, write_rows

HELD = next(n for n in range(40) if position(7, entity_key(lease(n)["party"])) < 0.25)
FREE = next(n for n in range(40) if position(7, entity_key(lease(n)["party"])) > 0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Leases with three copies of one, stories of which one holds a held-out lease and one is German."""
    folder = tmp_path_factory.mktemp("samples")
    copies = [
        lease(FREE) | {"id": f"copy-{n}", "text": f"{lease(FREE)['text']} Copied {'x' * n}."} for n in range(1, 4)
    ]
    place = corpus(
        folder / "corpus", [*(lease(n) for n in range(40)), *copies, {"id": 'odd"\\id', "text": "two words"}]
    )
    german = "Die Mieterin zahlt die Miete am ersten Tag des Monats und hält die Wohnung in gutem Zustand. " * 5
    rows = [{"id": f"s{n}", "text": story(n)} for n in range(30)]
    leak = {"id": "leak", "text": f"{story(900)}\n{lease(HELD)['text']}\n{story(901)}"}
    write_rows(place / "stories.jsonl", [*rows, leak, {"id": "german", "text": german}])
    (folder / "out").mkdir()
    told = section(place, quality_families=("gopher",), quality={"gopher_alphabetic_words": None})
    artifact, _ = curate(told, {}, folder / "out")
    return artifact


@pytest.fixture
def card(made: Artifact) -> CurationCard:
    return CurationCard.model_validate_json(made.file("card.json").read_text(encoding="utf-8"))


@pytest.fixture
def samples(made: Artifact) -> Samples:
    return card_samples.read(made.path)


def test_every_reason_has_samples_and_a_meaning(made: Artifact, card: CurationCard, samples: Samples) -> None:
    reasons = {reason for one in card.sources for reason in one.rejected}
    assert {"near_duplicate", "contaminated", "too_few_words"} <= reasons
    assert {one.reason for one in samples.removed} == reasons
    assert set(card.explanations) == reasons
    assert card.explanations["too_few_words"] == "fewer than 5 words"
    page = (made.path / "card.html").read_text(encoding="utf-8")
    for reason in reasons:
        assert card.explanations[reason].replace("'", "&#39;") in page
    rejected = sum(sum(one.rejected.values()) for one in card.sources)
    assert f'<tr class="sum"><td>all</td><td class="n">{rejected:,}</td>' in page


def test_a_sample_is_found_however_many_fell_before_it(tmp_path: Path) -> None:
    many = [
        {"id": f"a{n}", "source": "s", "stage": "quality", "reason": "no_text", "detail": "", "text": ""}
        for n in range(500)
    ]
    late = {"id": 'odd"\\ü', "source": "s", "stage": "duplicates", "reason": "late", "detail": "of x", "text": "here"}
    write_rows(tmp_path / "rejected.jsonl", many)
    with (tmp_path / "rejected.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps(many[0] | late, ensure_ascii=False) + "\n")
    found = card_samples._rejects(tmp_path, {"a499", 'odd"\\ü'})
    assert [one["id"] for one in found] == ["a0", "a1", "a499", 'odd"\\ü']


def test_a_cluster_stands_side_by_side_with_what_was_kept(made: Artifact, samples: Samples) -> None:
    (cluster,) = samples.clusters
    assert cluster.documents == 4 and samples.sizes == {4: 1}
    assert cluster.kept_text.startswith(f"Letter {FREE} ")
    assert len(cluster.fell) == 3 and all(text for _, text in cluster.fell)
    page = (made.path / "card.html").read_text(encoding="utf-8")
    assert "4 documents" in page and "The largest clusters" in page


def test_an_evaluation_text_is_shown_where_it_was_found(made: Artifact, samples: Samples) -> None:
    (leak,) = samples.leaks
    assert (leak.id == "stories/leak" and leak.item.endswith(f"lease-{HELD}")) or f"lease-{HELD}" in leak.item
    assert leak.item_text.startswith(f"Letter {HELD} ") and lease(HELD)["terms"]["rent"] in leak.answer
    assert leak.span[:80] in lease(HELD)["text"]
    assert f"<mark>{leak.span}"[:60] in (made.path / "card.html").read_text(encoding="utf-8").replace("&#39;", "'")


def test_the_card_tells_ceilings_sides_and_what_was_looked_for(made: Artifact, card: CurationCard) -> None:
    near = card.near_duplicates["leases"]
    assert (near.compared, near.removed, near.clusters, near.ceiling) == (43, 3, 1, 0.9)
    assert near.figures_tell_apart and not card.near_duplicates["stories"].figures_tell_apart
    assert card.split is not None and card.evaluation_texts is not None
    accepted = sum(one.accepted for one in card.sources if one.source != "questions")
    assert card.split.training + card.split.heldout == accepted
    asked = {one["document_id"] for one in lines(made.path, "eval.jsonl")}
    assert card.split.exam_documents == len(asked) == card.evaluation_texts.items["terms"]
    assert card.texts["leases"].action == "mask" and card.texts["questions"].action == "mask"


def test_quality_is_counted_of_every_text_once(card: CurationCard) -> None:
    for name in ("leases", "stories"):
        read = next(one.read for one in card.sources if one.source == name)
        assert set(card.texts[name].quality) == set(MEASURES)
        assert {sum(bins) for bins in card.texts[name].quality.values()} == {read}
    fell = sum(card.texts["leases"].quality["words with a letter"][BINS:])
    assert fell == 1, "the row of two words"


def test_bins_hold_their_ends() -> None:
    rows = counts_of(texts_of(["one two three 4", "1 2 3", "a " * 50]))
    (tally,) = [bins_of(binned(rows, rows["words"] == 3))]
    letters = tally["words with a letter"]
    assert letters[7] == 1 and letters[9] == 1 and letters[BINS] == 1 and sum(letters) == 3
    assert bins_of({}) == {}


def test_two_layers_add_up(made: Artifact, card: CurationCard) -> None:
    both = card_of_layers([made, made])
    assert both.near_duplicates["leases"].removed == 6 and both.near_duplicates["leases"].ceiling == 0.9
    assert both.split is not None and card.split is not None and both.split.heldout == 2 * card.split.heldout
    assert sum(both.texts["stories"].quality["words with a letter"]) == 64
    assert both.explanations == card.explanations
    whole = card_samples.of_layers([made.path, made.path])
    assert (
        whole.sizes == {4: 2} and len(whole.clusters) == 2 and len(whole.made) == len(card_samples.read(made.path).made)
    )


def test_prefects_artifact_says_what_the_page_says(made: Artifact, card: CurationCard) -> None:
    told = markdown("real_estate", made)
    parts = ("## Why documents fell", "fewer than 5 words", "## Near-duplicates", "Clusters by documents: 1 of 4")
    for part in (*parts, "## Split and evaluation texts", "stories/leak", "- languages: ", "- licences of what was "):
        assert part in told, part
    rows: list[Any] = [line for line in told.splitlines() if line.startswith("|")]
    assert all(line.count("|") == rows[0].count("|") for line in rows[:2])
    assert "<" not in told.replace("\\<", "")
