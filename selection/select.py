"""Stage ``select``: the base model of a vertical. Output: selection.json (``SelectionReport``).

Candidates fall by licence, context, memory and cost, in that order; what is left and present is scored on the
vertical's own held-out text and on a few of its training questions (never on the evaluation's).
"""

from __future__ import annotations

import difflib
import hashlib
import json
from pathlib import Path

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, Document, read_jsonl
from contracts.errors import FitError, InputError, LicenceError
from contracts.reports import Candidate, SelectionReport
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from recipes.catalogue import models
from recipes.schema import PublicModel, Selection
from selection.fit import BYTES_PER_TOKEN, Fall, cost, device_for, fall

CODE_VERSION = "1"
SAME_BITS = 1.02
"""Models within 2 % of the best bits per byte count as equal on text; the zero-shot score decides among them."""
SEED = 7


def select(section: Selection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``corpus`` and ``base:<name>`` models in, kind ``selection`` out.

    Metrics: ``chosen``, ``why``, ``candidates``, ``rejected``, the chosen one's ``bits_per_byte`` and ``zero_shot``.
    """
    corpus, rows = inputs["corpus"], _rows(section)
    present = {name: inputs[f"base:{name}"] for name in rows if f"base:{name}" in inputs}
    device_name, device = device_for(section.memory_gib)
    pretraining, tuning = (_tokens(corpus, name) for name in ("pretraining.jsonl", "train.jsonl"))
    candidates, falls, usage = [], {}, Usage()
    for name, row in rows.items():
        spent = cost(row, device, pretraining, tuning)
        fallen = fall(row, section, _context(row, present.get(name)), spent.train_usd)
        scores: dict[str, float | None] = {}
        if fallen is None and name in present:
            scores, took = _scored(section, corpus, present[name])
            usage += took
        if fallen is not None:
            falls[name] = fallen
        candidates.append(
            Candidate(
                model=name,
                licence=row.licence,
                verdict="kept" if fallen is None else "rejected",
                reason=fallen.reason if fallen else _standing(name in present),
                params_b=row.params_b,
                present=name in present,
                train_usd=spent.train_usd,
                serve_usd_per_1m_tokens=spent.serve_usd_per_1m_tokens,
                **scores,
            )
        )
    report = choose(candidates, falls, device_name)
    (out_dir / "selection.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    winner = next(one for one in report.candidates if one.model == report.chosen)
    metrics = {
        "chosen": report.chosen,
        "why": report.why,
        "candidates": len(candidates),
        "rejected": len(falls),
        "bits_per_byte": winner.bits_per_byte,
        "zero_shot": winner.zero_shot,
    }
    return describe(out_dir, "selection", metrics), usage


def choose(candidates: list[Candidate], falls: dict[str, Fall], device: str) -> SelectionReport:
    """The choice among scored candidates, or, where none is present, the largest that fits.

    Raises LicenceError when every candidate fell by its licence, FitError when all fell for other reasons too.
    """
    left = [one for one in candidates if one.model not in falls]
    if not left:
        kind = LicenceError if all(one.kind == "licence" for one in falls.values()) else FitError
        reasons = "; ".join(f"{name}: {one.reason}" for name, one in falls.items())
        raise kind("selection.candidates", "none is left", got=f"{len(falls)} rejected", hint=reasons)
    scored = [one for one in left if one.bits_per_byte is not None]
    if scored:
        best_bits = min(one.bits_per_byte or 0.0 for one in scored)
        close = [one for one in scored if (one.bits_per_byte or 0.0) <= best_bits * SAME_BITS]
        winner = min(close, key=lambda one: (-(one.zero_shot or 0.0), one.train_usd or 0.0, one.model))
        why = f"{winner.bits_per_byte:.3f} bits per byte on held-out text, the best of {len(scored)} scored"
        if len(close) > 1:
            why = f"{why} (within 2 %), and zero-shot field F1 {winner.zero_shot or 0:.3f}, the best of those"
    else:
        winner = max(left, key=lambda one: (one.params_b, one.model))
        why = "the largest that fits; no candidate's weights are on this machine, so none was scored"
    why = f"{why}; costs estimated on {device}"
    judged = [
        one.model_copy(update={"verdict": "chosen", "reason": why}) if one is winner else one for one in candidates
    ]
    return SelectionReport(chosen=winner.model, why=why, candidates=judged)


def _rows(section: Selection) -> dict[str, PublicModel]:
    known = models()
    for name in section.candidates:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "recipes/models.yaml lists the catalogue"
            raise InputError("selection.candidates", "is not in the model catalogue", got=name, hint=hint)
    return {name: known[name] for name in section.candidates}


def _standing(present: bool) -> str:
    return "scored lower than the chosen one" if present else "its weights are not on this machine: not scored"


def _context(row: PublicModel, model: Artifact | None) -> int | None:
    """The model's own figure where it is present; the catalogue's otherwise."""
    if model is None or "config.json" not in model.files:
        return row.context
    stated = json.loads(model.file("config.json").read_text(encoding="utf-8")).get("max_position_embeddings")
    return int(stated) if stated else row.context


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
    stage_main(select, Selection)
