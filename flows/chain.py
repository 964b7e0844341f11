"""The chain: which stage follows which, and what crosses between them. The same lines build, plan and explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from contracts.artifacts import Artifact
from flows.corpus_chain import Surroundings, curate
from flows.stage_call import Step
from recipes.catalogue import models, stated_verdict
from recipes.schema import Recipe
from recipes.stage_sections import (
    AnswerSection,
    AskSection,
    BaseSection,
    BenchmarkSection,
    CompareSection,
    EvaluateSection,
    PruneSection,
    StudentSection,
)
from recipes.training_sections import Answering
from selection.checks import require_one, select_section, weigh
from training.choose_loss import choose_loss


@dataclass(frozen=True)
class Siblings:
    """The models that students start from, by name, and the name of the base that their teacher was tuned from."""

    base: str
    starts: Mapping[str, Artifact]


def build(step: Step, recipe: Recipe, around: Surroundings, told: Callable[[str], None]) -> None:
    """Documents to two served students. ``told`` hears decisions that are not an artifact's own."""
    named = present(recipe, around)  # refused before anything is spent where no candidate is left
    corpus = curate(step, recipe, around)
    bases = {name: _base(step, recipe, name) for name in named}
    starts = {name: bases.get(name) or _base(step, recipe, name) for name in _siblings(recipe)}
    weighed = {f"base:{name}": one for name, one in bases.items()} | {f"start:{n}": one for n, one in starts.items()}
    selected = step("select", "selection.select", select_section(recipe), {"corpus": corpus} | weighed, device=True)
    chosen = str(selected.metrics.get("chosen") or named[0])
    base = bases.get(chosen) or starts.get(chosen) or _base(step, recipe, chosen)
    tokens = step("tokenise", "training.tokenise", recipe.tokenise, {"model": base, "corpus": corpus})

    def evaluate(name: str, model: Artifact) -> Artifact:
        section = EvaluateSection(model_name=name, evaluation=recipe.evaluation)
        return step(f"evaluate:{name}", "evaluation.evaluate", section, {"model": model, "corpus": corpus}, device=True)

    def gate(champion: str, before: Artifact, challenger: str, after: Artifact, forget: bool = True) -> str:
        section = CompareSection(
            champion=champion,
            challenger=challenger,
            suite=recipe.evaluation.primary_task,
            metric=recipe.evaluation.primary_metric,
            margin=recipe.evaluation.gate_margin,
            forgetting_budget=recipe.evaluation.forgetting_budget if forget else None,
            bootstrap=recipe.evaluation.bootstrap,
            seed=recipe.evaluation.seed,
        )
        inputs = {"champion": before, "challenger": after}
        verdict = step(f"gate:{challenger}", "evaluation.compare", section, inputs).metrics.get("verdict")
        told(f"gate {champion} -> {challenger}: {verdict or 'not run yet, GO assumed'}")
        return str(verdict or "GO")

    scored = {"base": evaluate("base", base)}
    start = base
    if recipe.cpt.enabled:
        continued = step("cpt", "training.cpt", recipe.cpt, {"model": base, "tokens": tokens}, device=True)
        if recipe.residual.enabled:
            raw = _base(step, recipe, recipe.residual.base) if recipe.residual.base else base
            residual = {"model": continued, "base": raw, "instruct": base}
            continued = step("residual", "training.residual", recipe.residual, residual)
        scored["cpt"] = evaluate("cpt", continued)
        if gate("base", scored["base"], "cpt", scored["cpt"]) != "NO-GO":
            start = continued
    adapter = step("sft", "training.sft", recipe.sft, {"model": start, "tokens": tokens}, device=True)
    tuned = _merged(step, recipe, "merge:sft", start, adapter, corpus)
    scored["sft"] = evaluate("sft", tuned)
    gate("base", scored["base"], "sft", scored["sft"])
    teacher = tuned
    if recipe.dpo.enabled:
        aligned = _aligned(step, recipe, tuned, corpus)
        scored["dpo"] = evaluate("dpo", aligned)
        if gate("sft", scored["sft"], "dpo", scored["dpo"]) == "GO":
            teacher, scored["teacher"] = aligned, scored["dpo"]
    scored.setdefault("teacher", scored["sft"])
    taught = _taught(step, recipe, around, teacher, corpus)
    served = {"teacher": teacher} | _students(step, recipe, teacher, taught, Siblings(chosen, starts), told)
    for name in recipe.students:
        gate("teacher", scored["teacher"], name, evaluate(name, served[name]), forget=False)
    for name, model in served.items():
        benchmark(step, recipe, around, name, model)


def benchmark(step: Step, recipe: Recipe, around: Surroundings, name: str, model: Artifact) -> Artifact:
    """Serve one model and measure it."""
    section = BenchmarkSection(
        model_name=name,
        serving=recipe.serving,
        usd_per_device_hour=around.usd_per_device_hour,
        engine_python=around.engine_python,
    )
    return step(f"serve:{name}", "serving.benchmark", section, {"model": model}, device=True)


def present(recipe: Recipe, around: Surroundings) -> list[str]:
    """Candidates that the catalogue does not reject and whose weights can be had: never empty.

    Carried by an installed package, or from a hub where that is allowed; else the first. Raises as ``require_one``.
    """
    admitted = {one.model: models()[one.model] for one in require_one(weigh(select_section(recipe)))}
    here = [name for name, row in admitted.items() if row.package and find_spec(row.package)]
    hub = [name for name, row in admitted.items() if row.hub and around.allow_downloads]
    return here or hub or list(admitted)[:1]


def _siblings(recipe: Recipe) -> list[str]:
    """Catalogue models that students start from, each once."""
    return list(dict.fromkeys(student.model for student in recipe.students.values() if student.model))


def _base(step: Step, recipe: Recipe, name: str) -> Artifact:
    section = BaseSection(model=name, system_prompt=recipe.system_prompt)
    return step(f"base:{name}", "training.base", section, {})


def _merged(step: Step, recipe: Recipe, name: str, model: Artifact, adapter: Artifact, corpus: Artifact) -> Artifact:
    if adapter.kind == "model":  # a full fine-tune has nothing to merge
        return adapter
    inputs = {"model": model, "adapter": adapter, "corpus": corpus}
    return step(name, "training.merge", recipe.merge, inputs, device=True)


def _aligned(step: Step, recipe: Recipe, tuned: Artifact, corpus: Artifact) -> Artifact:
    inputs = {"model": tuned, "corpus": corpus}
    if recipe.dpo.samples:
        answering = recipe.evaluation.answering.model_copy(update={"temperature": recipe.dpo.temperature})
        section = AnswerSection(answering=answering, split="train", max_items=recipe.dpo.samples)
        inputs = inputs | {"answers": step("sample:sft", "evaluation.answer", section, inputs, device=True)}
    adapter = step("dpo", "training.dpo", recipe.dpo, inputs, device=True)
    return _merged(step, recipe, "merge:dpo", tuned, adapter, corpus)


def _taught(
    step: Step, recipe: Recipe, around: Surroundings, teacher: Artifact, corpus: Artifact
) -> dict[str, Artifact]:
    """What every student learns from: one ``capture`` of the teacher, or its ``distilled`` text where it is an API."""
    answers: dict[str, Artifact] = {}
    if recipe.capture.endpoint:
        answers = {"answers": step("teacher", "distillation.ask", ask_section(recipe, around), {"corpus": corpus})}
    elif recipe.capture.teacher_prompts:
        greedy = Answering(max_new_tokens=recipe.evaluation.answering.max_new_tokens)
        asking = AnswerSection(answering=greedy, split="train", max_items=recipe.capture.teacher_prompts)
        asked = {"model": teacher, "corpus": corpus}
        answers = {"answers": step("teacher", "evaluation.answer", asking, asked, device=True)}
    distilled = step("distil", "distillation.select", recipe.capture, {"corpus": corpus} | answers)
    if recipe.capture.endpoint:
        return {"distilled": distilled}
    captured = {"model": teacher, "distilled": distilled}
    return {
        "distilled": distilled,
        "capture": step("capture", "distillation.capture", recipe.capture, captured, device=True),
    }


def ask_section(recipe: Recipe, around: Surroundings) -> AskSection:
    """The questions for a teacher behind an API, as many and as long as the built one would be asked."""
    return AskSection(
        endpoint=recipe.capture.endpoint,
        model=recipe.capture.endpoint_model,
        max_items=recipe.capture.teacher_prompts,
        max_new_tokens=recipe.evaluation.answering.max_new_tokens,
        api_key=around.api_key,
    )


def _students(
    step: Step,
    recipe: Recipe,
    teacher: Artifact,
    taught: Mapping[str, Artifact],
    siblings: Siblings,
    told: Callable[[str], None],
) -> dict[str, Artifact]:
    """Every student of the teacher, from what was taught once; ``told`` hears the losses chosen."""
    captured = "capture" in taught
    kept = _kept_layers(step, recipe, teacher, taught["distilled"])
    students: dict[str, Artifact] = {}
    for name, student in recipe.students.items():
        inputs = {"teacher": teacher, **taught}
        if student.model:
            inputs = inputs | {"start": siblings.starts[student.model]}
            stated = stated_verdict(models()[siblings.base], models()[student.model])
            loss, reason = choose_loss(student, teacher.path, inputs["start"].path, stated=stated, captured=captured)
        else:
            inputs = inputs | kept
            loss, reason = choose_loss(student, teacher.path, captured=captured)
        told(f"{name}: loss {loss} ({reason})")
        section = StudentSection(name=name, student=student, loss=loss, loss_reason=reason)
        students[name] = step(f"student:{name}", "training.student", section, inputs, device=True)
    return students


def _kept_layers(step: Step, recipe: Recipe, teacher: Artifact, distilled: Artifact) -> dict[str, Artifact]:
    """One search for all pruned students; none where every student is a model of its own."""
    counts = tuple(sorted({student.layers for student in recipe.students.values() if student.layers}, reverse=True))
    if not counts:
        return {}
    inputs = {"teacher": teacher, "distilled": distilled}
    section = PruneSection(prune=recipe.prune, counts=counts)
    return {"layers": step("prune", "distillation.prune", section, inputs, device=True)}
