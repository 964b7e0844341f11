"""Stage select: the teacher's answers, verified against the gold fields, become what students learn from."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from contracts.answers import fault
from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, ModelAnswer, read_jsonl, write_jsonl
from contracts.errors import InputError
from contracts.stage import stage_main
from contracts.usage import Usage
from recipes.training_sections import Capture

CODE_VERSION = "2"
TRAIN = "train.jsonl"
FURTHER = "students.jsonl"
REJECTED = "rejected.jsonl"


def select(section: Capture, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Join ``corpus`` (train.jsonl, then students.jsonl) with the teacher's ``answers`` (answers.jsonl, may be absent).

    Writes train.jsonl: every example once, with the teacher's text where an answer of it was verified and with the
    gold text elsewhere; and rejected.jsonl: every refused answer with its reason. The first accepted of several
    samples is used. Raises InputError when there are no examples or an answer belongs to none of them.
    """
    examples = list(read_jsonl(inputs["corpus"].file(TRAIN), ChatExample))
    if FURTHER in inputs["corpus"].files:
        examples += read_jsonl(inputs["corpus"].file(FURTHER), ChatExample)
    if not examples:
        raise InputError("corpus", "has no training examples", hint="see the curation card for what was rejected")
    answers = _answers(inputs.get("answers"), {example.id for example in examples})
    taught: list[ChatExample] = []
    rejected: list[dict[str, Any]] = []
    for example in examples:
        accepted, refused = _verify(answers.get(example.id, []), example)
        rejected += refused
        taught.append(example if accepted is None else example.model_copy(update={"completion": accepted.text.strip()}))
    write_jsonl(out_dir / TRAIN, taught)
    write_jsonl(out_dir / REJECTED, rejected)
    given = [answer for several in answers.values() for answer in several]
    from_teacher = _accepted(answers, rejected)
    teacher_tokens = sum(answer.completion_tokens for answer in given)
    metrics = {
        "examples": len(examples),
        "asked": len(answers),
        "answers": len(given),
        "accepted": from_teacher,
        "rejected": dict(sorted(Counter(row["reason"] for row in rejected).items())),
        "from_gold": len(examples) - from_teacher,
        "teacher_tokens": teacher_tokens,
        "teacher_tokens_per_accepted": teacher_tokens / from_teacher if from_teacher else None,
    }
    return describe(out_dir, "distilled", metrics), Usage()


def _answers(artifact: Artifact | None, known: set[str]) -> dict[str, list[ModelAnswer]]:
    """Answers by example id, in sample order."""
    grouped: dict[str, list[ModelAnswer]] = defaultdict(list)
    if artifact is None:
        return grouped
    for answer in read_jsonl(artifact.file("answers.jsonl"), ModelAnswer):
        if answer.example_id not in known:
            raise InputError(
                "answers",
                "an answer must belong to a training example of the corpus",
                got=answer.example_id,
                hint="the answers were made from another corpus; ask the teacher again",
            )
        grouped[answer.example_id].append(answer)
    for several in grouped.values():
        several.sort(key=lambda answer: answer.sample)
    return grouped


def _verify(answers: list[ModelAnswer], example: ChatExample) -> tuple[ModelAnswer | None, list[dict[str, Any]]]:
    """The first accepted answer, and the refused ones before it as rows of rejected.jsonl."""
    refused: list[dict[str, Any]] = []
    for answer in answers:
        reason = fault(answer, example)
        if not reason:
            return answer, refused
        refused.append({**answer.model_dump(), "reason": reason, "gold": example.gold})
    return None, refused


def _accepted(answers: dict[str, list[ModelAnswer]], rejected: list[dict[str, Any]]) -> int:
    """Examples whose text comes from the teacher: those asked, less those with every answer refused."""
    refused = Counter(row["example_id"] for row in rejected)
    return sum(refused[example_id] < len(several) for example_id, several in answers.items())


if __name__ == "__main__":
    stage_main(select, Capture)
