"""The recipe: one frozen, validated description of a vertical's build, a section per stage.

Fields marked ``sized()`` may be changed by a scale overlay (sizes and models, never the meaning). Fields marked
``not_identity`` say where or how something runs and never enter a fingerprint.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from recipes.section import NOT_IDENTITY, SIZED, Section, Share, not_identity, sized
from recipes.training_sections import Answering, Capture, Cpt, Dpo, Merge, Prune, Residual, Sft, Student

Positive = Annotated[int, Field(ge=1)]
PersonalDataAction = Literal["mask", "reject", "keep"]


class Source(Section):
    """One source of documents. ``path`` is relative to the corpus.

    Field paths are dotted: ``a.b[0]`` is an element, ``a[].b`` every element's ``b``, ``a|b`` the first that is not
    empty, ``a+b`` both texts one after the other.
    """

    path: str
    use: Literal["pretraining", "tasks", "replay"]
    licence: str
    """SPDX identifier or ``LicenseRef-*``."""
    text: str = "text"
    """Field path of the text (jsonl, csv); lists of words are joined by blanks. Plain files are their own text."""
    id: str = "id"
    entity: str = ""
    """Field path of what a split must not cut through; empty: the document itself."""
    date: str = ""
    cut_before: str = ""
    """Text from the first occurrence of this marker on is dropped (boilerplate of a form)."""
    drop_lines: tuple[str, ...] = ()
    """Regular expressions, case folded: a line that one of them matches from its start is dropped (form headers)."""
    max_chars: int = Field(20_000, ge=100)
    """Longer texts are split (pretraining) or cut (tasks) at a paragraph end."""
    max_documents: int = sized(1_000_000, ge=1)
    figures_tell_apart: bool | None = None
    """Whether documents with different figures are no copies, however alike: forms filled in. None: where tasks read
    the source."""
    languages: tuple[str, ...] | None = None
    """In place of ``curation.languages``."""
    quality_families: tuple[str, ...] | None = None
    """In place of ``curation.quality_families`` (pretraining) or none (other uses)."""
    quality: dict[str, float | None] = Field(default_factory=dict)
    """On top of ``curation.quality``."""
    personal_data: PersonalDataAction | None = None
    """In place of ``curation.personal_data``."""
    person_fields: tuple[str, ...] = ()
    """Field paths of people's names (a listing's host): they are personal data in the text and in the metadata."""


class Window(Section):
    """A part of a long document around the place where a gold value is printed."""

    around: str
    """Field path (in the element of ``each``) of the text to look for."""
    before_chars: int = Field(500, ge=0)
    after_chars: int = Field(250, ge=0)


class Task(Section):
    """How examples are made of a source's documents: a prompt, and gold fields as a JSON object."""

    source: str
    prompt: str
    """``{text}`` and ``{field}`` of ``values`` are filled in."""
    fields: dict[str, str] = Field(min_length=1)
    """Answer field to its field path in the document's row (or in the element of ``each``, as ``each.value``)."""
    values: dict[str, str] = Field(default_factory=dict)
    """Names used in the prompt to field paths."""
    each: str = ""
    """Field path of a list: one example an element, gold ``each.*``."""
    per_document: int = Field(4, ge=1)
    window: Window | None = None
    must_appear: tuple[str, ...] = ()
    """Answer fields whose gold value must be printed in the text; examples without are rejected with that reason."""
    only_if_printed: tuple[str, ...] = ()
    """Answer fields that are left out of the gold where the text does not print their value."""
    numeric: tuple[str, ...] = ()
    """Answer fields that hold a figure: a swapped digit or a neighbour's figure makes the wrong answers for DPO."""
    labels: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Name of a value or answer field to a table: what stands in the row, to what people call it."""
    suite: Literal["vertical", "general"] = "vertical"
    """``general``: the general-ability suite, asked after every stage and never trained on."""
    choices: str = ""
    """Field path of a list of options, shown as ``{choices}`` with letters."""
    max_train: int = sized(2_000, ge=1)


class Writer(Section):
    """The document writer: deterministic from its seed, every record marked synthetic."""

    file: str = "writer.yaml"
    """The vertical's tables and phrasings, beside the recipe."""
    seed: int = 7
    documents: int = sized(400, ge=1)
    """A task source, in a run that has no corpus."""
    augment: int = sized(0, ge=0)
    """A task source, beside a real corpus (training only, never evaluation)."""
    for_students: int = sized(0, ge=0)
    """A task source, on top of these, which only students learn from: they need many more than their teacher."""


class Curation(Section):
    """Filters, duplicates, decontamination, split."""

    licences: tuple[str, ...]
    """SPDX identifiers that may enter."""
    min_words: int = Field(5, ge=0)
    max_symbol_share: Share = 0.6
    max_repeated_line_share: Share = 0.6
    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes of the languages wanted; empty: all. A text too short to tell stays."""
    quality_families: tuple[str, ...] = ("gopher", "gopher_repetition", "c4", "fineweb")
    """Published rules for pretraining text, by the family they stand under in ``recipes/quality_rules.yaml``."""
    quality: dict[str, float | None] = Field(default_factory=dict)
    """Rule to another threshold than the published one; null switches it off."""
    personal_data: PersonalDataAction = "mask"
    """``mask``: placeholders like [EMAIL]; ``reject``: the document falls; ``keep``: nothing is looked for."""
    near_duplicate_jaccard: Share = 0.8
    shingle_words: int = Field(5, ge=1)
    bands: int = Field(14, ge=1)
    rows: int = Field(8, ge=1)
    removal_ceiling: Share = 0.5
    """A source that loses a larger share to near-duplicates fails the stage."""
    cluster_alarm: int = Field(50, ge=2)
    """A cluster of more documents is named on the card: a person should look before it is trained without them."""
    decontamination_words: int = Field(13, ge=5)
    decontamination_coverage: Share = 0.5
    """Share of an evaluation text's n-grams that must be found before a document is quarantined."""
    holdout_share: Share = 0.25
    holdout_from: str = Field("", pattern=r"^(\d{4}(-\d\d(-\d\d)?)?)?$")
    """A day (or month, or year): documents dated from then on are never trained on. Empty: any date may train."""
    require_coverage: dict[str, Positive] = Field(default_factory=dict)
    """Name in the vertical's ontology.yaml to the least number of accepted documents; below it the stage fails."""
    max_eval: int = sized(64, ge=1)
    """Evaluation items a task."""
    max_pretraining_chars: int = sized(100_000_000, ge=1_000)
    seed: int = 7
    engine: Literal["threads", "ray"] = Field("threads", json_schema_extra={**SIZED, **NOT_IDENTITY})
    """Where near-duplicates are found: this machine, or Daft on Ray. The result is the same."""
    ray_address: str = Field(
        "", pattern=r"^((ray://)?[^\s/]+:\d{1,5})?$", json_schema_extra={**SIZED, **NOT_IDENTITY}
    )  # fmt: skip
    """Of a running cluster: ``host:6379`` from one of its nodes, ``ray://host:10001`` from elsewhere. Empty: a Ray of
    the stage's own."""


class Selection(Section):
    """Choosing the base."""

    candidates: tuple[str, ...] = sized(..., min_length=1)
    licences: tuple[str, ...]
    memory_gib: float = sized(80.0, gt=0)
    """Memory of one device of the plan."""
    min_context: int = Field(2_048, ge=128)
    max_usd: float = sized(1e9, gt=0)
    held_out_chars: int = sized(100_000, ge=500)
    zero_shot_items: int = sized(16, ge=0)


class Tokenise(Section):
    """Text to tokens, on a CPU, before any device is leased."""

    max_tokens: int = sized(1_024, ge=64)
    pack_tokens: int = sized(1_024, ge=64)
    max_truncated_share: Share = 0.05
    """Of a source's examples; above it the stage fails."""
    min_supervised_share: Share = 0.02
    """Below it the report warns; at zero the stage fails."""


class Evaluation(Section):
    """Suites and gates."""

    answering: Answering = Answering()
    general_items: int = sized(32, ge=0)
    bootstrap: int = Field(2_000, ge=100)
    primary_task: str
    primary_metric: Literal["field_f1", "exact_match"] = "field_f1"
    forgetting_budget: Share = 0.1
    """Largest loss of general accuracy, base to teacher."""
    gate_margin: Share = 0.05
    """A challenger whose interval lies wholly below minus this is NO-GO."""
    retention: dict[str, float] = Field(default_factory=dict)
    """Student name to the least share of the teacher's primary score."""
    seed: int = 7


class Serving(Section):
    """The engine and the load it is measured under."""

    engine: Literal["vllm"] = "vllm"
    max_model_len: int = sized(4_096, ge=128)
    input_tokens: int = sized(512, ge=1)
    output_tokens: int = sized(128, ge=1)
    concurrency: tuple[Positive, ...] = sized((1, 8, 32, 128))
    request_rates: tuple[Annotated[float, Field(gt=0)], ...] = sized((1.0, 4.0, 16.0))
    """Requests a second."""
    requests_per_cell: int = sized(64, ge=1)
    repeats: int = sized(3, ge=1)
    """Of every cell, each on prompts of its own; the report shows medians and how far the repeats lie apart."""
    max_repeat_spread: float = Field(0.2, gt=0)
    """(Most - least) / median of a cell's repeats; above it the report says that the machine was noisy."""
    slo_ttft_ms: float = sized(2_000.0, gt=0)
    slo_tpot_ms: float = sized(100.0, gt=0)
    goodput_share: float = Field(0.9, gt=0, le=1)
    """Of requests, how many must keep both SLOs at a load that counts as held."""
    start_timeout_seconds: int = not_identity(600, ge=10)
    extra_flags: tuple[str, ...] = not_identity(())


class Budget(Section):
    """What the build may spend."""

    usd: float = sized(1e9, gt=0)


class Recipe(Section):
    """A vertical's whole build."""

    vertical: Literal["finance", "real_estate", "corporate_intelligence"]
    description: str
    scale: str = "local"
    system_prompt: str
    sources: dict[str, Source] = Field(min_length=1)
    tasks: dict[str, Task] = Field(min_length=1)
    writer: Writer = Writer()
    curation: Curation
    selection: Selection
    tokenise: Tokenise = Tokenise()
    cpt: Cpt
    residual: Residual = Residual()
    sft: Sft
    dpo: Dpo
    merge: Merge = Merge()
    capture: Capture = Capture()
    prune: Prune = Prune()
    students: dict[str, Student] = Field(min_length=1)
    evaluation: Evaluation
    serving: Serving = Serving()
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _names_meet(self) -> Recipe:
        for name, task in self.tasks.items():
            if task.source not in self.sources:
                raise ValueError(f"tasks.{name}.source: no source of that name, got {task.source!r}")
        if self.evaluation.primary_task not in self.tasks:
            raise ValueError(f"evaluation.primary_task: no such task, got {self.evaluation.primary_task!r}")
        for student in self.evaluation.retention:
            if student not in self.students:
                raise ValueError(f"evaluation.retention: no such student, got {student!r}")
        return self
