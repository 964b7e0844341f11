"""Plans, checkpoints, devices, and the room's light door."""

import subprocess
import sys

import pytest

from contracts.errors import FitError
from recipes.training_sections import Optimiser
from training.checkpoints import drop_incomplete, mark_complete, newest_complete, step_of
from training.device import Device, Meter, require_free_memory
from training.engine import plan_steps, training_arguments

CPU = Device("cpu", "cpu", 1)


def test_a_step_holds_the_recipes_tokens():
    optimiser = Optimiser(learning_rate=1e-3, batch_tokens=4_000, epochs=2)
    plan = plan_steps([400] * 100, optimiser, device=CPU)
    assert plan.batch * plan.accumulation == 10
    assert plan.batch * 400 <= 2_048
    assert plan.steps == 20
    assert plan.tokens == 80_000


@pytest.mark.parametrize(
    ("changes", "budget", "steps"),
    [({"max_steps": 3}, None, 3), ({}, 12_000, 3), ({"max_steps": 5}, 8_000, 2), ({"epochs": 0.5}, None, 5)],
)
def test_the_first_limit_ends_the_plan(changes, budget, steps):
    optimiser = Optimiser(**({"learning_rate": 1e-3, "batch_tokens": 4_000} | changes))
    assert plan_steps([400] * 100, optimiser, budget, CPU).steps == steps


def test_a_long_sequence_still_gets_a_pass():
    plan = plan_steps([8_000, 100], Optimiser(learning_rate=1e-3, batch_tokens=64), device=CPU)
    assert (plan.batch, plan.accumulation) == (1, 1)


def test_cpu_arguments(tmp_path):
    from transformers import TrainingArguments

    optimiser = Optimiser(learning_rate=1e-3, batch_tokens=4_000, warmup_share=0.1, schedule="linear")
    arguments = training_arguments(
        TrainingArguments, optimiser, plan_steps([400] * 100, optimiser, device=CPU), tmp_path
    )
    if Meter().device.kind == "cpu":
        assert not arguments.bf16 and not arguments.gradient_checkpointing
    assert arguments.output_dir == str(tmp_path / ".checkpoints")
    assert (arguments.save_total_limit, arguments.warmup_steps, arguments.max_steps) == (2, 1, 10)


def test_the_newest_complete_checkpoint_is_used(tmp_path):
    for step in (2, 10, 12):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "weights").write_text("w")
    assert newest_complete(tmp_path) is None
    for step in (2, 10):
        mark_complete(tmp_path / f"checkpoint-{step}")
    assert newest_complete(tmp_path) == tmp_path / "checkpoint-10"
    assert drop_incomplete(tmp_path) == ["checkpoint-12"]
    assert {step_of(path) for path in tmp_path.iterdir()} == {2, 10}


def test_usage_of_this_device():
    usage = Meter().usage(tokens_in=5, tokens_out=2)
    assert (usage.tokens_in, usage.tokens_out, usage.device_count) == (5, 2, 1)
    assert usage.device


def test_memory_that_is_not_there_is_refused():
    with pytest.raises(FitError, match=r"needs 1048576\.0 GiB"):
        require_free_memory(1 << 50, "sft")


def test_the_door_is_light():
    code = "import training, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
