"""What a stage is given: recipe sections as the flow joins them, one class a stage door."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from recipes.corpus import Inbox
from recipes.ontology import Ontology
from recipes.schema import Curation, Evaluation, Positive, Selection, Serving, Source, Task
from recipes.section import Section, Share, not_identity
from recipes.text_rules import Identifier, QualityRule, identifiers, quality_rules
from recipes.training_sections import Answering, Prune, Student


class CurateSection(Section):
    """All that curation needs. ``corpus`` is where the documents lie; their digests are identity, not their place."""

    curation: Curation
    sources: dict[str, Source]
    tasks: dict[str, Task]
    system_prompt: str
    corpus: Path | None = not_identity(None)
    augment: bool = False
    tuning_documents: int | None = None
    """The writer's documents of a source that the teacher is tuned on; the rest is for students. None: all."""
    vertical: str = ""
    ontology: Ontology | None = None
    """What the corpus should cover."""
    inbox: Inbox | None = None
    """Where ``corpus`` is an inbox: its drops."""
    removals: tuple[str, ...] = ()
    """Document ids, and names of sources, that must not enter."""
    quality_rules: dict[str, QualityRule] = Field(default_factory=quality_rules)
    """The published ones and the vertical's own; ``curation`` and ``sources`` choose among them."""
    identifiers: dict[str, Identifier] = Field(default_factory=identifiers)
    """Of the trade: no personal data, whatever they look like."""
    curated_on: date | None = not_identity(None)
    """For the dataset card."""
    workers: int = not_identity(0, ge=0)
    """Processes and threads, 0 for one a core; the outcome is the same for any number."""
    ray_python: Path = not_identity(Path(".venv-ray/bin/python"))
    """The interpreter of the environment of Daft and Ray."""


class InboxCardSection(Section):
    """The card of a whole inbox, from those of its layers."""

    require_coverage: dict[str, Positive] = Field(default_factory=dict)
    quarantined: dict[str, str] = Field(default_factory=dict)
    """Drops that must not be read, with the reason."""


class JoinSection(Section):
    """The layers of an inbox as one corpus."""

    curation: Curation
    vertical: str
    ontology: Ontology | None = None
    inbox: Inbox = Inbox()
    """All drops that the layers hold."""
    curated_on: date | None = not_identity(None)
    """For the dataset card."""


class BaseSection(Section):
    """A catalogue model to be brought onto disk."""

    model: str
    system_prompt: str


class SiblingStudent(Section):
    """A student that starts from a catalogue model: what that asks of its teacher."""

    model: str
    loss: Literal["auto", "top_k", "sequence"] = "auto"


class SelectSection(Section):
    """Choosing the base, with the students that must learn from it. Students cut from the teacher ask nothing."""

    selection: Selection
    students: dict[str, SiblingStudent] = Field(default_factory=dict)
    catalogue_digest: str = ""
    """``catalogue.rows_digest`` of all models named: what the catalogue says of them is identity."""


class WriteSection(Section):
    """The writer's orders: how many documents a source, deterministic from the seed."""

    vertical: str
    file: str
    seed: int
    documents: int
    sources: dict[str, Source]
    grammar_digest: str = ""
    """SHA-256 over the writer file, its includes and tables (``data_curation.write.writer_digest``): it is identity."""


class AnswerSection(Section):
    """Ask a model the prompts of a split."""

    answering: Answering
    split: Literal["train", "eval"]
    max_items: int = 1_000_000
    max_items_per_task: int = 1_000_000


class AskSection(Section):
    """Ask a teacher behind an OpenAI-protocol API the training prompts."""

    endpoint: str
    """Base URL up to ``/v1``. It is identity: another server may be another teacher."""
    model: str
    """The teacher's name there; empty: the first that the server lists."""
    max_items: int
    max_new_tokens: int
    seed: int = 7
    api_key: SecretStr = not_identity(SecretStr(""))
    """Reaches the stage's process by a pipe and is written down nowhere."""


class EvaluateSection(Section):
    """Ask and score one model on every suite."""

    model_name: str
    evaluation: Evaluation


class CompareSection(Section):
    """A gate between two evaluations."""

    champion: str
    challenger: str
    suite: str
    metric: str
    margin: Share
    forgetting_budget: Share | None = None
    bootstrap: int = 2_000
    seed: int = 7


class PruneSection(Section):
    """Find which layers to keep, for every number of layers that a student has."""

    prune: Prune
    counts: tuple[int, ...] = Field(min_length=1)


class StudentSection(Section):
    """One student's training."""

    name: str
    student: Student
    loss: Literal["top_k", "sequence"]
    loss_reason: str = not_identity("")


class BenchmarkSection(Section):
    """Serve one model and measure it."""

    model_name: str
    serving: Serving
    usd_per_device_hour: float | None = not_identity(None)
    engine_python: Path = not_identity(Path(".venv-vllm/bin/python"))
    """The interpreter of the engine's own environment."""
