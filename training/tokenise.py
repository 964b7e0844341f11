"""Stage tokenise: text to token ids on a CPU, and the contracts that are cheap to check before a device is leased."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, Document, read_jsonl
from contracts.errors import GateError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from recipes.schema import Tokenise
from training.chat import require_golden, supervise
from training.loading import GOLDEN, load_tokenizer
from training.token_files import CPT, HELD_OUT, SFT_EVAL, SFT_SCHEMA, SFT_TRAIN, TEXT_SCHEMA, write_rows

CODE_VERSION = "1"
IGNORED = -100
DOCUMENT_END = "<|endoftext|>"
HELD_OUT_EVERY = 20
"""One document in so many is held out for bits per byte, where the corpus has no held-out file."""


@dataclass
class SourceLengths:
    """One source's length report; counts are of tokens unless named otherwise."""

    examples: int = 0
    tokens: int = 0
    longest: int = 0
    supervised_tokens: int = 0
    truncated_examples: int = 0
    tokens_lost: int = 0
    unstopped_examples: int = 0
    """Kept examples whose last supervised token is not the stop token."""

    @property
    def supervised_share(self) -> float:
        """Supervised tokens of the tokens kept."""
        return self.supervised_tokens / self.tokens if self.tokens else 0.0

    @property
    def truncated_share(self) -> float:
        """Examples over the limit, of all."""
        return self.truncated_examples / self.examples if self.examples else 0.0


def tokenise(section: Tokenise, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``model`` gives the tokenizer, ``corpus`` the text; writes the files named in ``token_files``.

    Raises GateError where training on the result would be waste: a template that renders other ids than those stored
    with the model, nothing supervised in a source, answers without a stop token, too many examples over the limit.
    """
    model, corpus = inputs["model"], inputs["corpus"]
    tokenizer = load_tokenizer(model.path)
    golden_count = require_golden(tokenizer, model.file(GOLDEN))
    reports: dict[str, dict[str, SourceLengths]] = {}
    for split, name, target in (("train", "train.jsonl", SFT_TRAIN), ("eval", "eval.jsonl", SFT_EVAL)):
        rows, reports[split] = chat_rows(tokenizer, _examples(corpus, name), section.max_tokens)
        write_rows(out_dir / target, rows, SFT_SCHEMA)
        progress(len(reports), 4, f"{split} examples")
    require_supervision(reports["train"], section)
    learnt, held_out = text_rows(tokenizer, _documents(corpus), section.pack_tokens)
    write_rows(out_dir / CPT, learnt, TEXT_SCHEMA)
    write_rows(out_dir / HELD_OUT, held_out, TEXT_SCHEMA)
    progress(4, 4, "tokenised")
    metrics = {
        "golden_conversations": golden_count,
        "stop_token_id": tokenizer.eos_token_id,
        "pack_tokens": section.pack_tokens,
        "sources": {source: _shown(report) for source, report in reports["train"].items()},
        "eval_sources": {source: _shown(report) for source, report in reports["eval"].items()},
        "train_tokens": sum(report.tokens for report in reports["train"].values()),
        "cpt_tokens": _tokens(learnt, replay=False),
        "replay_tokens": _tokens(learnt, replay=True),
        "held_out_tokens": _tokens(held_out, replay=False),
        "held_out_replay_tokens": _tokens(held_out, replay=True),
        "warnings": warnings(reports["train"], section),
    }
    return describe(out_dir, "tokens", metrics), Usage(tokens_out=metrics["train_tokens"] + _tokens(learnt))


def chat_rows(
    tokenizer: PreTrainedTokenizerBase, examples: Iterable[ChatExample], max_tokens: int
) -> tuple[list[dict[str, Any]], dict[str, SourceLengths]]:
    """Rows of ``SFT_SCHEMA`` and the length report by source.

    An example over ``max_tokens`` is left out whole and counted as truncated: its answer stands at its end, and an
    answer without its end teaches never to stop.
    """
    rows: list[dict[str, Any]] = []
    reports: dict[str, SourceLengths] = defaultdict(SourceLengths)
    for example in examples:
        report = reports[example.source]
        sequence = supervise(tokenizer, example.prompt, example.completion)
        report.examples += 1
        if len(sequence.input_ids) > max_tokens:
            report.truncated_examples += 1
            report.tokens_lost += len(sequence.input_ids)
            continue
        labels = [id_ if learnt else IGNORED for id_, learnt in zip(sequence.input_ids, sequence.mask, strict=True)]
        report.tokens += len(labels)
        report.longest = max(report.longest, len(labels))
        report.supervised_tokens += sum(sequence.mask)
        report.unstopped_examples += labels[-1] != tokenizer.eos_token_id
        names = {"id": example.id, "task": example.task, "source": example.source}
        rows.append({**names, "input_ids": sequence.input_ids, "labels": labels})
    return rows, dict(reports)


def require_supervision(reports: dict[str, SourceLengths], section: Tokenise) -> None:
    """Raise GateError at the first source that breaks a contract of supervision."""
    for source, report in reports.items():
        subject = f"source {source}"
        if report.truncated_share > section.max_truncated_share:
            longer = f"{report.truncated_examples} of {report.examples} examples"
            hint = f"raise tokenise.max_tokens above {section.max_tokens}, or shorten the documents' windows"
            raise GateError(subject, "too many examples are over tokenise.max_tokens", got=longer, hint=hint)
        if report.supervised_tokens == 0:
            hint = "the loss would look healthy and teach nothing: check the answers and the chat template"
            raise GateError(subject, "must have supervised tokens", got=0, hint=hint)
        if report.unstopped_examples:
            hint = "is the pad token the stop token, or does the template leave the assistant's turn open?"
            got = f"{report.unstopped_examples} examples without"
            raise GateError(subject, "every answer must end with the stop token", got=got, hint=hint)


def warnings(reports: dict[str, SourceLengths], section: Tokenise) -> list[str]:
    """What is allowed and still worth a look."""
    return [
        f"source {source}: {report.supervised_share:.2%} of its tokens are supervised, "
        f"below the floor of {section.min_supervised_share:.2%}"
        for source, report in reports.items()
        if report.supervised_share < section.min_supervised_share
    ]


def text_rows(
    tokenizer: PreTrainedTokenizerBase, documents: Iterable[tuple[Document, bool, bool]], pack_tokens: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of ``TEXT_SCHEMA``: what is learnt, and what is held out. ``documents`` are ``(document, replay, held)``.

    Every token is kept: a document longer than a pack goes on in the next row.
    """
    vocabulary = tokenizer.get_vocab()
    end = vocabulary.get(DOCUMENT_END, tokenizer.eos_token_id)
    split: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for document, replay, held in documents:
        ids = [*tokenizer(document.text, add_special_tokens=False)["input_ids"], end]
        pieces = [ids[start : start + pack_tokens] for start in range(0, len(ids), pack_tokens)]
        for piece in pieces:
            text_bytes = len(tokenizer.decode(piece[:-1] if piece[-1] == end else piece).encode())
            row = {"id": document.id, "source": document.source, "replay": replay}
            split[held].append({**row, "utf8_bytes": text_bytes, "input_ids": piece})
    return split


def _examples(corpus: Artifact, name: str) -> Iterable[ChatExample]:
    return read_jsonl(corpus.file(name), ChatExample)


def _documents(corpus: Artifact) -> Iterable[tuple[Document, bool, bool]]:
    """Pretraining and replay text as ``(document, replay, held out)``."""
    for use, replay in (("pretraining", False), ("replay", True)):
        held_out = _read_documents(corpus, f"{use}_heldout.jsonl")
        yield from ((document, replay, True) for document in held_out)
        for document in _read_documents(corpus, f"{use}.jsonl"):
            draw = int.from_bytes(hashlib.sha256((document.entity or document.id).encode()).digest()[:8], "big")
            yield document, replay, not held_out and draw % HELD_OUT_EVERY == 0


def _read_documents(corpus: Artifact, name: str) -> list[Document]:
    return list(read_jsonl(corpus.file(name), Document)) if name in corpus.files else []


def _tokens(rows: list[dict[str, Any]], replay: bool | None = None) -> int:
    return sum(len(row["input_ids"]) for row in rows if replay is None or row["replay"] == replay)


def _shown(report: SourceLengths) -> dict[str, Any]:
    shares = {"supervised_share": report.supervised_share, "truncated_share": report.truncated_share}
    return asdict(report) | {name: round(value, 4) for name, value in shares.items()}


if __name__ == "__main__":
    stage_main(tokenise, Tokenise)
