"""What the victims of ``benchmarks.ledger_kills`` run: a worker, its flow, and the flow's chain of real stages.

``real`` is the beginning of the finance chain at scale smoke: documents written, curated, tokenised, and a model of two
layers fine-tuned on them by the stages' own code, with a checkpoint a step. ``tiny`` is one stage that only waits.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from contracts.artifacts import load as load_artifact
from contracts.errors import StillroomError
from flows import corpus_chain
from flows.build import opened
from flows.lifeline import die_with_worker
from flows.settings import Settings
from flows.stage_call import Step
from flows.step import plain_steps
from flows.surroundings import surroundings
from recipes.load import load
from recipes.schema import Tokenise
from recipes.training_sections import Optimiser, Sft
from tests.flows.tiny_stage import TinySection

FORK = multiprocessing.get_context("fork")
WORKERS = "PREFECT__RUNTIME__DEPLOYMENT__ID"
"""Prefect's own way to say, where no server runs, that a deployment's worker has started this flow."""
TINY_SECONDS = 2.0
TRAINING = Optimiser(learning_rate=1e-3, max_steps=24, batch_tokens=1024, checkpoint_every_steps=2, schedule="constant")


@dataclass(frozen=True)
class Attempt:
    """One build: which chain (``number`` makes it another one), under which id."""

    settings: Settings
    kind: str
    number: int
    build: str


def prepare(home: Path) -> None:
    """The model to tune: random weights, two layers, in the store's form. In a process of its own: it needs torch."""
    from tests.tiny_model import tiny_model

    recipe = load("finance", "smoke")
    tiny_model(_model(home), golden_for=recipe.system_prompt)


def start_worker(attempt: Attempt) -> tuple[multiprocessing.process.BaseProcess, int]:
    """Fork a worker that forks a flow; returns the worker and the flow's pid, both of which have begun."""
    ours, theirs = FORK.Pipe(duplex=False)
    worker = FORK.Process(target=_worker, args=(attempt, theirs))
    worker.start()
    theirs.close()
    return worker, int(ours.recv())


def _worker(attempt: Attempt, out: Connection) -> None:
    """As Prefect's process worker: the flow is a child of its own, and ends with it."""
    os.environ[WORKERS] = "00000000-0000-0000-0000-000000000000"
    flow = FORK.Process(target=_flow, args=(attempt, out))
    flow.start()
    out.close()
    flow.join()


def _flow(attempt: Attempt, out: Connection) -> None:
    die_with_worker()
    log = os.open(attempt.settings.home / "flows.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    out.send(os.getpid())
    out.close()
    walk: Callable[[Step, Attempt, Any], None] = _real if attempt.kind == "real" else _tiny
    try:
        with opened(attempt.build, load("finance", "smoke", (f"writer.seed={attempt.number}",)), attempt.settings,
                    None, "", "") as build:  # fmt: skip
            walk(plain_steps(build), attempt, build)
    except StillroomError as error:
        print(error)
        raise SystemExit(error.exit_code) from error


def _real(step: Step, attempt: Attempt, build: Any) -> None:
    model = load_artifact(_model(attempt.settings.home))
    assert model is not None
    corpus = corpus_chain.curate(step, build.recipe, surroundings(build))
    # A byte-level vocabulary makes many tokens of few words: nothing is to be left out for its length.
    section = Tokenise(max_tokens=8192, pack_tokens=1024)
    tokens = step("tokenise", "training.tokenise", section, {"model": model, "corpus": corpus})
    step("sft", "training.sft", Sft(optimiser=TRAINING, method="full"), {"model": model, "tokens": tokens})


def _tiny(step: Step, attempt: Attempt, build: Any) -> None:
    section = TinySection(text=f"chain {attempt.number}", seconds=TINY_SECONDS)
    step("tiny", "tests.flows.tiny_stage", section, {}, device=True)


def _model(home: Path) -> Path:
    return home / "given" / "model"


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
