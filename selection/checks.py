"""What speaks against a catalogue model before anything is measured: every verdict with its reason.

=============  =======================================================================================
licence        is its licence among those the recipe allows?
context        does it take prompts of the length the recipe asks for?
memory         does a QLoRA step fit the device? (``selection.fit``)
tokenizer      can every student learn from it with the loss that the recipe asks for?
architecture   does the pinned vLLM serve it?
cost           does its training stay within what the recipe allows?
=============  =======================================================================================

A candidate falls by the first that it does not pass. ``weigh`` knows the catalogue only and imports no torch: the plan
and the flow ask it. The stage knows the files of the models that are on disk as well.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.errors import FitError, InputError, LicenceError, StillroomError, TokenizerMismatch
from contracts.reports import Candidate, Check
from contracts.tokenizers import SHARED, Verdict
from recipes.catalogue import models, rows_digest, served_architectures, stated_verdict
from recipes.catalogue_rows import PublicModel
from recipes.schema import Recipe, Selection
from recipes.stage_sections import SelectSection, SiblingStudent
from selection.fit import qlora_memory_gib

IDS: dict[Verdict, str] = {
    "identical": "the same token ids",
    "pad_tail_safe": "the same token ids but for unused ones at the end",
    "cross_tokenizer": "other token ids",
    "impossible": "one tokenizer does not give the probe strings back",
}

WAY_OUT = "Set the students' loss to auto or sequence (distil by text), or take students of the candidate's family"


@dataclass(frozen=True)
class Ids:
    """Whether a candidate and a student share token ids, and who says so."""

    verdict: Verdict
    from_files: bool


@dataclass(frozen=True)
class Facts:
    """What is known of a candidate beyond its row. None: nobody says."""

    context: int | None
    architectures: tuple[str, ...] | None
    ids: Mapping[str, Ids]
    """Student to the verdict on its tokenizer and the candidate's."""


def select_section(recipe: Recipe) -> SelectSection:
    """What the stage is given of a recipe. Students of a teacher behind an API learn from text, whatever its ids."""
    by_text = bool(recipe.capture.endpoint)
    students = {
        name: SiblingStudent(model=one.model, loss="sequence" if by_text else one.loss)
        for name, one in recipe.students.items()
        if one.model
    }
    named = [*recipe.selection.candidates, *(one.model for one in students.values())]
    return SelectSection(selection=recipe.selection, students=students, catalogue_digest=rows_digest(named))


def rows(section: SelectSection) -> dict[str, PublicModel]:
    """The candidates' rows; raises InputError with the nearest name for one that the catalogue does not have."""
    return {name: _row(name, "selection.candidates") for name in section.selection.candidates}


def stated(row: PublicModel, section: SelectSection) -> Facts:
    """What the catalogue says of a candidate."""
    ids = {
        name: Ids(stated_verdict(row, _row(student.model, f"students.{name}.model")), from_files=False)
        for name, student in section.students.items()
    }
    return Facts(row.context, (row.architecture,) if row.architecture else None, ids)


def weigh(section: SelectSection) -> list[Candidate]:
    """Every candidate with its checks by the catalogue alone, nothing measured and no cost."""
    return [candidate(name, row, checks(row, section, stated(row, section))) for name, row in rows(section).items()]


def candidate(name: str, row: PublicModel, judged: list[Check]) -> Candidate:
    """A candidate as its checks leave it: ``kept``, or ``rejected`` by the first that it does not pass."""
    bare = Candidate(
        model=name,
        licence=row.licence,
        verdict="kept",
        reason="nothing known speaks against it",
        params_b=row.params_b,
        present=False,
        checks=judged,
    )
    return bare.model_copy(update={"verdict": "rejected", "reason": bare.fall.reason}) if bare.fall else bare


def require_one(candidates: list[Candidate]) -> list[Candidate]:
    """Those that no check rejected.

    Raises LicenceError or TokenizerMismatch when that alone rejected every one, FitError for other and mixed reasons.
    """
    left = [one for one in candidates if one.fall is None]
    if left:
        return left
    falls = {one.model: one.fall for one in candidates if one.fall is not None}
    kinds = {one.kind for one in falls.values()}
    error: type[StillroomError] = FitError
    if kinds == {"licence"}:
        error = LicenceError
    hint = "; ".join(f"{name}: {one.reason}" for name, one in falls.items())
    if kinds == {"tokenizer"}:
        error = TokenizerMismatch
        hint = f"{hint}. {WAY_OUT}"
    raise error("selection.candidates", "none is left", got=f"{len(falls)} rejected", hint=hint)


def checks(row: PublicModel, section: SelectSection, facts: Facts, train_usd: float | None = None) -> list[Check]:
    """All verdicts on a candidate, in the order in which they decide; no cost where ``train_usd`` is not known."""
    wanted = section.selection
    judged = [
        _licence(row, wanted),
        _context(facts.context, wanted),
        _memory(row, wanted),
        _tokenizer(section.students, facts.ids),
        _architecture(facts.architectures),
    ]
    if train_usd is not None:
        judged.append(_cost(train_usd, wanted))
    return judged


def _row(name: str, key: str) -> PublicModel:
    known = models()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "recipes/models.yaml lists the catalogue"
        raise InputError(key, "is not in the model catalogue", got=name, hint=hint)
    return known[name]


def _licence(row: PublicModel, wanted: Selection) -> Check:
    if row.licence in wanted.licences:
        return Check(kind="licence", passed=True, reason=f"licence {row.licence} is allowed")
    reason = f"licence {row.licence} is not among {', '.join(wanted.licences)}"
    return Check(kind="licence", passed=False, reason=reason)


def _context(context: int | None, wanted: Selection) -> Check:
    if context is None:
        return Check(kind="context", passed=True, reason="context not stated")
    enough = context >= wanted.min_context
    relation = "is enough" if enough else f"is below {wanted.min_context:,}"
    return Check(kind="context", passed=enough, reason=f"context of {context:,} tokens {relation}")


def _memory(row: PublicModel, wanted: Selection) -> Check:
    needed = qlora_memory_gib(row, wanted.min_context)
    reason = f"QLoRA on {wanted.min_context:,} tokens needs {needed:.1f} GiB, the device has {wanted.memory_gib:g}"
    return Check(kind="memory", passed=needed <= wanted.memory_gib, reason=reason)


def _tokenizer(students: Mapping[str, SiblingStudent], ids: Mapping[str, Ids]) -> Check:
    if not students:
        return Check(kind="tokenizer", passed=True, reason="its students are cut from it and share its token ids")
    told = [_shared(name, student, ids[name]) for name, student in students.items()]
    refused = [text for passed, text in told if not passed]
    return Check(kind="tokenizer", passed=not refused, reason="; ".join(refused or [text for _, text in told]))


def _shared(name: str, student: SiblingStudent, ids: Ids) -> tuple[bool, str]:
    """Whether a student can learn from the candidate with the loss it asks for, and what follows."""
    source = "by their files" if ids.from_files else "by the catalogue"
    told = f"{name} ({student.model}): {IDS[ids.verdict]} {source}"
    if ids.verdict == "impossible":
        return False, f"{told}, so it cannot learn the answers"
    if student.loss == "sequence":
        return True, f"{told}, and only text is asked for: the sequence-level loss"
    if ids.verdict in SHARED:
        return True, f"{told}, so loss top_k can be used"
    if student.loss == "top_k":
        return False, f"{told}, and the recipe asks for loss top_k"
    return True, f"{told}, so the sequence-level loss will be used"


def _architecture(architectures: tuple[str, ...] | None) -> Check:
    if architectures is None:
        return Check(kind="architecture", passed=True, reason="architecture not stated")
    version, served = served_architectures()
    if not architectures:
        return Check(kind="architecture", passed=False, reason="its config.json names no architecture")
    known = [name for name in architectures if name in served]
    if known:
        return Check(kind="architecture", passed=True, reason=f"vLLM {version} serves {known[0]}")
    return Check(kind="architecture", passed=False, reason=f"vLLM {version} does not serve {', '.join(architectures)}")


def _cost(train_usd: float, wanted: Selection) -> Check:
    reason = f"training is estimated at {train_usd:,.2f} USD, the recipe allows {wanted.max_usd:,.2f}"
    return Check(kind="cost", passed=train_usd <= wanted.max_usd, reason=reason)
