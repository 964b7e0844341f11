"""Students that start from catalogue models: ids, licence and architecture as the catalogue states them."""

from __future__ import annotations

import pytest

from contracts.errors import RecipeError
from contracts.tokenizers import Verdict
from recipes.catalogue import models, stated_verdict
from recipes.load import load

SMALL = "students.student-7b"
LARGE = "students.student-14b"


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        ("Qwen3-32B", "Qwen3-8B", "identical"),
        ("DeepSeek-R1-Distill-Qwen-32B", "DeepSeek-R1-Distill-Qwen-7B", "identical"),
        ("Qwen2.5-32B-Instruct", "Qwen2.5-14B-Instruct", "identical"),
        ("Llama-3.1-70B", "Llama-3.1-8B", "identical"),
        ("Qwen3-32B", "Qwen2.5-7B-Instruct", "cross_tokenizer"),
        # As wide as each other, and each with special tokens of its own.
        ("DeepSeek-R1-Distill-Qwen-32B", "Qwen2.5-7B-Instruct", "cross_tokenizer"),
        ("gemma-3-270m", "Qwen3-0.6B", "cross_tokenizer"),
    ],
)
def test_what_the_catalogue_states_both_ways_round(teacher: str, student: str, expected: Verdict) -> None:
    rows = models()
    assert stated_verdict(rows[teacher], rows[student]) == expected
    assert stated_verdict(rows[student], rows[teacher]) == expected


def test_one_family_in_two_widths_shares_ids_but_for_a_tail() -> None:
    row = models()["Qwen2.5-7B-Instruct"]
    narrow, unknown = (row.model_copy(update={"vocab": width}) for width in (151_936, None))
    assert stated_verdict(row, narrow) == "pad_tail_safe"
    assert stated_verdict(row, unknown) == "identical"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            (f"{SMALL}.model=Qwen2.5-7B-Instruct", f"{SMALL}.loss=top_k"),
            f"{SMALL}.loss: top_k needs the teacher's token ids, got qwen2.5",
        ),
        # Only a candidate of a licence that is not allowed would share its ids.
        (
            (f"{SMALL}.model=Qwen2.5-7B-Instruct", f"{SMALL}.loss=top_k",
             "selection.candidates=[Qwen3-32B, Qwen2.5-72B-Instruct]"),
            f"{SMALL}.loss: top_k needs the teacher's token ids, got qwen2.5",
        ),
        # Each student has a candidate that shares its ids, and none has both.
        (
            (f"{SMALL}.model=DeepSeek-R1-Distill-Qwen-7B", f"{SMALL}.loss=top_k", f"{LARGE}.loss=top_k"),
            "students: no candidate shares token ids with every student of loss top_k, got student-14b: qwen3",
        ),
        ((f"{SMALL}.model=Llama-3.1-8B",), f"{SMALL}.model: has a licence that selection.licences does not allow"),
        ((f"{SMALL}.model=Qwen9-8B",), f"{SMALL}.model: is not in recipes/models.yaml, got Qwen9-8B"),
    ],
)  # fmt: skip
def test_students_that_cannot_be_had_are_refused_with_the_way_out(overrides: tuple[str, ...], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load("finance", "production", overrides)
    assert told in str(caught.value)
    assert "hint: " in str(caught.value)


@pytest.mark.parametrize("loss", ["auto", "sequence"])
def test_a_student_of_another_family_may_learn_by_text(loss: str) -> None:
    recipe = load("finance", "production", (f"{SMALL}.model=Qwen2.5-7B-Instruct", f"{SMALL}.loss={loss}"))
    assert recipe.students["student-7b"].loss == loss


def test_an_architecture_that_vllm_does_not_serve_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = models()["Qwen3-8B"].model_copy(update={"architecture": "NoSuchForCausalLM"})
    monkeypatch.setitem(models(), "Qwen3-8B", row)
    with pytest.raises(RecipeError, match=r"student-7b\.model: vLLM .* does not serve its architecture, got NoSuch"):
        load("finance", "production")
