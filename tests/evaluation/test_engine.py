"""The local engine: batches, stops, sampling, resume, choices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from contracts.documents import ModelAnswer, read_jsonl
from contracts.errors import FitError, InputError
from evaluation.answer import answer
from evaluation.asking import LOG, Wanted, ask, pick
from evaluation.engine import Engine, load_engine, sampler
from recipes.stage_sections import AnswerSection
from recipes.training_sections import Answering
from tests.evaluation.tiny import corpus_artifact, example, general_example, model_artifact, model_folder

WANTED = [(example(number), 0) for number in range(9)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(model_folder(tmp_path_factory.mktemp("models") / "tiny"))


def texts(answers: Iterator[ModelAnswer]) -> dict[tuple[str, int], tuple[str, str]]:
    return {(one.example_id, one.sample): (one.text, one.finish) for one in answers}


def test_answers_do_not_depend_on_the_batch(engine: Engine) -> None:
    alone = texts(engine.answers(WANTED, Answering(max_new_tokens=24, batch_size=1)))
    together = texts(engine.answers(WANTED, Answering(max_new_tokens=24, batch_size=8)))
    assert alone == together
    finishes = {finish for _, finish in alone.values()}
    assert finishes == {"stop", "length"}, "the test needs rows that leave the batch early and rows that do not"


def test_greedy_ids_are_those_of_transformers_generate(engine: Engine) -> None:
    model = AutoModelForCausalLM.from_pretrained(engine.model.name_or_path)
    answers = texts(engine.answers(WANTED, Answering(max_new_tokens=24, batch_size=4)))
    for one, sample in WANTED[:4]:
        ids = engine.prompt_ids(one)
        out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=24)
        expected = engine.tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True)
        assert answers[one.id, sample][0] == expected


def test_sampling_depends_on_seed_and_sample_not_on_the_batch(engine: Engine) -> None:
    wanted = [(example(number), sample) for number in range(4) for sample in range(2)]
    sampled = {
        size: texts(engine.answers(wanted, Answering(max_new_tokens=12, batch_size=size, temperature=1.0)))
        for size in (1, 8)
    }
    other_seed = texts(engine.answers(wanted, Answering(max_new_tokens=12, temperature=1.0, seed=8)))
    assert sampled[1] == sampled[8]
    assert other_seed != sampled[8]
    assert any(sampled[8][f"cover_page/{number}", 0] != sampled[8][f"cover_page/{number}", 1] for number in range(4))


def test_sampling_follows_the_distribution() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    batch = [(example(number), 0, [1]) for number in range(4000)]
    choose = sampler(batch, Answering(temperature=0.5))
    drawn = choose(probabilities.log().expand(4000, 4), range(4000))
    expected = probabilities**2 / (probabilities**2).sum()
    assert torch.allclose(drawn.bincount(minlength=4) / 4000, expected, atol=0.03)


def test_the_log_of_a_killed_run_is_not_asked_again(engine: Engine, tmp_path: Path) -> None:
    settings = Answering(max_new_tokens=8, batch_size=2)
    examples = [one for one, _ in WANTED]
    whole = ask(engine, examples, settings, tmp_path / "..")
    (tmp_path / ".." / LOG).unlink()
    asked: list[str] = []

    class Killed:
        """Passes on to the real engine and notes what it is asked; dies after four answers."""

        name = engine.name
        choices = engine.choices
        left = 4

        def answers(self, wanted: Sequence[Wanted], settings: Answering) -> Iterator[ModelAnswer]:
            asked.extend(one.id for one, _ in wanted)
            for given in engine.answers(wanted, settings):
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt
                yield given

    killed = Killed()
    with pytest.raises(KeyboardInterrupt):
        ask(killed, examples, settings, tmp_path)
    with (tmp_path / LOG).open("a", encoding="utf-8") as log:
        log.write('{"example_id": "cover_page/0", "sam')
    asked.clear()
    killed.left = 99
    assert ask(killed, examples, settings, tmp_path) == whole
    assert len(asked) == len(examples) - 4
    asked.clear()
    assert ask(killed, examples, settings, tmp_path) == whole
    assert asked == []


def test_choices_are_the_likeliest_letter_after_the_opening(engine: Engine) -> None:
    examples = [general_example(number) for number in range(6)]
    chosen = {one.example_id: one.text for one in engine.choices(examples, 4)}
    for one in examples:
        ids = engine.prompt_ids(one, '{"answer": "')
        logits = engine.model(torch.tensor([ids])).logits[0, -1].detach()
        scores = {letter: float(logits[engine.tokenizer.convert_tokens_to_ids(letter)]) for letter in "ABCD"}
        assert chosen[one.id] == max(scores, key=scores.__getitem__)


def test_answer_stage_writes_every_sample_of_the_same_items(tmp_path: Path) -> None:
    inputs = {"model": model_artifact(tmp_path / "model"), "corpus": corpus_artifact(tmp_path / "corpus")}
    answering = Answering(max_new_tokens=4, samples=2, temperature=0.5)
    section = AnswerSection(answering=answering, split="train", max_items=3)
    (tmp_path / "out").mkdir()
    draft, usage = answer(section, inputs, tmp_path / "out")
    written = list(read_jsonl(draft.file("answers.jsonl"), ModelAnswer))
    assert draft.kind == "answers" and set(draft.files) == {"answers.jsonl"}
    assert draft.metrics["items"] == 3 and len(written) == 6
    assert len({one.example_id for one in written}) == 3
    assert usage.tokens_out == sum(one.completion_tokens for one in written) > 0


def test_picking_depends_on_ids_alone() -> None:
    examples = [example(number) for number in range(40)]
    chosen = {one.id for one in pick(examples, 10, 7)}
    assert chosen == {one.id for one in pick(examples[::-1], 10, 7)}
    assert chosen != {one.id for one in pick(examples, 10, 8)}
    assert chosen - {examples[0].id} <= {one.id for one in pick(examples[1:], 10, 7)}


def test_a_prompt_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    short = load_engine(model_folder(tmp_path / "short", context=64))
    with pytest.raises(FitError, match="context of 64 tokens"):
        list(short.answers(WANTED[:1], Answering(max_new_tokens=8)))


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config\.json is missing"):
        load_engine(tmp_path)


def test_end_tokens_come_from_the_generation_config(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": [5, 6]}))
    assert load_engine(folder).stop_ids == {5, 6}
