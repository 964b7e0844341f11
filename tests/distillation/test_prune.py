"""The layers that a student keeps are those that the answers miss most, found as if each had been cut out for real."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from contracts.artifacts import Artifact, describe
from contracts.documents import write_jsonl
from contracts.errors import FitError, InputError
from contracts.layers import PrunedLayers
from distillation.prune import LossWithout, eliminate, prune, telling
from distillation.rendering import Rendered, render
from distillation.teacher import Teacher
from recipes.stage_sections import PruneSection
from recipes.training_sections import Prune
from tests.tiny_model import tiny_examples, tiny_model

LAYERS = 4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("prune")
    (folder / "distilled").mkdir()
    write_jsonl(folder / "distilled" / "train.jsonl", tiny_examples(6))
    model = tiny_model(folder / "model", layers=LAYERS)
    return {"teacher": model, "distilled": describe(folder / "distilled", "distilled")}


@pytest.fixture
def teacher(inputs: dict[str, Artifact]) -> Teacher:
    return Teacher(inputs["teacher"].path)


def rendered(teacher: Teacher, count: int) -> list[Rendered]:
    return [render(teacher.tokenizer, one) for one in tiny_examples(count)]


def cut_for_real(teacher: Teacher, one: Rendered, kept: list[int]) -> float:
    """Cross-entropy of a copy of the model that has only these layers."""
    model = copy.deepcopy(teacher.model)
    model.base_model.layers = torch.nn.ModuleList(model.base_model.layers[layer] for layer in kept)
    model.config.num_hidden_layers = len(kept)
    ids = torch.tensor([one.input_ids])
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0, one.prompt_tokens - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits, ids[0, one.prompt_tokens :]))


def test_every_loss_is_that_of_a_model_cut_for_real(teacher: Teacher):
    one = rendered(teacher, 1)[0]
    measure = LossWithout(teacher, [one])
    for kept in ([0, 1, 2, 3], [0, 2, 3]):
        found = {layer: loss for loss, layer in measure.without_each(kept)}
        assert found.keys() == set(kept)
        for layer, loss in found.items():
            assert loss == pytest.approx(cut_for_real(teacher, one, [k for k in kept if k != layer]), abs=1e-4)
    assert measure.whole(range(LAYERS)) == pytest.approx(cut_for_real(teacher, one, [0, 1, 2, 3]), abs=1e-4)
    assert len(teacher.model.base_model.layers) == teacher.model.config.num_hidden_layers == LAYERS


def test_a_layer_that_does_nothing_costs_nothing(teacher: Teacher):
    idle = teacher.model.base_model.layers[2]
    with torch.no_grad():
        idle.self_attn.o_proj.weight.zero_()
        idle.mlp.down_proj.weight.zero_()
    measure = LossWithout(teacher, rendered(teacher, 3))
    costs = {layer: loss for loss, layer in measure.without_each(range(LAYERS))}
    assert costs[2] == pytest.approx(measure.whole(range(LAYERS)), abs=1e-5)
    assert all(abs(costs[layer] - costs[2]) > 1e-4 for layer in (0, 1, 3))


def test_in_every_round_the_layer_least_missed_goes(teacher: Teacher):
    measure = LossWithout(teacher, rendered(teacher, 3))
    report = eliminate(measure, LAYERS, (3, 1), at_once=1)
    kept = list(range(LAYERS))
    for one in report.rounds:
        costs = {layer: loss for loss, layer in measure.without_each(kept)}
        assert one.dropped == (min(costs, key=costs.__getitem__),)
        assert one.loss == pytest.approx(min(costs.values()), abs=1e-6)
        kept = [layer for layer in kept if layer not in one.dropped]
    assert (report.kept[1], len(report.kept[3])) == (tuple(kept), 3)


def test_two_layers_a_round_stop_at_every_count(teacher: Teacher):
    measure = LossWithout(teacher, rendered(teacher, 2))
    report = eliminate(measure, LAYERS, (3, 1), at_once=2)
    assert [(len(one.dropped), one.left) for one in report.rounds] == [(1, 3), (2, 1)]
    assert report.rounds[-1].loss == pytest.approx(measure.whole(report.kept[1]), abs=1e-5)


def test_a_student_may_keep_all_layers(teacher: Teacher):
    report = eliminate(LossWithout(teacher, rendered(teacher, 1)), LAYERS, (LAYERS,), at_once=1)
    assert (report.kept, report.rounds) == ({LAYERS: (0, 1, 2, 3)}, [])


def test_the_longest_answers_that_are_short_enough_are_measured_with():
    examples = [Rendered(name, [0] * length, prompt) for name, length, prompt in
                (("a", 10, 8), ("b", 10, 3), ("c", 40, 3), ("d", 9, 4))]  # fmt: skip
    assert [one.example_id for one in telling(examples, 2, 10)] == ["b", "d"]
    with pytest.raises(InputError, match="shortest 9"):
        telling(examples, 2, 8)


def test_the_stage_writes_what_students_read(inputs: dict[str, Artifact], tmp_path: Path):
    section = PruneSection(prune=Prune(examples=2), counts=(3, 2))
    artifact, usage = prune(section, inputs, tmp_path)
    report = PrunedLayers.model_validate_json((tmp_path / "layers.json").read_text())
    assert {count: len(kept) for count, kept in report.kept.items()} == {3: 3, 2: 2}
    assert artifact.metrics["kept"] == {str(count): list(kept) for count, kept in report.kept.items()}
    assert artifact.metrics["losses"]["2"] == report.rounds[-1].loss
    assert usage.tokens_in > 0
    assert json.dumps(artifact.metrics)


def test_more_layers_than_the_teacher_has_are_refused(inputs: dict[str, Artifact], tmp_path: Path):
    with pytest.raises(FitError, match="at most the teacher's 4"):
        prune(PruneSection(prune=Prune(), counts=(5, 2)), inputs, tmp_path)
