"""Stage ``select``: the base model of a vertical. Output: selection.json (``SelectionReport``).

Candidates fall by licence, context, memory, tokenizer, architecture and cost, in that order (``selection.checks``).
What is left and present is scored on the vertical's own held-out text and on a few of its training questions (never on
the evaluation's).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, Document, read_jsonl
from contracts.errors import InputError
from contracts.reports import Candidate, SelectionReport
from contracts.stage import progress, stage_main
from contracts.tokenizers import TokenizerFingerprint, fingerprint_of, tokenizer_file, tokenizer_verdict
from contracts.usage import Usage
from recipes.catalogue_rows import PublicModel
from recipes.schema import Selection
from recipes.stage_sections import SelectSection
from selection.checks import Facts, Ids, candidate, checks, require_one, rows, stated
from selection.fit import BYTES_PER_TOKEN, cost, device_for

CODE_VERSION = "3"
SAME_BITS = 1.02
"""Models within 2 % of the best bits per byte count as equal on text; the zero-shot score decides among them."""
SEED = 7


def select(section: SelectSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``corpus``, ``base:<name>`` models and the students' ``start:<name>`` models in, kind ``selection`` out.

    Metrics: ``chosen``, ``why``, ``candidates``, ``rejected``, the chosen one's ``bits_per_byte`` and ``zero_shot``.
    Raises LicenceError, TokenizerMismatch or FitError when no candidate is left.
    """
    corpus, wanted = inputs["corpus"], section.selection
    device_name, device = device_for(wanted.memory_gib)
    pretraining, tuning = (_tokens(corpus, name) for name in ("pretraining.jsonl", "train.jsonl"))
    candidates, usage = [], Usage()
    for name, row in rows(section).items():
        present = inputs.get(f"base:{name}")
        spent = cost(row, device, pretraining, tuning)
        one = candidate(name, row, checks(row, section, known(row, section, present, inputs), spent.train_usd))
        figures: dict[str, object] = {
            "present": present is not None,
            "train_usd": spent.train_usd,
            "serve_usd_per_1m_tokens": spent.serve_usd_per_1m_tokens,
        }
        if one.fall is None:
            figures["reason"] = _standing(present is not None)
        if one.fall is None and present is not None:
            scores, took = _scored(wanted, corpus, present)
            figures |= scores
            usage += took
        candidates.append(one.model_copy(update=figures))
    report = choose(candidates, device_name)
    (out_dir / "selection.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    winner = next(one for one in report.candidates if one.model == report.chosen)
    metrics = {
        "chosen": report.chosen,
        "why": report.why,
        "candidates": len(candidates),
        "rejected": sum(one.fall is not None for one in candidates),
        "bits_per_byte": winner.bits_per_byte,
        "zero_shot": winner.zero_shot,
    }
    return describe(out_dir, "selection", metrics), usage


def choose(candidates: list[Candidate], device: str) -> SelectionReport:
    """The choice among scored candidates; where none was scored, the largest that is present, or that fits.

    Raises as ``require_one`` does.
    """
    left = require_one(candidates)
    scored = [one for one in left if one.bits_per_byte is not None]
    if scored:
        winner, why = _best(scored)
    elif here := [one for one in left if one.present]:
        winner = max(here, key=_size)
        why = "the largest that fits and is on this machine; there was no held-out text to score on"
    else:
        winner = max(left, key=_size)
        why = "the largest that fits; the weights of none that is left are on this machine, so none was scored"
    why = f"{why}; costs estimated on {device}"
    judged = [
        one.model_copy(update={"verdict": "chosen", "reason": why}) if one is winner else one for one in candidates
    ]
    return SelectionReport(chosen=winner.model, why=why, candidates=judged)


def known(row: PublicModel, section: SelectSection, model: Artifact | None, inputs: dict[str, Artifact]) -> Facts:
    """What the catalogue states of a candidate, and in its place what its own files say where it is present."""
    told = stated(row, section)
    if model is None:
        return told
    starts = {name: inputs.get(f"start:{student.model}") for name, student in section.students.items()}
    ids = {
        name: Ids(tokenizer_verdict(_fingerprint(model.path), _fingerprint(start.path)), from_files=True)
        for name, start in starts.items()
        if start is not None
    }
    config = _config(model)
    if config is None:
        return replace(told, ids={**told.ids, **ids})
    context = config.get("max_position_embeddings")
    return Facts(
        context=int(context) if context else row.context,
        architectures=tuple(config.get("architectures") or ()),
        ids={**told.ids, **ids},
    )


def _best(scored: list[Candidate]) -> tuple[Candidate, str]:
    """The best on text; among equals the best zero-shot, then the cheapest. With the reason."""
    best_bits = min(one.bits_per_byte or 0.0 for one in scored)
    close = [one for one in scored if (one.bits_per_byte or 0.0) <= best_bits * SAME_BITS]
    winner = min(close, key=lambda one: (-(one.zero_shot or 0.0), one.train_usd or 0.0, one.model))
    why = f"{winner.bits_per_byte:.3f} bits per byte on held-out text, the best of {len(scored)} scored"
    if len(close) > 1:
        why = f"{why} (within 2 %), and zero-shot field F1 {winner.zero_shot or 0:.3f}, the best of those"
    return winner, why


def _size(one: Candidate) -> tuple[float, str]:
    return one.params_b, one.model


def _standing(present: bool) -> str:
    return "scored lower than the chosen one" if present else "its weights are not on this machine: not scored"


def _config(model: Artifact) -> dict[str, Any] | None:
    """The model's config.json; None where it has none."""
    if "config.json" not in model.files:
        return None
    file = model.file("config.json")
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(str(file), "is no JSON object", got=error, hint="make the base artifact again") from error


@cache
def _fingerprint(folder: Path) -> TokenizerFingerprint:
    from tokenizers import Tokenizer

    return fingerprint_of(Tokenizer.from_file(str(tokenizer_file(folder))))


def _tokens(corpus: Artifact, name: str) -> float:
    """Tokens of one of the corpus's files, by its size."""
    return corpus.file(name).stat().st_size / BYTES_PER_TOKEN if name in corpus.files else 0.0


def _scored(section: Selection, corpus: Artifact, model: Artifact) -> tuple[dict[str, float | None], Usage]:
    from selection.measuring import bits_per_byte, device_name, load, windows, zero_shot

    texts = held_out(corpus, section.held_out_chars)
    examples = sample(corpus, section.zero_shot_items)
    loaded, tokenizer = load(model.path)
    bits = bits_per_byte(loaded, tokenizer, texts, *windows(loaded)) if texts else None
    progress(1, 1 + len(examples), f"{model.path.name}: held-out text")
    if not examples:
        return {"bits_per_byte": bits, "zero_shot": None}, Usage(device=device_name())
    shown = f"{model.path.name}: questions"
    found, read, written = zero_shot(
        loaded, tokenizer, examples, lambda done, total: progress(1 + done, 1 + total, shown)
    )
    return {"bits_per_byte": bits, "zero_shot": found}, Usage(device=device_name(), tokens_in=read, tokens_out=written)


def held_out(corpus: Artifact, chars: int) -> list[str]:
    """Held-out documents of the vertical, in an order that their ids decide, ``chars`` characters in all."""
    if "pretraining_heldout.jsonl" not in corpus.files:
        return []
    documents = list(read_jsonl(corpus.file("pretraining_heldout.jsonl"), Document))
    texts: list[str] = []
    for document in sorted(documents, key=lambda one: _rank(one.id)):
        texts.append(document.text[: chars - sum(map(len, texts))])
        if sum(map(len, texts)) >= chars:
            break
    return [text for text in texts if text.strip()]


def sample(corpus: Artifact, items: int) -> list[ChatExample]:
    """A few training questions with gold fields, real before synthetic, chosen by their ids."""
    if "train.jsonl" not in corpus.files or items == 0:
        return []
    examples = [one for one in read_jsonl(corpus.file("train.jsonl"), ChatExample) if one.gold]
    return sorted(examples, key=lambda one: (one.synthetic, _rank(one.id)))[:items]


def _rank(identity: str) -> bytes:
    return hashlib.sha256(f"{SEED}:{identity}".encode()).digest()


if __name__ == "__main__":
    stage_main(select, SelectSection)
