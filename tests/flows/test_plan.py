"""The plan's verdicts on candidates and students, without running anything."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from contracts.artifacts import describe
from contracts.errors import BudgetError, FitError, LicenceError, RecipeError
from flows.plan import Plan, plan, require_budget
from flows.plan_tables import comparison, table
from flows.settings import CHECKOUT, Settings
from flows.store import Store
from recipes.load import load

SMALL = "students.student-7b"
COMPUTED = set(Plan.model_computed_fields)


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


def test_what_does_not_fit_is_named_with_settings_that_do(tmp_path: Path) -> None:
    made = planned(tmp_path)
    cpt = next(one for one in made.stages if one.stage == "cpt")
    assert cpt.fits is False and cpt.memory_bytes is not None
    assert cpt.memory_bytes["optimiser"] == pytest.approx(8 * 32.8e9)
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(table(made))
    shown = captured.get()
    assert "cpt does not fit H100-SXM; nearest settings that do: --device 16xH100-SXM" in shown
    assert "optimiser" in shown and "kv cache" in shown


def test_totals_are_those_of_the_stages_and_follow_the_devices(tmp_path: Path) -> None:
    one, eight = (
        plan(load("finance", "production"), Settings(home=tmp_path / "home"), None, name)
        for name in ("H100-SXM", "8xH100-SXM")
    )
    held = [stage for stage in one.stages if stage.device_seconds]
    assert one.seconds_to_run[1] == pytest.approx(sum(stage.device_seconds[1] for stage in held))
    assert one.usd_to_run is not None and one.usd_to_run[1] == pytest.approx(one.seconds_to_run[1] / 3600 * 2.95)
    assert one.seconds_to_run[0] < one.seconds_to_run[1] < one.seconds_to_run[2]
    assert eight.device == "8 x H100-SXM" and eight.flops_to_run == one.flops_to_run
    assert eight.wall_seconds_to_run[1] < one.wall_seconds_to_run[1] / 3  # training shares; the rest waits
    assert eight.seconds_to_run[1] > one.seconds_to_run[1]
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(comparison([one, eight]))
    assert "8 x H100-SXM" in captured.get()


def test_a_device_without_a_price_has_no_cost(tmp_path: Path) -> None:
    made = plan(load("finance", "production"), Settings(home=tmp_path / "home"), None, "MI300X")
    assert made.usd_to_run is None and made.seconds_to_run[1] > 0
    assert Plan.model_validate(json.loads(made.model_dump_json(exclude=COMPUTED))).price.usual is None


def test_the_verdicts_cover_students_corpora_and_release(tmp_path: Path) -> None:
    made = planned(tmp_path, f"{SMALL}.model=Qwen2.5-7B-Instruct")
    told = {(one.subject, one.check): one for one in made.verdicts}
    assert told["student-7b (Qwen2.5-7B-Instruct)", "tokenizer"].verdict == "warns"
    assert told["student-14b (Qwen3-14B)", "serveability"].verdict == "passes"
    assert told["sec_filings", "licence"].verdict == "passes"
    assert "LicenseRef-SEC-public-record" in told["release", "licences"].reason


def test_an_over_budget_plan_is_shown_and_then_refused(tmp_path: Path) -> None:
    made = planned(tmp_path, "budget.usd=1")
    with pytest.raises(BudgetError, match="over the budget of 1 USD") as error:
        require_budget(made)
    assert "cpt" in error.value.hint


def test_what_is_in_the_store_costs_nothing_and_counts_as_saved(tmp_path: Path) -> None:
    before = planned(tmp_path)
    sft = next(one for one in before.stages if one.stage == "sft")
    draft = tmp_path / "draft"
    draft.mkdir()
    (draft / "file").write_text("made")
    made = describe(draft, "adapter", {}).model_copy(update={"fingerprint": sft.fingerprint, "path": draft})
    Store(tmp_path / "home").publish(made, "sft")
    after = planned(tmp_path)
    assert [one.stage for one in after.stages if one.cached] == ["sft"]
    assert sft.device_seconds is not None and after.saved_seconds == pytest.approx(sft.device_seconds[1])
    assert after.seconds_to_run[1] == pytest.approx(before.seconds_to_run[1] - sft.device_seconds[1])


def test_a_teacher_behind_an_api_is_named_with_its_tokens(tmp_path: Path) -> None:
    told = planned(tmp_path, "capture.endpoint=https://teacher.example/v1").notes
    assert any("reads about 49,152,000 tokens and writes 4,096,000" in note for note in told)
