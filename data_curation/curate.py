"""The curation stage: documents in; pretraining text, examples, pairs and a card out; every reject with its reason."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import recipes
from contracts.artifacts import Artifact, describe
from contracts.curation_report import CurationCard
from contracts.documents import write_jsonl
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from data_curation.candidates import Book, close_book, open_book
from data_curation.card import Examples, Outcome
from data_curation.card_page import write_card
from data_curation.card_samples import samples_of
from data_curation.card_sum import metrics_of
from data_curation.comparing import split_and_compare
from data_curation.decontamination import Index
from data_curation.earlier import Earlier, earlier_of
from data_curation.examples import check_prompts
from data_curation.field_paths import lookup, text_of
from data_curation.inbox_files import note_unread
from data_curation.layer_index import write_index
from data_curation.loading import (
    check_licences,
    require_documents,
    rows_of_corpus,
    rows_of_writer,
    spooled,
)
from data_curation.output import USES, write_output
from data_curation.ray_runner import Ray, ray_of
from data_curation.reading import find_files, read_rows, require_corpus
from data_curation.removal import drop_removed
from data_curation.shaping import Raw, compiled
from data_curation.shards import assemble, clean, within_budget
from data_curation.spool import Found
from data_curation.task_examples import TaskExamples
from data_curation.text_pool import TextPool, cores
from recipes.ontology import require_known
from recipes.stage_sections import CurateSection

CODE_VERSION = "11"
SPOOL = ".spool"
"""Scratch: it goes with the stage, and a killed stage's with the next."""
BUILT_IN_LICENCE = "Apache-2.0"
BUILT_IN_QUESTIONS = Path(recipes.__file__).parent / "general" / "questions.jsonl"
BUILT_IN_TEXTS = Path(recipes.__file__).parent / "general" / "texts.jsonl"


def curate(section: CurateSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Inputs: ``written`` (the writer's documents by source), optional where a corpus is given; of an inbox the earlier
    layers (``earlier``), with which the documents are compared.

    Writes pretraining, replay (each with a held-out part), train, students (further examples, for distillation only),
    eval, general, pairs, rejected, quarantine (jsonl), the card (card.json, samples.json, card.html), documents.parquet
    (what became of every document) and the folder dataset (Parquet shards for others); of an inbox also the folder
    index, for the next layer.
    Metrics: documents read, accepted and rejected, characters, examples by split, pairs.
    Raises LicenceError, InputError (no corpus, nothing readable) and GateError (near-duplicates past the ceiling, too
    little of what the corpus must cover).
    """
    section = section.model_copy(update={"workers": section.workers or cores()})
    require_known(section.curation.require_coverage, section.ontology)
    check_licences(section.sources, section.curation)
    check_prompts(section.tasks)
    for name, source in section.sources.items():
        compiled(name, source)
    if section.corpus is not None:
        require_corpus(section.corpus)
    earlier = earlier_of(inputs)
    book = open_book(out_dir)
    try:
        with _scratch(out_dir) as scratch, ray_of(section, out_dir) as ray:
            card = _curated(section, inputs.get("written"), earlier, out_dir, scratch, book, ray)
    finally:
        close_book(book)
    write_card(out_dir, card, samples_of(out_dir, card))
    return describe(out_dir, "corpus", metrics_of(card)), Usage()


@contextmanager
def _scratch(out_dir: Path) -> Iterator[Path]:
    folder = out_dir / SPOOL
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _curated(
    section: CurateSection,
    written: Artifact | None,
    earlier: Earlier,
    out_dir: Path,
    scratch: Path,
    book: Book,
    ray: Ray | None,
) -> CurationCard:
    progress(0, 5, "reading documents")
    found, missing = _load(section, written, earlier, scratch, book)
    suites = {task.source for task in section.tasks.values() if task.suite == "general"}
    task_sources = {task.source for task in section.tasks.values()} - suites
    wanted = set(found) if section.inbox else task_sources  # a drop of plain text is worth curating by itself
    if not earlier.layers:  # a later drop may hold nothing that can be read: its card says so
        require_documents(found, wanted, str(section.corpus or "the writer's documents"))
    progress(1, 5, "splitting and comparing")
    held, near = split_and_compare(section, found, suites, earlier, scratch, book, ray)
    progress(2, 5, "making evaluation items")
    tasks = TaskExamples(section, found, scratch, book, earlier.examined)
    general, evaluation = tasks.general(), tasks.evaluation(task_sources)
    index = Index([*earlier.exam, *evaluation, *general], section.curation)
    progress(3, 5, "decontaminating")
    for name, spool in found.items():
        if name in task_sources:
            clean(spool, index, book, section.workers)
    for use in USES:
        assemble(_used_for(section, found, use), held, index, section.curation, book, section.workers)
    progress(4, 5, "making training examples")
    train, further, pairs = tasks.training(task_sources, out_dir / "students.jsonl")
    examples = Examples(train, further, evaluation, general, pairs)
    _write(out_dir, examples)
    outcome = Outcome(found, examples, near.pairs, near.compared, near.alarms, near.near, missing)
    card = write_output(out_dir, section, outcome, book)
    if section.inbox is not None:
        write_index(out_dir, section, earlier, [*evaluation, *general], book.removed)
    progress(5, 5, "done")
    return card


def _load(
    section: CurateSection, written: Artifact | None, earlier: Earlier, scratch: Path, book: Book
) -> tuple[Found, list[str]]:
    """Documents by source: the corpus's and, where the recipe wants them, the writer's."""
    found: Found = {}
    missing: list[str] = []
    if section.inbox is not None and section.corpus is not None:
        note_unread(section.corpus, section.inbox, section.sources, book)
    with TextPool(section, section.workers) as pool:
        for name, source in section.sources.items():
            if section.corpus is not None and not find_files(section.corpus, source.path):
                missing.append(name)
            raws = _rows(name, section, written, book, built_in=not earlier.layers)
            found[name] = spooled(name, source, raws, section.curation, book, pool, scratch)
            drop_removed(found[name], section.removals, book)
    for use in USES:
        filled = [spool for spool in _used_for(section, found, use).values() if spool.stays.any()]
        for spool in filled:
            share = section.curation.max_pretraining_chars // len(filled)
            within_budget(spool, share, section.curation.seed, book)
    return found, missing


def _rows(name: str, section: CurateSection, written: Artifact | None, book: Book, built_in: bool) -> Iterator[Raw]:
    """A source's rows: the corpus's, then the writer's; where there is neither, what the house has ``built_in``."""
    none = True
    if section.corpus is not None:
        for raw in rows_of_corpus(name, section.sources[name], section.corpus, book):
            none = False
            yield raw
    if written is not None and f"{name}.jsonl" in written.files and _takes_written(section, name):
        for raw in rows_of_writer(written.file(f"{name}.jsonl")):
            none = False
            yield raw
    if none and built_in:
        yield from _built_in(section, name)


def _used_for(section: CurateSection, found: Found, use: str) -> Found:
    return {name: found[name] for name, source in section.sources.items() if source.use == use}


def _takes_written(section: CurateSection, name: str) -> bool:
    """The writer's documents stand in for a corpus; beside one they only add to training."""
    if section.corpus is None:
        return True
    return section.augment and any(task.source == name and task.suite == "vertical" for task in section.tasks.values())


def _built_in(section: CurateSection, name: str) -> Iterable[Raw]:
    """The house's own questions and texts, for a general suite or replay that no corpus feeds."""
    general = any(task.source == name and task.suite == "general" for task in section.tasks.values())
    file = BUILT_IN_QUESTIONS if general else BUILT_IN_TEXTS if section.sources[name].use == "replay" else None
    if file is not None:
        for row in read_rows(file, f"built in/{file.name}", lambda *_: None):
            path = section.sources[name].text if general else "text"
            yield Raw(f"{name}/{row['id']}", text_of(lookup(row, path)), "", None, dict(row), BUILT_IN_LICENCE, False)


def _write(out_dir: Path, examples: Examples) -> None:
    write_jsonl(out_dir / "train.jsonl", examples.train)
    write_jsonl(out_dir / "eval.jsonl", examples.evaluation)
    write_jsonl(out_dir / "general.jsonl", examples.general)
    write_jsonl(out_dir / "pairs.jsonl", examples.pairs)


if __name__ == "__main__":
    stage_main(curate, CurateSection)
