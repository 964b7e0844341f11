"""Tokens and the contracts checked before a device is leased."""

import json

import pyarrow.parquet as pq
import pytest

from contracts.artifacts import describe, publish
from contracts.documents import write_jsonl
from contracts.errors import GateError
from recipes.schema import Tokenise
from training.chat import CHATML, install_pad, install_template, marked_mask, supervise
from training.tokenise import chat_rows, require_supervision, text_rows, tokenise, warnings


def test_only_the_answer_and_the_stop_token_are_learnt(tiny_tokenizer, examples):
    sequence = supervise(tiny_tokenizer, examples[0].prompt, examples[0].completion)
    learnt = [id_ for id_, mask in zip(sequence.input_ids, sequence.mask, strict=True) if mask]
    assert tiny_tokenizer.decode(learnt) == examples[0].completion + "<|im_end|>"
    assert sequence.input_ids[-1] == tiny_tokenizer.eos_token_id


def test_the_templates_markers_give_the_same_mask(tiny_tokenizer, examples):
    sequence = supervise(tiny_tokenizer, examples[0].prompt, examples[0].completion)
    messages = [*examples[0].prompt, {"role": "assistant", "content": examples[0].completion}]
    ids, mask = marked_mask(tiny_tokenizer, messages)
    end = len(sequence.input_ids)
    assert ids[:end] == sequence.input_ids
    assert mask[:end] == sequence.mask
    assert not any(mask[end:])


def test_the_template_renders_what_smollm2s_own_renders(tiny_tokenizer, examples):
    own = (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
        "+ '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    messages = [*examples[0].prompt, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "no"}]
    texts = [
        tiny_tokenizer.apply_chat_template(messages, chat_template=t, tokenize=False, add_generation_prompt=True)
        for t in (own, CHATML)
    ]
    assert texts[0] == texts[1]


def test_install_separates_pad_from_stop(tiny_tokenizer):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    assert install_template(tokenizer) == "chatml-marked"
    install_pad(tokenizer)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_nothing_supervised_fails(tiny_tokenizer, examples):
    section = Tokenise(max_tokens=64, max_truncated_share=1.0)
    long = [one.model_copy(update={"completion": "word " * 90}) for one in examples]
    rows, reports = chat_rows(tiny_tokenizer, long, section.max_tokens)
    assert rows == []
    with pytest.raises(GateError, match="source prices: must have supervised tokens, got 0"):
        require_supervision(reports, section)


def test_too_many_over_the_limit_fails_and_names_the_way_out(tiny_tokenizer, examples):
    section = Tokenise(max_tokens=64)
    long = [one.model_copy(update={"completion": "word " * 90}) for one in examples[:2]]
    short = [one.model_copy(update={"prompt": one.prompt[:1]}) for one in examples[2:12]]
    _, reports = chat_rows(tiny_tokenizer, long + short, section.max_tokens)
    with pytest.raises(GateError, match=r"2 of 12 examples\n\nhint: raise tokenise.max_tokens"):
        require_supervision(reports, section)


def test_an_answer_without_stop_token_fails(tiny_tokenizer, examples):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = CHATML.replace(
        "message['content'] + '<|im_end|>' }}{% endgen", "message['content'] }}{% endgen"
    )
    _, reports = chat_rows(tokenizer, examples, 256)
    with pytest.raises(GateError, match="every answer must end with the stop token, got 24 examples without"):
        require_supervision(reports, Tokenise())


def test_a_template_that_rewrites_the_prompt_fails(tiny_tokenizer, examples):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = CHATML.replace("<|im_start|>assistant\\n", "<|im_start|>assistant\\n<think>")
    with pytest.raises(GateError, match="the prompt's ids must begin the conversation's"):
        supervise(tokenizer, examples[0].prompt, examples[0].completion)


def test_a_changed_template_fails_against_the_golden_ids(tiny_model, corpus, out_dir, tmp_path):
    import shutil

    shutil.copytree(tiny_model.path, tmp_path / "changed")
    stored = json.loads((tmp_path / "changed" / "golden.json").read_text())
    stored["conversations"][2]["ids"][5] += 1
    (tmp_path / "changed" / "golden.json").write_text(json.dumps(stored))
    changed = describe(tmp_path / "changed", "model")
    with pytest.raises(GateError, match="conversation 2: renders to other ids"):
        tokenise(Tokenise(), {"model": changed, "corpus": corpus}, out_dir)


def test_little_supervision_is_a_warning(tiny_tokenizer, examples):
    _, reports = chat_rows(tiny_tokenizer, examples, 256)
    assert warnings(reports, Tokenise(min_supervised_share=0.9)) and not warnings(reports, Tokenise())


def test_long_documents_keep_every_token(tiny_tokenizer, corpus):
    from contracts.documents import Document

    text = "Zinc rose to 4,417 dollars – Ünïcode. " * 40
    document = Document(id="d", text=text, source="news", licence="CC0-1.0")
    learnt, held_out = text_rows(tiny_tokenizer, [(document, False, False), (document, True, True)], 64)
    ids = [id_ for row in learnt for id_ in row["input_ids"]]
    assert max(len(row["input_ids"]) for row in learnt) == 64
    assert tiny_tokenizer.decode(ids[:-1]) == text and ids[-1] == tiny_tokenizer.pad_token_id
    assert {row["replay"] for row in held_out} == {True}


def test_the_stage_reports_lengths_and_holds_text_out(tokens):
    report = tokens.metrics["sources"]["prices"]
    rows = pq.read_table(tokens.file("sft_train.parquet")).to_pylist()
    assert report["examples"] == len(rows) == 24
    assert report["supervised_tokens"] == sum(label != -100 for row in rows for label in row["labels"])
    assert report["longest"] == max(len(row["input_ids"]) for row in rows)
    held_out = pq.read_table(tokens.file("held_out.parquet")).to_pylist()
    assert {row["source"] for row in held_out} == {"news", "general"}
    learnt = {row["id"] for row in pq.read_table(tokens.file("cpt.parquet")).to_pylist()}
    assert len(learnt) == 40


def test_documents_are_held_out_where_the_corpus_has_no_held_out_file(tiny_model, examples, tmp_path, out_dir):
    from contracts.documents import Document

    draft = tmp_path / "draft"
    draft.mkdir()
    write_jsonl(draft / "train.jsonl", examples)
    write_jsonl(draft / "eval.jsonl", examples[:1])
    texts = [Document(id=f"d{n}", text=f"tin {n}", source="news", licence="CC0-1.0") for n in range(200)]
    write_jsonl(draft / "pretraining.jsonl", texts)
    corpus = publish(describe(draft, "corpus"), tmp_path / "corpus")
    artifact, _ = tokenise(Tokenise(), {"model": tiny_model, "corpus": corpus}, out_dir)
    held = pq.read_table(artifact.file("held_out.parquet")).num_rows
    assert 0 < held < 40
    assert held + pq.read_table(artifact.file("cpt.parquet")).num_rows == 200
