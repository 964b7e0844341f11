"""Stage ``evaluate``: ask one model every suite of the corpus and score it.

Output: report.json (``EvaluationReport``) and items.jsonl (``ItemScore`` a line, which ``compare`` pairs).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, ModelAnswer, write_jsonl
from contracts.errors import InputError
from contracts.reports import EvaluationReport
from contracts.stage import stage_main
from contracts.usage import Usage
from evaluation.asking import Provider, ask, ask_choices, pick, read_examples
from evaluation.choices import gold_letter
from evaluation.scoring import ItemScore, score_choice, score_fields, suite_score
from recipes.schema import Evaluation
from recipes.stage_sections import EvaluateSection

CODE_VERSION = "4"


def evaluate(section: EvaluateSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``model`` and ``corpus`` in, kind ``evaluation`` out; metrics are ``task.metric`` to value."""
    from evaluation.engine import load_engine, usage_of

    draft, answers = evaluate_with(load_engine(inputs["model"].path), section, inputs["corpus"], out_dir)
    return draft, usage_of(answers)


def evaluate_with(
    provider: Provider, section: EvaluateSection, corpus: Artifact, out_dir: Path
) -> tuple[Artifact, list[ModelAnswer]]:
    """The same for anything that answers: the local engine or an endpoint. Returns the draft and what was answered."""
    started = time.monotonic()
    settings = section.evaluation
    questions = read_examples(corpus.file("eval.jsonl"))
    if not questions:
        raise InputError(str(corpus.path), "eval.jsonl has no examples", hint="look at the curation card")
    general = _general(corpus, settings)
    once = settings.answering.model_copy(update={"samples": 1})
    answers = ask(provider, questions, once, out_dir)
    chosen = ask_choices(provider, general, once.batch_size, out_dir)
    items = [score_fields(one, answers[one.id, 0]) for one in questions]
    items += [score_choice(one, chosen[one.id], gold_letter(one)) for one in general]
    report = EvaluationReport(
        model=section.model_name,
        engine=provider.name,
        suites={
            task: suite_score(task, [one for one in items if one.task == task], settings.bootstrap, settings.seed)
            for task in dict.fromkeys(one.task for one in items)
        },
        completion_tokens=sum(one.completion_tokens for one in items),
        seconds=time.monotonic() - started,
    )
    write_jsonl(out_dir / "items.jsonl", items)
    (out_dir / "report.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    return describe(out_dir, "evaluation", _metrics(report)), [*answers.values(), *chosen.values()]


def read_items(evaluation: Artifact) -> list[ItemScore]:
    """The items of an evaluation artifact."""
    lines = evaluation.file("items.jsonl").read_text(encoding="utf-8").split("\n")
    return [ItemScore.model_validate_json(line) for line in lines if line]


def read_report(evaluation: Artifact) -> EvaluationReport:
    """The report of an evaluation artifact."""
    return EvaluationReport.model_validate_json(evaluation.file("report.json").read_text(encoding="utf-8"))


def _general(corpus: Artifact, settings: Evaluation) -> Sequence[ChatExample]:
    """The general suite's items, if the corpus has any; the same ones for every model."""
    if "general.jsonl" not in corpus.files or settings.general_items == 0:
        return []
    return pick(read_examples(corpus.file("general.jsonl")), settings.general_items, settings.seed)


def _metrics(report: EvaluationReport) -> dict[str, Any]:
    figures: dict[str, Any] = {
        f"{task}.{name}": estimate.value
        for task, suite in report.suites.items()
        for name, estimate in suite.scores.items()
    }
    items = sum(suite.items for suite in report.suites.values())
    return figures | {"model": report.model, "items": items, "completion_tokens": report.completion_tokens}


if __name__ == "__main__":
    stage_main(evaluate, EvaluateSection)
