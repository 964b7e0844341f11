"""The verdicts that need no weights: each kind, its reason, and which of them decides."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Literal, get_args

import pytest

from contracts.errors import FitError, InputError, LicenceError, TokenizerMismatch
from contracts.reports import Candidate, Check
from contracts.tokenizers import Verdict
from recipes.catalogue import models, rows_digest, served_architectures
from recipes.load import load
from recipes.schema import Selection
from recipes.stage_sections import SelectSection, SiblingStudent
from selection.checks import Facts, Ids, checks, require_one, select_section, stated, weigh

WANTED = Selection(candidates=("Qwen3-8B",), licences=("Apache-2.0", "MIT"), memory_gib=80, min_context=2048)
NOTHING_KNOWN = Facts(context=None, architectures=None, ids={})
Loss = Literal["auto", "top_k", "sequence"]


def section(loss: Loss = "auto", student: str = "Qwen3-4B", **changes: object) -> SelectSection:
    """The wanted selection with one student that starts from a catalogue model."""
    wanted = WANTED.model_copy(update=changes)
    return SelectSection(selection=wanted, students={"small": SiblingStudent(model=student, loss=loss)})


def first_fall(judged: list[Check]) -> Check | None:
    return next((check for check in judged if not check.passed), None)


def test_the_first_reason_counts_and_every_other_one_is_kept() -> None:
    wanted = SelectSection(selection=WANTED.model_copy(update={"memory_gib": 1, "max_usd": 0.01}))
    judged = checks(models()["Llama-3.1-70B"], wanted, Facts(100, ("NoSuchLM",), {}), train_usd=5)
    assert [(check.kind, check.passed) for check in judged] == [
        ("licence", False),
        ("context", False),
        ("memory", False),
        ("tokenizer", True),
        ("architecture", False),
        ("cost", False),
    ]
    fallen = first_fall(judged)
    assert fallen is not None and "llama-3.1-community" in fallen.reason


@pytest.mark.parametrize(
    ("changes", "facts", "usd", "kind"),
    [
        ({}, {"context": 1024}, 0.0, "context"),
        ({"memory_gib": 8.0}, {}, 0.0, "memory"),
        ({}, {"architectures": ("NoSuchForCausalLM",)}, 0.0, "architecture"),
        ({}, {"architectures": ()}, 0.0, "architecture"),
        ({"max_usd": 10.0}, {}, 10.01, "cost"),
    ],
)
def test_each_reason(changes: dict[str, float], facts: dict[str, object], usd: float, kind: str) -> None:
    wanted = SelectSection(selection=WANTED.model_copy(update=changes))
    fallen = first_fall(checks(models()["Qwen3-8B"], wanted, replace(NOTHING_KNOWN, **facts), usd))
    assert fallen is not None and fallen.kind == kind


def test_what_fits_and_what_is_unknown_stays() -> None:
    row, wanted = models()["Qwen3-8B"], SelectSection(selection=WANTED)
    assert first_fall(checks(row, wanted, NOTHING_KNOWN, 1.0)) is None
    assert first_fall(checks(row, wanted, Facts(32768, ("Qwen3ForCausalLM",), {}), 1.0)) is None
    assert [check.kind for check in checks(row, wanted, NOTHING_KNOWN)] == [
        "licence",
        "context",
        "memory",
        "tokenizer",
        "architecture",
    ], "no cost where nobody knows it"


@pytest.mark.parametrize("from_files", [True, False])
@pytest.mark.parametrize("loss", get_args(Loss))
@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_the_tokenizer_decides_with_the_loss_asked_for(verdict: Verdict, loss: Loss, from_files: bool) -> None:
    facts = replace(NOTHING_KNOWN, ids={"small": Ids(verdict, from_files)})
    check = checks(models()["Qwen3-8B"], section(loss), facts)[3]
    assert check.kind == "tokenizer" and "small (Qwen3-4B)" in check.reason
    shared = verdict in ("identical", "pad_tail_safe")
    assert check.passed is (shared or (verdict == "cross_tokenizer" and loss != "top_k"))
    assert ("by their files" if from_files else "by the catalogue") in check.reason
    if check.passed and loss != "sequence":
        assert ("loss top_k can be used" if shared else "the sequence-level loss will be used") in check.reason


def test_one_student_that_cannot_learn_is_enough_and_is_the_one_named() -> None:
    wanted = section("top_k")
    both = wanted.students | {"other": SiblingStudent(model="Qwen2.5-7B-Instruct", loss="top_k")}
    judged = weigh(wanted.model_copy(update={"students": both}))[0]
    assert judged.verdict == "rejected" and judged.fall is not None and judged.fall.kind == "tokenizer"
    assert "other (Qwen2.5-7B-Instruct): other token ids by the catalogue" in judged.reason
    assert "small" not in judged.reason


def test_a_teacher_behind_an_api_gives_text_whatever_its_ids() -> None:
    recipe = load("finance", "production")
    behind = recipe.model_copy(
        update={"capture": recipe.capture.model_copy(update={"endpoint": "http://localhost/v1"})}
    )
    assert {one.loss for one in select_section(recipe).students.values()} == {"auto"}
    assert {one.loss for one in select_section(behind).students.values()} == {"sequence"}


def test_students_cut_from_the_teacher_ask_nothing() -> None:
    assert select_section(load("finance", "local")).students == {}
    assert all(one.checks[3].passed for one in weigh(select_section(load("finance", "local"))))


@pytest.mark.parametrize(
    ("rejections", "error"),
    [
        ({"a": "licence", "b": "licence"}, LicenceError),
        ({"a": "tokenizer"}, TokenizerMismatch),
        ({"a": "architecture"}, FitError),
        ({"a": "licence", "b": "tokenizer"}, FitError),
    ],
)
def test_none_left_is_an_error_that_names_every_reason(rejections: dict[str, str], error: type[Exception]) -> None:
    rejected = [
        Candidate(
            model=name,
            licence="MIT",
            verdict="rejected",
            reason=f"for its {kind}",
            params_b=1,
            present=False,
            checks=[Check.model_validate({"kind": kind, "passed": False, "reason": f"for its {kind}"})],
        )
        for name, kind in rejections.items()
    ]
    with pytest.raises(error) as caught:
        require_one(rejected)
    assert type(caught.value) is error
    for name, kind in rejections.items():
        assert f"{name}: for its {kind}" in str(caught.value)
    if error is TokenizerMismatch:
        assert "auto or sequence" in str(caught.value)


def test_a_student_that_the_catalogue_does_not_have() -> None:
    with pytest.raises(InputError, match="did you mean Qwen3-4B"):
        stated(models()["Qwen3-8B"], section(student="Qwen3-4b"))


def test_the_stage_s_identity_follows_what_it_reads_of_recipe_and_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = select_section(load("finance", "production"))
    assert {name: one.model for name, one in plain.students.items()} == {
        "student-14b": "Qwen3-14B",
        "student-7b": "Qwen3-8B",
    }
    longer = select_section(load("finance", "production", ("students.student-7b.max_tokens=64",)))
    sequence = select_section(load("finance", "production", ("students.student-7b.loss=sequence",)))
    assert plain == longer != sequence
    told, row = rows_digest(["Qwen3-8B"]), models()["Qwen3-8B"]
    monkeypatch.setitem(models(), "Qwen3-8B", row.model_copy(update={"note": "another note"}))
    assert rows_digest(["Qwen3-8B"]) == told
    monkeypatch.setitem(models(), "Qwen3-8B", row.model_copy(update={"context": 4096}))
    assert rows_digest(["Qwen3-8B"]) != told
    monkeypatch.setitem(models(), "Qwen3-8B", row)
    version, served = served_architectures()
    monkeypatch.setattr("recipes.catalogue.served_architectures", lambda: (version, served - {"Qwen3ForCausalLM"}))
    assert rows_digest(["Qwen3-8B"]) != told


def test_the_verdicts_import_no_torch() -> None:
    code = (
        "import sys, selection.checks; print([m for m in ('torch', 'transformers', 'tokenizers') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
