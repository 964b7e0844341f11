"""The rule that picks a student's loss, with its reason for the report. Imports no torch: the flow asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from contracts.errors import FitError, TokenizerMismatch
from recipes.training_sections import Student
from training.tokenizers import Verdict, require_shared_ids, tokenizer_fingerprint, tokenizer_verdict

Loss = Literal["top_k", "sequence"]
LOGIT_COPIES = 4
"""fp32 copies of the labelled positions' logits alive at once: logits, masked, softmax, gradient."""


def choose_loss(
    student: Student,
    teacher: Path,
    start: Path | None = None,
    *,
    stated: Verdict = "identical",
    captured: bool = True,
    needed_bytes: int = 0,
    free_bytes: int | None = None,
) -> tuple[Loss, str]:
    """The loss for ``student`` of the teacher at ``teacher``; ``start`` is a smaller sibling's folder.

    ``stated`` is the catalogue's verdict: it holds for folders that do not exist yet (a plan), and the student's stage
    checks again. See ``by_rule``.
    """
    verdict = stated
    if start is not None and start.is_dir() and teacher.is_dir():
        verdict = tokenizer_verdict(tokenizer_fingerprint(teacher), tokenizer_fingerprint(start))
    return by_rule(verdict, student.loss, captured=captured, needed_bytes=needed_bytes, free_bytes=free_bytes)


def by_rule(
    verdict: Verdict,
    wanted: Literal["auto", "top_k", "sequence"],
    *,
    captured: bool = True,
    needed_bytes: int = 0,
    free_bytes: int | None = None,
) -> tuple[Loss, str]:
    """``(loss, reason)``. Raises TokenizerMismatch or FitError where what the recipe asks for cannot be had."""
    if verdict == "impossible":
        raise TokenizerMismatch(
            "student",
            "must be able to write the teacher's answers",
            got="a tokenizer that does not give back the probe strings",
            hint="choose a student with a byte-level tokenizer",
        )
    if wanted == "sequence":
        return "sequence", "the recipe asks for it"
    if wanted == "top_k":
        require_shared_ids(verdict, "of the recipe")
    lacking = _lacking(captured, needed_bytes, free_bytes)
    if lacking and wanted == "top_k":
        raise FitError("students.loss", "top_k cannot be had", got=lacking, hint="set loss: auto or sequence")
    if lacking:
        return "sequence", lacking
    if verdict == "cross_tokenizer":
        return "sequence", "teacher and student have different token ids; only text can be shared"
    shared = "the same token ids" if verdict == "identical" else "the same token ids but for unused ones at the end"
    return "top_k", f"teacher and student have {shared}, and the teacher's probabilities are captured"


def top_k_bytes(labelled_tokens: int, vocabulary: int) -> int:
    """Memory that the loss on captured probabilities takes for one forward pass, beyond the model's own."""
    return LOGIT_COPIES * 4 * labelled_tokens * vocabulary


def _lacking(captured: bool, needed_bytes: int, free_bytes: int | None) -> str:
    if not captured:
        return "the teacher's probabilities are not captured: behind an API it gives text only"
    if free_bytes is not None and needed_bytes > free_bytes:
        return f"its logits need {needed_bytes / 2**30:.1f} GiB and {free_bytes / 2**30:.1f} GiB are free"
    return ""
