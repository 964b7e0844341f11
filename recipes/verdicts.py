"""What a plan says of students, corpora and the release, by the catalogue alone. Candidates: ``selection.checks``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from contracts.tokenizers import SHARED
from recipes.catalogue import models, served_architectures, stated_verdict
from recipes.schema import Recipe
from recipes.section import Section
from recipes.training_sections import Student

MIN_EXAMPLES, RISKY_EXAMPLES = 5_000, 2_000
"""Published: fewer examples than the first rarely carry a fine-tune, fewer than the second may make a model worse."""


class Verdict(Section):
    """One check of one thing. ``warns`` is for what may be right, and should be looked at."""

    subject: str
    check: str
    verdict: Literal["passes", "warns", "fails"]
    reason: str


def verdicts(recipe: Recipe) -> list[Verdict]:
    """All of them. What a recipe must not say is refused when it loads, and needs no line here."""
    students = [line for name, student in recipe.students.items() for line in _student(recipe, name, student)]
    return [*students, *_corpora(recipe), _release(recipe), *_examples(recipe), _pairs()]


def _student(recipe: Recipe, name: str, student: Student) -> Iterator[Verdict]:
    if not student.model:
        reason = f"cut from the teacher to {student.layers} layers: its licence, token ids and architecture"
        yield Verdict(subject=name, check="start", verdict="passes", reason=reason)
        return
    row = models()[student.model]
    allowed = row.licence in recipe.selection.licences
    subject = f"{name} ({student.model})"
    reason = f"{row.licence} is {'allowed' if allowed else 'not among selection.licences'}"
    yield Verdict(subject=subject, check="licence", verdict="passes" if allowed else "fails", reason=reason)
    version, served = served_architectures()
    known = row.architecture in served
    reason = f"vLLM {version} {'serves' if known else 'does not serve'} {row.architecture or 'what is not stated'}"
    yield Verdict(subject=subject, check="serveability", verdict="passes" if known else "warns", reason=reason)
    teacher = recipe.selection.candidates[0]
    shared = stated_verdict(models()[teacher], row) in SHARED
    reason = f"shares {teacher}'s token ids: top_k" if shared else f"has other token ids than {teacher}: text only"
    yield Verdict(subject=subject, check="tokenizer", verdict="passes" if shared else "warns", reason=reason)


def _corpora(recipe: Recipe) -> Iterator[Verdict]:
    for name, source in recipe.sources.items():
        allowed = source.licence in recipe.curation.licences
        reason = f"{source.licence} is {'allowed' if allowed else 'not among curation.licences: nothing of it enters'}"
        yield Verdict(subject=name, check="licence", verdict="passes" if allowed else "fails", reason=reason)


def _release(recipe: Recipe) -> Verdict:
    """The union over bases, students and corpora: all of them bind what is released."""
    rows = models()
    named = {rows[one].licence for one in (recipe.selection.candidates[0], *_starts(recipe)) if one in rows}
    union = sorted(named | {source.licence for source in recipe.sources.values()})
    custom = [one for one in union if one.startswith("LicenseRef-")]
    reason = f"bound by {', '.join(union)}"
    if custom:
        reason += f"; read before a release: {', '.join(custom)}"
    return Verdict(subject="release", check="licences", verdict="warns" if custom else "passes", reason=reason)


def _starts(recipe: Recipe) -> list[str]:
    return [student.model for student in recipe.students.values() if student.model]


def _examples(recipe: Recipe) -> Iterator[Verdict]:
    """How many examples a task may have at most; curation says how many it has."""
    for name, task in recipe.tasks.items():
        if task.suite == "vertical" and task.max_train < MIN_EXAMPLES:
            verdict: Literal["warns", "fails"] = "warns"
            risk = " and may make it worse" if task.max_train < RISKY_EXAMPLES else ""
            reason = f"at most {task.max_train:,} train; fewer than {MIN_EXAMPLES:,} rarely carry a fine-tune{risk}"
            yield Verdict(subject=f"tasks.{name}", check="examples", verdict=verdict, reason=reason)


def _pairs() -> Verdict:
    reason = "settings that exclude each other are refused when the recipe loads; it has loaded"
    return Verdict(subject="recipe", check="incompatible pairs", verdict="passes", reason=reason)
