"""Field paths, windows, examples and preference pairs."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from contracts.documents import ChatExample, Document
from data_curation.candidates import Book, Candidate
from data_curation.examples import examples_of
from data_curation.field_paths import lookup, text_of
from data_curation.normalising import cut, normalised, parts, without_boilerplate
from data_curation.preferences import closed_sets, neighbour, pairs_of, swapped_digit, wrong_scale
from data_curation.windows import is_printed, window_of
from recipes.schema import Task, Window

ROW = {
    "cover": {"name": "Aller Works", "symbols": ["ALW", "ALX"]},
    "cites": [{"spans": ["(a)", "(b)"]}, {"spans": ["(c)"]}, {}],
    "flat": ["(d)"],
    "blank": " ",
    "items": {"1": "first", "2": "second"},
    "zero": 0,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("cover.name", "Aller Works"),
        ("cover.symbols[0]", "ALW"),
        ("cover.symbols[7]", None),
        ("cites[].spans", ["(a)", "(b)", "(c)"]),
        ("cites[1].spans[0]", "(c)"),
        ("blank|cover.name", "Aller Works"),
        ("nothing[].x|flat", ["(d)"]),
        ("cover.name+items", "Aller Works\n\nfirst\n\nsecond"),
        ("cover.name.deeper", None),
        ("zero", 0),
    ],
)
def test_field_paths(path: str, value: Any) -> None:
    assert lookup(ROW, path) == value


def test_lists_of_words_become_text() -> None:
    assert text_of(["Aller", "Works", ",", 3]) == "Aller Works , 3"
    assert text_of(None) == ""


@pytest.mark.parametrize(
    ("value", "text", "printed"),
    [
        ("625", "Goodwill | 625 | 625", True),
        ("625", "Total | 1,625", False),
        ("625", "Total | 625,000", False),
        ("2.7", "2.73", False),
        ("Detroit", "300 Renaissance Center, | Detroit, | Michigan", True),
        ("300 Renaissance Center Detroit", "300 Renaissance Center | Detroit", True),
        ("NVIDIA CORP", "NVIDIA CORPORATION", False),
        ("nvidia corp", "NVIDIA CORP.", True),
        ("One Quay Road", "One Quay RoadAberdeen", True),
        ("3", "3BD/2BA", True),
        ("2", "a two-bedroom flat", True),
        ("2", "12 rooms", False),
        ("", "anything", False),
    ],
)
def test_is_printed(value: str, text: str, printed: bool) -> None:
    assert is_printed(value, text) is printed


STATEMENT = (
    "INCOME\nThree Months Ended | Six Months Ended\nJune 30, 2023 | June 30, 2022\n"
    + "".join(f"Item {n} | {n},111 | {n},222\n" for n in range(1, 30))
    + "Income tax expense | 9,411 | 8,702\nNet income | 9,411 | 7,000\nEnd of page"
)


def test_a_window_holds_the_figure_on_the_line_that_is_asked_about_and_its_heading() -> None:
    window = Window(around="x", before_chars=60, after_chars=30)
    found = window_of(STATEMENT, "9,411", "us-gaap:NetIncomeLoss", window)
    assert found is not None
    assert found.startswith("Three Months Ended | Six Months Ended\nJune 30, 2023 | June 30, 2022\n")
    assert "Net income | 9,411" in found and len(found) < 300
    assert window_of(STATEMENT, "411", "anything", window) is None


def _book() -> Book:
    return Book(io.StringIO(), io.StringIO())


def _candidate(text: str, row: dict[str, Any]) -> Candidate:
    return Candidate(Document(id="d", text=text, source="s", licence="MIT"), row)


def test_missing_fields_are_left_out_and_unprinted_ones_reject() -> None:
    task = Task(
        source="s", prompt="{text}", fields={"name": "name", "city": "city", "rent": "rent"}, must_appear=("name",),
        only_if_printed=("rent",),
    )  # fmt: skip
    text = "Aller Works of the river quay pays every month."
    book = _book()
    made = examples_of("t", task, _candidate(text, {"name": "Aller Works,", "city": None, "rent": "900"}), "", book)
    assert made[0].gold == {"name": "Aller Works"}
    assert made[0].completion == '{"name": "Aller Works"}'
    assert [message["role"] for message in made[0].prompt] == ["user"]
    assert not examples_of("t", task, _candidate(text, {"name": "Bode Works"}), "", book)
    assert dict(book.example_rejects) == {"t: gold_not_in_text": 1}
    assert json.loads(book.rejected_out.getvalue())["detail"] == "name: Bode Works"  # type: ignore[attr-defined]


def test_each_gives_distinct_examples_up_to_the_cap_with_labels_and_periods() -> None:
    facts = [{"concept": "c:Tax", "period": "2023-01-01/2023-06-30", "printed": f"{n},111"} for n in range(1, 30)]
    task = Task(
        source="s", prompt="{text}\n{concept} for {period}?", each="facts", per_document=3,
        values={"concept": "each.concept", "period": "each.period"}, labels={"concept": {"c:Tax": "income tax"}},
        fields={"concept": "each.concept", "value": "each.printed"}, must_appear=("value",),
        window=Window(around="each.printed", before_chars=40, after_chars=20),
    )  # fmt: skip
    made = examples_of("t", task, _candidate(STATEMENT, {"facts": facts}), "", _book())
    assert len(made) == 3 and len({one.id for one in made}) == 3
    for one in made:
        assert one.gold is not None and one.gold["concept"] == "income tax" and one.gold["value"] in one.context
        assert one.prompt[0]["content"].endswith("income tax for 2023-01-01 to 2023-06-30?")
    assert made == examples_of("t", task, _candidate(STATEMENT, {"facts": facts}), "", _book())


def test_prompts_never_reach_into_objects_and_keep_braces() -> None:
    task = Task(source="s", prompt='{text} {name.__class__} {"a": 1}', values={"name": "name"}, fields={"name": "name"})
    made = examples_of("t", task, _candidate("{name} stays as it is", {"name": "x"}), "", _book())
    assert made[0].prompt[0]["content"] == '{name} stays as it is {name.__class__} {"a": 1}'


def test_wrong_figures_look_right() -> None:
    assert swapped_digit("54,318") == "54,381"
    assert swapped_digit("111") is None
    assert wrong_scale("54,318") == "54,318,000" and wrong_scale("12.5") is None and wrong_scale("2023") is None
    context = "Revenue | 54,318 | 58,054 in 2023 | 1.25 | 9"
    assert neighbour("54,318", context) == "58,054"
    assert neighbour("1.25", context) is None
    assert neighbour("32-0375147", context) is None


def test_pairs_differ_from_the_gold_and_name_their_fault() -> None:
    example = ChatExample(
        id="e", task="t", source="s", document_id="d", prompt=[], completion='{"rent": "1,200", "kind": "lease"}',
        gold={"rent": "1,200", "kind": "lease"}, context="rent 1,200 or 1,450",
    )  # fmt: skip
    task = Task(source="s", prompt="{text}", fields={"rent": "rent", "kind": "kind"}, numeric=("rent",))
    row = {
        "wrong": {
            "rent": [{"value": "1,200", "fault": "same"}, {"value": "9,999", "fault": "other_lease"}],
            "gone": [{}],
        }
    }
    others = [
        example.model_copy(update={"id": str(n), "gold": {"kind": kind}})
        for n in range(10)
        for kind in ("lease", "sale")
    ]
    pairs = pairs_of(example, task, row, closed_sets([example, *others]))
    assert pairs[0].fault == "other_lease" and len(pairs) == 3
    assert all(pair.chosen == example.completion and pair.rejected != pair.chosen for pair in pairs)
    assert [pair.fault for pair in pairs_of(example, Task(source="s", prompt="", fields={"a": "a"}), {}, {})] == []
    labels = closed_sets([example, *others])
    assert labels == {"kind": ["lease", "sale"]}
    plain = Task(source="s", prompt="{text}", fields={"kind": "kind"})
    (pair,) = pairs_of(example, plain, {}, labels)
    assert pair.fault == "other_label" and json.loads(pair.rejected)["kind"] == "sale"


def test_normalising_keeps_words_and_drops_rules() -> None:
    assert normalised("A\u0308pfel\u200b\r\n\r\n\r\n\r\n______ x\u00a0 y\tz") == "Äpfel\n\nx y z"
    import re

    rules = (re.compile("united states", re.IGNORECASE),)
    text = "UNITED STATES\nForm 10-K\nIndicate by check mark whether\nmore"
    assert without_boilerplate(text, "indicate by CHECK mark", rules) == "Form 10-K"


def test_long_texts_are_parted_without_loss() -> None:
    text = "\n\n".join(f"paragraph {n} " + "word " * (n % 9) for n in range(200))
    pieces = list(parts(text, 300))
    assert all(len(piece) <= 300 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert cut(text, 300) == pieces[0]
