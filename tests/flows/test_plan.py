"""The plan's verdicts on candidates and students, without running anything."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from contracts.errors import FitError, LicenceError, RecipeError
from flows.plan import Plan, plan, table
from flows.settings import CHECKOUT, Settings
from recipes.load import load

SMALL = "students.student-7b"


def planned(tmp_path: Path, *overrides: str, scale: str = "production", vertical: str = "finance") -> Plan:
    return plan(load(vertical, scale, overrides), Settings(home=tmp_path / "home"), None, "H100-SXM")


def test_every_candidate_has_every_verdict_that_the_catalogue_can_give(tmp_path: Path) -> None:
    made = planned(tmp_path, vertical="corporate_intelligence")
    teacher, other = made.candidates
    assert [check.kind for check in teacher.checks] == ["licence", "context", "memory", "tokenizer", "architecture"]
    assert teacher.model == "DeepSeek-R1-Distill-Qwen-32B" and teacher.verdict == "kept"
    assert teacher.checks[3].reason.count("the same token ids by the catalogue") == 2
    assert other.model == "Qwen3-32B" and "the sequence-level loss will be used" in other.checks[3].reason
    assert other.checks[4].reason.endswith("serves Qwen3ForCausalLM")
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(table(made))
    shown = captured.get()
    for text in ("serve:student-7b", "DeepSeek-R1-Distill-Qwen-32B", "architecture", "will be used"):
        assert text in shown


def test_a_student_of_another_family_goes_by_text_and_the_plan_says_so(tmp_path: Path) -> None:
    told = planned(tmp_path, f"{SMALL}.model=Qwen2.5-7B-Instruct").notes
    assert any(note.startswith("student-7b: loss sequence (teacher and student have different") for note in told)
    assert any(note.startswith("student-14b: loss top_k") for note in told)


def test_top_k_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="top_k needs the teacher's token ids"):
        planned(tmp_path, f"{SMALL}.model=Qwen2.5-7B-Instruct", f"{SMALL}.loss=top_k")


def test_a_candidate_that_top_k_rejects_leaves_the_place_to_the_next(tmp_path: Path) -> None:
    made = planned(tmp_path, "selection.candidates=[DeepSeek-R1-Distill-Qwen-32B, Qwen3-32B]", f"{SMALL}.loss=top_k")
    assert [one.verdict for one in made.candidates] == ["rejected", "kept"]
    names = [one.stage for one in made.stages]
    assert "base:Qwen3-32B" in names and "base:DeepSeek-R1-Distill-Qwen-32B" not in names


@pytest.mark.parametrize(
    ("overrides", "error", "told"),
    [
        (("selection.candidates=[Llama-3.1-8B]",), LicenceError, "LicenseRef-llama-3.1-community is not among"),
        (("selection.memory_gib=8",), FitError, "the device has 8"),
    ],
)
def test_no_candidate_left_is_refused_before_anything_is_spent(
    tmp_path: Path, overrides: tuple[str, ...], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        planned(tmp_path, *overrides)


def test_a_model_that_two_stages_want_is_brought_once(tmp_path: Path) -> None:
    made = planned(
        tmp_path,
        f"{SMALL}.model=Qwen3-14B",
        "students.student-14b.model=Qwen3-14B",
        "selection.candidates=[Qwen3-14B]",
    )
    names = [one.stage for one in made.stages]
    assert len(names) == len(set(names))
    select = next(one for one in made.stages if one.stage == "select")
    inputs = select.components["inputs"]
    assert isinstance(inputs, dict) and inputs["base:Qwen3-14B"] == inputs["start:Qwen3-14B"]


def test_a_plan_that_was_made_has_loaded_no_torch(tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from flows.plan import plan; from flows.settings import Settings; "
        "from recipes.load import load; "
        f"plan(load('finance', 'production'), Settings(home=Path({str(tmp_path)!r})), None, 'H100-SXM'); "
        "print(json.dumps([m for m in ('torch', 'transformers', 'prefect') if m in sys.modules]))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout.splitlines()[-1]) == []
