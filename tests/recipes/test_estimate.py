"""What a stage is expected to take: every figure from a formula that a reader can work out by hand."""

from __future__ import annotations

import ast

import pytest

from contracts.errors import InputError
from recipes import work
from recipes.catalogue import FOLDER, devices, models
from recipes.estimate import Estimate, Group, estimate, group
from recipes.load import load, scales, verticals
from recipes.memory import GIB, PASS_TOKENS, Batch, inference_memory, total_gib, training_memory
from recipes.shapes import shape
from recipes.speed import MEGATRON_SHARE, flops_seconds, step_seconds

TRAINED = ("cpt", "sft", "dpo", "student:student-14b", "student:student-7b")
ANSWERED = ("select", "evaluate:base", "sample:sft", "teacher", "capture", "merge:sft", "serve:teacher")


def production(stage: str, on: str, *overrides: str) -> Estimate:
    found = estimate(load("finance", "production", overrides), stage, group(on))
    assert found is not None
    return found


@pytest.mark.parametrize("vertical", verticals())
@pytest.mark.parametrize("scale", scales())
@pytest.mark.parametrize("name", list(devices()))
def test_every_recipe_on_every_device_has_ordered_positive_bands(vertical: str, scale: str, name: str) -> None:
    recipe = load(vertical, scale)
    for stage in (*TRAINED, *ANSWERED, "prune", "evaluate:student-7b", "serve:student-7b"):
        found = estimate(recipe, stage, Group(name))
        assert found is not None
        assert 0 < found.wall_seconds[0] <= found.wall_seconds[1] <= found.wall_seconds[2]
        assert set(found.memory_bytes) >= {"weights", "logits", "context", "fragments"}
    assert estimate(recipe, "curate", Group(name)) is None


def test_full_training_is_six_operations_a_parameter_and_token() -> None:
    found = production("cpt", "H100-SXM", "cpt.held_out_tokens=64")
    model = shape(models()["Qwen3-32B"])
    a_token = 6 * model.matmul + 6 * model.layers * model.width * 8192 + 2 * model.matmul
    assert found.flops == pytest.approx(2e9 * a_token, rel=1e-4)
    assert model.matmul == pytest.approx(32.8e9 - 151_936 * 5_120)


def test_a_limit_of_steps_ends_training_first() -> None:
    limited = production("sft", "H100-SXM", "sft.optimiser.max_steps=10")
    assert limited.flops / production("sft", "H100-SXM").flops == pytest.approx(10 * 262_144 / 60_000_000)


@pytest.mark.parametrize("on", ["H100-SXM", "8xH100-SXM", "L40S", "4xA100-80GB-SXM"])
@pytest.mark.parametrize("stage", [*TRAINED, "evaluate:base", "teacher", "capture", "serve:teacher"])
def test_every_setting_offered_as_nearest_fits(stage: str, on: str) -> None:
    found = production(stage, on)
    assert found.fits or found.nearest or stage in ("capture", "serve:teacher", "evaluate:base", "teacher")
    for offered in found.nearest:
        changes = [one for one in offered.split(" with ") if not one.startswith("--device")]
        devices_named = [one.removeprefix("--device ") for one in offered.split(" with ") if one.startswith("--device")]
        assert production(stage, devices_named[0] if devices_named else on, *changes).fits, offered


def test_sharding_divides_what_is_trained_and_nothing_else() -> None:
    model, batch = shape(models()["Qwen3-8B"]), Batch(4096, 2)
    one, eight = (training_memory(model, "full", 0, batch, count) for count in (1, 8))
    for part in ("weights", "gradients", "optimiser"):
        assert eight[part] == pytest.approx(one[part] / 8)
    assert eight["activations"] == one["activations"] and eight["logits"] == one["logits"]
    assert sum(one[part] for part in ("weights", "gradients", "optimiser")) == pytest.approx(16 * 8.2e9)


def test_the_logits_of_a_long_sequence_are_the_published_size() -> None:
    parts = training_memory(shape(models()["Qwen3-8B"]), "qlora", 16, Batch(4096, 1))
    assert parts["logits"] / GIB == pytest.approx(5.8, rel=0.01)


def test_recomputing_activations_saves_memory_and_costs_operations() -> None:
    model = shape(models()["Qwen3-8B"])
    kept, again = (training_memory(model, "lora", 16, Batch(4096, 4, recompute=one)) for one in (False, True))
    assert kept["activations"] / again["activations"] > 10


def test_a_pruned_student_keeps_its_embeddings() -> None:
    whole = shape(models()["SmolLM2-135M-Instruct"])
    third = whole.with_layers(10)
    assert third.params - third.embeddings == pytest.approx((whole.params - whole.embeddings) / 3)
    assert third.embeddings == whole.embeddings == 49_152 * 576


@pytest.mark.parametrize("name", sorted(models()))
def test_every_catalogue_model_has_a_shape(name: str) -> None:
    found = shape(models()[name])
    assert 0 < found.matmul <= found.active <= found.params
    assert 0 < found.head <= found.linear and found.kv_bytes_per_token > 0


def test_a_mixture_computes_with_its_active_parameters_and_holds_all() -> None:
    sparse = shape(models()["Qwen3-235B-A22B"])
    assert sparse.matmul < 22e9
    assert total_gib(inference_memory(sparse, 1, 1024)) > 235e9 * 2 / GIB


def test_decoding_is_bound_by_memory_until_the_batch_is_large() -> None:
    model, device = shape(models()["Qwen3-8B"]), devices()["H100-SXM"]
    assert step_seconds(model, device, 1, 512)[1] == pytest.approx(2 * 8.2e9 / (3.35e12 * 0.5), rel=0.02)
    crowd = step_seconds(model, device, 4096, 1)[1]
    assert crowd == pytest.approx(flops_seconds(2 * model.matmul * 4096, device, MEGATRON_SHARE)[1])


def test_a_recipe_decides_how_much_a_pass_takes() -> None:
    assert PASS_TOKENS["cuda"] == 16_384
    narrow = production("sft", "H100-SXM", "sft.optimiser.pass_tokens=4096")
    assert narrow.memory_bytes["logits"] == pytest.approx(production("sft", "H100-SXM").memory_bytes["logits"] / 4)


@pytest.mark.parametrize(
    ("text", "told"),
    [("H100-SMX", "did you mean H100-SXM?"), ("", "one of: "), ("0xH200", "1 to 1024"), ("9999xH200", "1 to 1024")],
)
def test_an_unknown_device_is_refused_with_a_way_out(text: str, told: str) -> None:
    with pytest.raises(InputError, match="--device") as error:
        group(text)
    assert told in str(error.value)


def test_devices_are_read_as_people_write_them() -> None:
    assert group("8xH100-SXM") == group("8 x h100-sxm") == group("8*H100-SXM") == Group("H100-SXM", 8)
    assert str(group("b200")) == "B200"


@pytest.mark.parametrize(
    ("module", "name", "planned"),
    [
        ("training/merge.py", "PROBE_TOKENS", work.PROBE_TOKENS),
        ("selection/measuring.py", "NEW_TOKENS", work.ZERO_SHOT_TOKENS),
        ("selection/measuring.py", "BATCH", work.ZERO_SHOT_BATCH),
        ("distillation/capture.py", "BATCH_TOKENS", PASS_TOKENS["cpu"]),
    ],
)
def test_what_stages_do_by_constants_is_what_is_planned(module: str, name: str, planned: int) -> None:
    tree = ast.parse((FOLDER.parent / module).read_text(encoding="utf-8"))
    assigned = [one for one in tree.body if isinstance(one, ast.Assign)]
    (found,) = [ast.literal_eval(one.value) for one in assigned if ast.unparse(one.targets[0]) == name]
    assert found == planned
