"""Stage merge: the adapter's update added to the base as stored, and proof that the model still says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, read_jsonl
from contracts.errors import GateError, InputError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from recipes.training_sections import Merge
from training.chat import encode, render
from training.device import Meter
from training.loading import load_adapter, load_model, load_model_4bit, load_tokenizer, model_metrics, save_model

CODE_VERSION = "2"
PROBE_TOKENS = 48
"""Tokens of each answer that the two models are compared on."""


@dataclass(frozen=True)
class Parity:
    """How far two models are apart on the same answers: ``kl`` in nats a token, ``agreement`` of greedy ids."""

    kl: float
    agreement: float
    tokens: int


@dataclass(frozen=True)
class Probe:
    """A prompt with the greedy answer of the model to be matched."""

    prompt_ids: list[int]
    answer_ids: list[int]


def merge(section: Merge, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``adapter`` merged into ``model``; makes a ``model``. ``corpus`` gives training prompts as probes.

    The merged model as stored is compared with the adapter on the base as stored: has the merge lost any of the tune?
    After QLoRA also with the adapter on the 4-bit base it was trained on: does the tune hold without the rounding of
    that base? All answer the same prompts, teacher-forced on the greedy answers of the model that was trained.
    Raises GateError where a mean KL is over ``section.max_kl``, or ``section.max_quantised_kl``.
    """
    meter = Meter()
    source, adapter = inputs["model"].path, inputs["adapter"]
    tokenizer = load_tokenizer(source)
    prompts = _prompts(tokenizer, inputs["corpus"], section.probe_prompts)
    four_bit = adapter.metrics.get("method") == "qlora"
    progress(0, 3, "asking the adapter")
    trained = load_adapter(load_model_4bit(source) if four_bit else load_model(source), adapter.path)
    probes = [Probe(prompt, greedy(trained, prompt, tokenizer.eos_token_id)) for prompt in prompts]
    as_trained = [answer_logits(trained, probe) for probe in probes]
    del trained
    progress(1, 3, "merging")
    unmerged = load_adapter(load_model(source), adapter.path)
    as_loaded = [answer_logits(unmerged, probe) for probe in probes] if four_bit else as_trained
    save_model(unmerged.merge_and_unload(safe_merge=True), tokenizer, out_dir, source)
    del unmerged
    progress(2, 3, "comparing")
    stored = load_model(out_dir)
    as_merged = [answer_logits(stored, probe) for probe in probes]
    parity = compare(as_loaded, as_merged, probes)
    require_parity(parity, section.max_kl)
    metrics = model_metrics(stored) | {
        "parity_kl": parity.kl,
        "parity_greedy_agreement": parity.agreement,
        "parity_tokens": parity.tokens,
        "parity_max_kl": section.max_kl,
        "adapter_base": "nf4" if four_bit else "as stored",
    }
    if four_bit:
        rounded = compare(as_trained, as_merged, probes)
        require_survival(rounded, section.max_quantised_kl)
        metrics |= {
            "quantised_kl": rounded.kl,
            "quantised_greedy_agreement": rounded.agreement,
            "quantised_max_kl": section.max_quantised_kl,
        }
    progress(3, 3, "merged")
    return describe(out_dir, "model", metrics), meter.usage(tokens_in=sum(len(p) for p in prompts) * 2)


def greedy(model: PreTrainedModel, prompt_ids: list[int], stop_id: int) -> list[int]:
    """The model's greedy answer, at most ``PROBE_TOKENS`` ids, the stop token included."""
    ids = torch.tensor([prompt_ids], device=model.device)
    with torch.no_grad():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=PROBE_TOKENS,
            do_sample=False,
            eos_token_id=stop_id,
            pad_token_id=stop_id,
        )
    return list(out[0, len(prompt_ids) :].tolist())


def answer_logits(model: PreTrainedModel, probe: Probe) -> torch.Tensor:
    """``logits_A_V`` that predict the probe's answer ids, fp32."""
    ids = torch.tensor([probe.prompt_ids + probe.answer_ids], device=model.device)
    with torch.no_grad():
        out = model(input_ids=ids, use_cache=False, logits_to_keep=len(probe.answer_ids) + 1)
    return out.logits[0, :-1].float()


def compare(wanted: Sequence[torch.Tensor], seen: Sequence[torch.Tensor], probes: Sequence[Probe]) -> Parity:
    """Mean KL(wanted || seen) over the answers' positions, and the share where ``seen`` picks the answer's id."""
    total_kl, agreed, tokens = 0.0, 0, 0
    for wanted_A_V, seen_A_V, probe in zip(wanted, seen, probes, strict=True):
        wanted_log, seen_log = functional.log_softmax(wanted_A_V, -1), functional.log_softmax(seen_A_V, -1)
        total_kl += float(functional.kl_div(seen_log, wanted_log, log_target=True, reduction="sum"))
        answer = torch.tensor(probe.answer_ids, device=seen_A_V.device)
        agreed += int((seen_A_V.argmax(-1) == answer).sum())
        tokens += len(probe.answer_ids)
    return Parity(kl=total_kl / tokens, agreement=agreed / tokens, tokens=tokens)


def require_parity(parity: Parity, max_kl: float) -> None:
    """Raise GateError where the merge lost more of the tune than ``max_kl`` nats a token."""
    _require(
        parity,
        max_kl,
        "must be within {} nats a token of the adapter on the same base",
        "the stored precision rounds the update away, or its scale is wrong: see the adapter's alpha and rank",
    )


def require_survival(rounded: Parity, max_kl: float) -> None:
    """Raise GateError where the merged model is further from the one trained in 4-bit than ``max_kl`` nats a token."""
    _require(
        rounded,
        max_kl,
        "must be within {} nats a token of the adapter on the 4-bit base it was trained on",
        "was the adapter trained on this base? Where it was, the tune leans on the rounding of its base: train longer, "
        "or sft.method lora; merge.max_quantised_kl is the tolerance",
    )


def _require(parity: Parity, max_kl: float, fact: str, hint: str) -> None:
    if not parity.kl <= max_kl:  # also true for NaN
        seen = f"{parity.kl:.4f}, {parity.agreement:.0%} of the greedy ids equal"
        raise GateError("merged model", fact.format(max_kl), got=seen, hint=hint)


def _prompts(tokenizer: object, corpus: Artifact, count: int) -> list[list[int]]:
    """Prompts of training examples as ids, spread over the file."""
    examples = list(read_jsonl(corpus.file("train.jsonl"), ChatExample))
    if not examples:
        raise InputError("corpus", "has no training examples to probe with", hint="see the curation card")
    stride = max(1, len(examples) // count)
    chosen = examples[::stride][:count]
    return [encode(tokenizer, render(tokenizer, one.prompt, answer_next=True)) for one in chosen]


if __name__ == "__main__":
    stage_main(merge, Merge)
