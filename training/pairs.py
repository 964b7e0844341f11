"""Preference pairs: the model's own wrong answers first, then written ones up to a share."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from contracts.answers import fault
from contracts.documents import ChatExample, ModelAnswer, PreferencePair
from recipes.training_sections import Dpo


@dataclass(frozen=True)
class Pairs:
    """What DPO trains on, and where it came from."""

    own: list[PreferencePair]
    written: list[PreferencePair]
    reasons: dict[str, int]
    """Why sampled answers gave no pair, to how many."""

    @property
    def all(self) -> list[PreferencePair]:
        """Own pairs, then written ones."""
        return [*self.own, *self.written]

    @property
    def counts(self) -> dict[str, Any]:
        """Metrics of the stage."""
        faults: dict[str, int] = {}
        for pair in self.all:
            faults[pair.fault] = faults.get(pair.fault, 0) + 1
        return {
            "pairs": len(self.all),
            "own_pairs": len(self.own),
            "written_pairs": len(self.written),
            "faults": faults,
            "answers_without_pair": self.reasons,
        }


def gather(
    section: Dpo, examples: Iterable[ChatExample], answers: Iterable[ModelAnswer], written: Iterable[PreferencePair]
) -> Pairs:
    """Pairs within ``max_pairs``; of them at most ``written_share`` are the writer's, drawn by the recipe's seed.

    With ``written_share`` 1 the writer's fill all that is left; with no own pairs a share below 1 admits none, since
    pairs that the model would never answer teach it nothing about itself.
    """
    own, reasons = own_pairs({example.id: example for example in examples}, answers)
    draw = random.Random(section.optimiser.seed)
    draw.shuffle(own)
    own = own[: section.max_pairs]
    share = section.written_share
    most = section.max_pairs if share == 1 else int(len(own) * share / (1 - share) + 1e-9)
    others = list(written)
    draw.shuffle(others)
    return Pairs(own, others[: min(most, section.max_pairs - len(own))], reasons)


def own_pairs(
    examples: dict[str, ChatExample], answers: Iterable[ModelAnswer]
) -> tuple[list[PreferencePair], dict[str, int]]:
    """A pair for every distinct valid JSON answer that disagrees with gold: it is rejected, the gold text chosen.

    Broken or cut answers give none: form is SFT's work, and a cut text has no end to learn from.
    """
    pairs: list[PreferencePair] = []
    reasons: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for answer in answers:
        example = examples.get(answer.example_id)
        reason = "unknown_example" if example is None else _no_pair(fault(answer, example))
        if not reason and (answer.example_id, answer.text.strip()) in seen:
            reason = "repeated"
        if reason or example is None or example.gold is None:
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        seen.add((answer.example_id, answer.text.strip()))
        pairs.append(
            PreferencePair(
                id=f"{example.id}:own:{answer.sample}",
                task=example.task,
                prompt=example.prompt,
                chosen=example.completion,
                rejected=answer.text.strip(),
                fault="own_answer",
            )
        )
    return pairs, reasons


def _no_pair(wrong: str) -> str:
    """Why an answer with this ``fault`` gives no pair; empty for the one kind that does."""
    return {"": "correct", "wrong_fields": ""}.get(wrong, wrong)
