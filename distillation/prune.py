"""Stage prune: which of the teacher's layers a student keeps, measured instead of guessed.

From the whole teacher, the layer whose absence costs least goes first, then the next, down to the smallest student; the
larger students are stops on the same way. The cost is the cross-entropy on a few taught answers. Keeping both ends and
dropping the middle, the usual rule, starts at twice the loss and loses the layers that copy from the prompt.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, read_jsonl
from contracts.errors import FitError, InputError
from contracts.layers import DroppedLayers, PrunedLayers
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from distillation.rendering import Rendered, render
from distillation.teacher import Teacher
from recipes.stage_sections import PruneSection

CODE_VERSION = "2"


def prune(section: PruneSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Layers to keep for every count of ``section.counts``; ``teacher`` and ``distilled`` (train.jsonl) in.

    Writes layers.json (``PrunedLayers``). Raises FitError where the teacher has not that many layers, InputError where
    no taught example is short enough to measure with.
    """
    teacher = Teacher(inputs["teacher"].path)
    layers = len(teacher.model.base_model.layers)
    if max(section.counts) > layers:
        hint = "lower the student's layers, or name a smaller model of the family instead"
        raise FitError("student layers", f"must be at most the teacher's {layers}", got=max(section.counts), hint=hint)
    examples = list(read_jsonl(inputs["distilled"].file("train.jsonl"), ChatExample))
    chosen = telling([render(teacher.tokenizer, one) for one in examples], section.prune.examples,
                     section.prune.max_tokens)  # fmt: skip
    measure = LossWithout(teacher, chosen)
    report = eliminate(measure, layers, section.counts, section.prune.layers_per_round)
    (out_dir / "layers.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    metrics = {
        "kept": {str(count): list(kept) for count, kept in report.kept.items()},
        "loss_whole": report.loss_whole,
        "losses": {str(count): _loss_at(report, count) for count in section.counts},
        "examples": len(chosen),
    }
    return describe(out_dir, "layers", metrics), Usage(device=teacher.device_name, tokens_in=measure.tokens_read)


def telling(rendered: Sequence[Rendered], count: int, max_tokens: int) -> list[Rendered]:
    """The examples of at most ``max_tokens`` with the longest answers: they say most for one forward pass."""
    short = [one for one in rendered if len(one.input_ids) <= max_tokens]
    if not short:
        shortest = min((len(one.input_ids) for one in rendered), default=0)
        hint = "raise prune.max_tokens"
        raise InputError("prune", f"no example of {max_tokens} tokens or fewer", got=f"shortest {shortest}", hint=hint)
    return heapq.nsmallest(count, short, key=lambda one: (one.prompt_tokens - len(one.input_ids), one.example_id))


def eliminate(measure: LossWithout, layers: int, counts: Sequence[int], at_once: int) -> PrunedLayers:
    """Drop layers until the smallest of ``counts`` are left, ``at_once`` in a round; every count is met exactly."""
    kept = list(range(layers))
    whole = measure.whole(kept)
    rounds: list[DroppedLayers] = []
    stops: dict[int, tuple[int, ...]] = {layers: tuple(kept)}
    to_drop = layers - min(counts)
    while len(kept) > min(counts):
        progress(layers - len(kept), to_drop, f"pruning, {len(kept)} of {layers} layers left")
        next_stop = max(count for count in counts if count < len(kept))
        cheapest = sorted(measure.without_each(kept))[: min(at_once, len(kept) - next_stop)]
        kept = [layer for layer in kept if layer not in {layer for _, layer in cheapest}]
        # One layer's loss is known already; that of several together is not the sum of theirs.
        loss = cheapest[0][0] if len(cheapest) == 1 else measure.whole(kept)
        rounds.append(DroppedLayers(dropped=tuple(layer for _, layer in cheapest), left=len(kept), loss=loss))
        stops[len(kept)] = tuple(kept)
    progress(to_drop, to_drop, "pruned")
    return PrunedLayers(kept={count: stops[count] for count in counts}, loss_whole=whole, rounds=rounds)


class LossWithout:
    """The loss of a model with layers left out, on a padded batch of examples, without copying the model.

    What lies before a left-out layer is computed once for all candidates of a round.
    """

    def __init__(self, teacher: Teacher, examples: Sequence[Rendered]) -> None:
        self.backbone: Any = teacher.model.base_model
        self.layers = list(self.backbone.layers)
        self.config = self.backbone.config
        self.teacher = teacher
        longest = max(len(one.input_ids) for one in examples)
        self.ids_B_T = torch.zeros((len(examples), longest), dtype=torch.long)
        self.mask_B_T = torch.zeros_like(self.ids_B_T)
        self.labelled_B_T = torch.zeros_like(self.ids_B_T, dtype=torch.bool)
        for row, one in enumerate(examples):
            length = len(one.input_ids)
            self.ids_B_T[row, :length] = torch.tensor(one.input_ids)
            self.mask_B_T[row, :length] = 1
            self.labelled_B_T[row, one.prompt_tokens : length] = True
        self.ids_B_T, self.mask_B_T, self.labelled_B_T = (
            one.to(teacher.device) for one in (self.ids_B_T, self.mask_B_T, self.labelled_B_T)
        )
        self.tokens_read = 0

    def whole(self, kept: Sequence[int]) -> float:
        """Nats a token of the answers with the layers ``kept``."""
        return self._loss([self.layers[layer] for layer in kept])

    def without_each(self, kept: Sequence[int]) -> Iterator[tuple[float, int]]:
        """``(loss, layer)`` for each layer of ``kept`` left out alone."""
        entries: list[Any] = []
        hooks = [
            self.layers[layer].register_forward_hook(lambda _module, _inputs, output: entries.append(output))
            for layer in kept
        ]
        try:
            self.whole(kept)
        finally:
            for hook in hooks:
                hook.remove()
        for place, layer in enumerate(kept):
            before = [Replay(entries[place - 1], self.layers[kept[place - 1]])] if place else []
            yield self._loss([*before, *(self.layers[one] for one in kept[place + 1 :])]), layer

    def _loss(self, layers: list[torch.nn.Module]) -> float:
        everything, count = self.backbone.layers, self.config.num_hidden_layers
        self.backbone.layers = torch.nn.ModuleList(layers)
        self.config.num_hidden_layers = len(layers)
        try:
            with torch.inference_mode():
                hidden_B_T_H = self.backbone(
                    input_ids=self.ids_B_T, attention_mask=self.mask_B_T, use_cache=False
                ).last_hidden_state
                logits_N_V = self.teacher.model.get_output_embeddings()(hidden_B_T_H[:, :-1][self.labelled_B_T[:, 1:]])
        finally:
            self.backbone.layers, self.config.num_hidden_layers = everything, count
        self.tokens_read += int(self.mask_B_T.sum())
        return float(functional.cross_entropy(logits_N_V.float(), self.ids_B_T[:, 1:][self.labelled_B_T[:, 1:]]))


class Replay(torch.nn.Module):  # type: ignore[misc]
    """Stands for all layers up to one: gives what that one gave in an earlier pass of the same batch."""

    def __init__(self, output: Any, layer: torch.nn.Module) -> None:
        super().__init__()
        self.output = output
        self.attention_type = getattr(layer, "attention_type", "full_attention")  # some backbones choose masks by it

    def forward(self, *_: Any, **__: Any) -> Any:
        """The earlier output, whatever comes in."""
        return self.output


def _loss_at(report: PrunedLayers, count: int) -> float:
    return next((one.loss for one in report.rounds if one.left == count), report.loss_whole)


if __name__ == "__main__":
    stage_main(prune, PruneSection)
