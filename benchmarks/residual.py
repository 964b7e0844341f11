"""What continued pretraining costs a tuned model, with and without the instruction residual.

Over the artifacts of a finished build (``stillroom run VERTICAL`` first): the tuned model, the same after continued
pretraining, and the base after the same pretraining plus (tuned - base). All three are scored on the same items by the
same engine. ``--set`` changes the dose of the two pretrainings alone: the build they start from stays as it is.

    .venv/bin/python -m benchmarks.residual finance --scale local --corpus DOCUMENTS \\
        [--set cpt.max_tokens=25000] [--set cpt.optimiser.learning_rate=3e-4]
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from uuid import uuid4

from contracts.artifacts import Artifact
from flows.build import opened
from flows.chain import build
from flows.settings import Settings
from flows.stage_call import StageCall, Step
from flows.step import carried_out, looked_up
from flows.surroundings import surroundings
from recipes.load import load
from recipes.stage_sections import EvaluateSection
from recipes.training_sections import Residual


class Enough(Exception):
    """The chain has given what is compared."""


def main() -> None:
    """Print one line a model; the last line is JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("vertical")
    arguments.add_argument("--scale", default="local")
    arguments.add_argument("--corpus", type=Path)
    arguments.add_argument("--set", action="append", default=[], metavar="cpt.KEY=VALUE", help="the dose")
    told = arguments.parse_args()
    recipe, settings = load(told.vertical, told.scale), Settings()
    dose = load(told.vertical, told.scale, tuple(told.set)).cpt
    made: dict[str, Artifact] = {}
    corpus = told.corpus.resolve() if told.corpus else None
    with opened(f"residual-{uuid4().hex[:8]}", recipe, settings, corpus, "", "") as running:

        def carry_out(call: StageCall) -> Artifact:
            if call.name == "sample:sft":
                raise Enough
            made[call.name] = carried_out(running, looked_up(running, call))
            return made[call.name]

        step = Step(carry_out)

        with contextlib.suppress(Enough):
            build(step, recipe, surroundings(running), running.note)
        base, tuned = made[f"base:{made['select'].metrics['chosen']}"], made["merge:sft"]
        tokens = made["tokenise"]
        again = step("cpt:tuned", "training.cpt", dose, {"model": tuned, "tokens": tokens}, device=True)
        continued = step("cpt:base", "training.cpt", dose, {"model": base, "tokens": tokens}, device=True)
        added = {"model": continued, "base": base, "instruct": tuned}
        residual = step("residual:tuned", "training.residual", Residual(), added)
        rows = {}
        for name, model in {"tuned": tuned, "tuned, then CPT": again, "CPT, then + (tuned - base)": residual}.items():
            section = EvaluateSection(model_name=name, evaluation=recipe.evaluation)
            scores = step(
                f"evaluate:{name}",
                "evaluation.evaluate",
                section,
                {"model": model, "corpus": made["curate"]},
                device=True,
            )
            rows[name] = {key: value for key, value in scores.metrics.items() if isinstance(value, (int, float, dict))}
            print(name, rows[name])
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
