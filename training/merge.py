"""Stage merge: the adapter's update added to the de-quantised base, and proof that the model still says the same."""

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
from recipes.schema import Merge
from training.chat import encode, render
from training.device import Meter
from training.loading import load_adapter, load_model, load_model_4bit, load_tokenizer, model_metrics, save_model

CODE_VERSION = "1"
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

    The merged bf16 model is compared with the adapter on the base it was trained on (4-bit for QLoRA), teacher-forced
    on that one's greedy answers. Raises GateError where the mean KL is over ``section.max_kl``.
    """
    meter = Meter()
    source, adapter = inputs["model"].path, inputs["adapter"]
    tokenizer = load_tokenizer(source)
    prompts = _prompts(tokenizer, inputs["corpus"], section.probe_prompts)
    four_bit = adapter.metrics.get("method") == "qlora"
    progress(0, 3, "asking the adapter")
    trained = load_adapter(load_model_4bit(source) if four_bit else load_model(source), adapter.path)
    probes = [Probe(prompt, greedy(trained, prompt, tokenizer.eos_token_id)) for prompt in prompts]
    logits = [answer_logits(trained, probe) for probe in probes]
    del trained
    progress(1, 3, "merging")
    merged = load_adapter(load_model(source), adapter.path).merge_and_unload(safe_merge=True)
    save_model(merged, tokenizer, out_dir, source)
    del merged
    progress(2, 3, "comparing")
    stored = load_model(out_dir)
    parity = compare(logits, [answer_logits(stored, probe) for probe in probes], probes)
    require_parity(parity, section.max_kl)
    metrics = model_metrics(stored) | {
        "parity_kl": parity.kl,
        "parity_greedy_agreement": parity.agreement,
        "parity_tokens": parity.tokens,
        "parity_max_kl": section.max_kl,
        "adapter_base": "nf4" if four_bit else "as stored",
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
    """Raise GateError where the models are further apart than ``max_kl`` nats a token."""
    if not parity.kl <= max_kl:  # also true for NaN
        raise GateError(
            "merged model",
            f"must be within {max_kl} nats a token of the adapter it was made from",
            got=f"{parity.kl:.4f}, {parity.agreement:.0%} of the greedy ids equal",
            hint="was the adapter trained on this base? 4-bit noise alone is larger on a base that answers badly",
        )


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
