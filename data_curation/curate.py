"""The curation stage: documents in; pretraining text, examples, pairs and a card out; every reject with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import recipes
from contracts.artifacts import Artifact, describe
from contracts.documents import ChatExample, PreferencePair, write_jsonl
from contracts.reports import CurationCard
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from data_curation.candidates import Book, close_book, open_book
from data_curation.card import Examples, Found, Outcome
from data_curation.card_page import render_card
from data_curation.card_sum import metrics_of
from data_curation.coverage import check_requirements
from data_curation.decontamination import Index
from data_curation.duplicates import Pair, find_clusters, large_clusters, refuse_collapse
from data_curation.earlier import Earlier, earlier_of
from data_curation.examples import check_prompts, examples_of, without_repeats
from data_curation.field_paths import lookup, text_of
from data_curation.guard import Compared, compared_by
from data_curation.inbox_files import note_unread
from data_curation.known import settled, without_known
from data_curation.layer_index import by_facts, write_index
from data_curation.loading import (
    Raw,
    candidates,
    check_licences,
    require_documents,
    rows_of_corpus,
    rows_of_writer,
)
from data_curation.output import write_output
from data_curation.personal_data import allow_list
from data_curation.preferences import closed_sets, pairs_of
from data_curation.reading import find_files, read_rows, require_corpus
from data_curation.removal import without_removed
from data_curation.shards import Shards, assemble, clean, within_budget
from data_curation.splitting import drop_near_duplicates, held_out_entities, position, split
from data_curation.text_steps import text_steps
from recipes.stage_sections import CurateSection

CODE_VERSION = "7"
T = TypeVar("T")
Duplicates = tuple[list[Pair], Counter[str], dict[str, Compared], list[str]]
"""Pairs that fell, clusters by source, how each source was compared, and clusters to look at."""
BUILT_IN_LICENCE = "Apache-2.0"
BUILT_IN_QUESTIONS = Path(recipes.__file__).parent / "general" / "questions.jsonl"
BUILT_IN_TEXTS = Path(recipes.__file__).parent / "general" / "texts.jsonl"


def curate(section: CurateSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Inputs: ``written`` (the writer's documents by source), optional where a corpus is given; of an inbox the earlier
    layers (``earlier``), with which the documents are compared.

    Writes pretraining, replay (each with a held-out part), train, students (further examples, for distillation only),
    eval, general, pairs, rejected, quarantine (jsonl), the card (json, html), documents.parquet (what became of every
    document) and the folder dataset (Parquet shards for others); of an inbox also the folder index, for the next layer.
    Metrics: documents read, accepted and rejected, characters, examples by split, pairs.
    Raises LicenceError, InputError (no corpus, nothing readable) and GateError (near-duplicates past the ceiling, too
    little of what the corpus must cover).
    """
    check_requirements(section.curation.require_coverage, section.ontology)
    check_licences(section.sources, section.curation)
    check_prompts(section.tasks)
    if section.corpus is not None:
        require_corpus(section.corpus)
    earlier = earlier_of(inputs)
    book = open_book(out_dir)
    try:
        card = _curated(section, inputs.get("written"), earlier, out_dir, book)
    finally:
        close_book(book)
    (out_dir / "card.json").write_text(card.model_dump_json(indent=2), encoding="utf-8")
    (out_dir / "card.html").write_text(render_card(card, out_dir), encoding="utf-8")
    return describe(out_dir, "corpus", metrics_of(card)), Usage()


def _curated(
    section: CurateSection, written: Artifact | None, earlier: Earlier, out_dir: Path, book: Book
) -> CurationCard:
    progress(0, 5, "reading documents")
    found, missing = _load(section, written, earlier, book)
    suites = {task.source for task in section.tasks.values() if task.suite == "general"}
    task_sources = {task.source for task in section.tasks.values()} - suites
    wanted = set(found) if section.inbox else task_sources  # a drop of plain text is worth curating by itself
    if not earlier.layers:  # a later drop may hold nothing that can be read: its card says so
        require_documents(found, wanted, str(section.corpus or "the writer's documents"))
    progress(1, 5, "splitting and comparing")
    found, held, duplicates = _split_and_compare(section, found, suites, earlier, book)
    progress(2, 5, "making evaluation items")
    general = _general(section, found, earlier, book)
    evaluation = _evaluation(section, found, task_sources, earlier, book)
    index = Index([*earlier.exam, *evaluation, *general], section.curation)
    progress(3, 5, "decontaminating")
    for name in task_sources & found.keys():
        found[name] = clean(found[name], index, book)
    shards = {use: _shards(section, found, use, held, index, book) for use in ("pretraining", "replay")}
    progress(4, 5, "making training examples")
    train, further, pairs = _training(section, found, task_sources, book)
    examples = Examples(train, further, evaluation, general, pairs)
    _write(out_dir, shards, examples)
    progress(5, 5, "done")
    card = write_output(out_dir, section, Outcome(found, shards, examples, *duplicates, missing), book)
    if section.inbox is not None:
        write_index(out_dir, section, earlier, [*evaluation, *general])
    return card


def _load(section: CurateSection, written: Artifact | None, earlier: Earlier, book: Book) -> tuple[Found, list[str]]:
    """Candidates by source: the corpus's and, where the recipe wants them, the writer's."""
    found: Found = {}
    missing: list[str] = []
    allowed = allow_list(section.identifiers)
    if section.inbox is not None and section.corpus is not None:
        note_unread(section.corpus, section.inbox, section.sources, book)
    for name, source in section.sources.items():
        raws: list[Raw] = []
        if section.corpus is not None:
            if not find_files(section.corpus, source.path):
                missing.append(name)
            raws += rows_of_corpus(name, source, section.corpus, book)
        if written is not None and f"{name}.jsonl" in written.files and _takes_written(section, name):
            raws += rows_of_writer(written.file(f"{name}.jsonl"))
        if not raws and not earlier.layers:
            raws += _built_in(section, name)
        passed = candidates(name, source, raws, section.curation, book, text_steps(name, section, allowed))
        found[name] = without_removed(passed, section.removals, book)
    for use in ("pretraining", "replay"):
        filled = [name for name, source in section.sources.items() if source.use == use and found[name]]
        for name in filled:
            share = section.curation.max_pretraining_chars // len(filled)
            found[name] = within_budget(found[name], share, section.curation.seed, book)
    return found, missing


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
            yield Raw(f"{name}/{row['id']}", text_of(lookup(row, path)), "", None, row, BUILT_IN_LICENCE, False)


def _split_and_compare(
    section: CurateSection, found: Found, suites: set[str], earlier: Earlier, book: Book
) -> tuple[Found, set[str], Duplicates]:
    """The split first, then near-duplicates: of a cluster that lies on both sides the training members go."""
    curation = section.curation
    task_sources = {task.source for task in section.tasks.values()} - suites
    measured = {
        name: [c for c in found[name] if section.corpus is None or not c.document.synthetic] for name in task_sources
    }
    held = held_out_entities(measured.values(), curation.seed, curation.holdout_share)
    held = settled(held, found, earlier, curation)
    samples: list[Pair] = []
    clusters: Counter[str] = Counter()
    compared: dict[str, Compared] = {}
    alarms: list[str] = []
    kept: Found = {}
    for name, members in found.items():
        if name in suites:
            kept[name] = members
            continue
        if name in task_sources:
            members = split(members, held, section.corpus is None, curation, book)
        apart = by_facts(section, name)
        members, known = without_known(members, section.sources[name].use, apart, earlier, curation, book)
        compared[name] = compared_by(members, curation, apart)
        groups = find_clusters(members, curation, tell_reports_apart=apart)
        alarms += large_clusters(name, members, groups, curation)
        kept[name], pairs = drop_near_duplicates(members, groups, book)
        refuse_collapse(name, len(pairs), len(members), curation)
        clusters[name] = len(groups.groups)
        samples += [*known, *pairs]
    return kept, held, (samples, clusters, compared, alarms)


def _general(section: CurateSection, found: Found, earlier: Earlier, book: Book) -> list[ChatExample]:
    """The whole general suite, in an order whose beginning is a fair sample: evaluation asks the first ones."""
    general = [
        (name, task) for name, task in section.tasks.items() if task.suite == "general" and name not in earlier.examined
    ]
    made = [
        example
        for name, task in general
        for candidate in found.get(task.source, [])
        for example in examples_of(name, task, candidate, section.system_prompt, book)
    ]
    return _capped(made, section, len(made))


def _evaluation(
    section: CurateSection, found: Found, task_sources: set[str], earlier: Earlier, book: Book
) -> list[ChatExample]:
    """Items from held-out documents; where a corpus is given, from real ones only."""
    made: list[ChatExample] = []
    for name, task in section.tasks.items():
        if task.source in task_sources and name not in earlier.examined:
            heldout = (c for c in found[task.source] if c.heldout)
            examples = [e for c in heldout for e in examples_of(name, task, c, section.system_prompt, book)]
            made += _capped(examples, section, section.curation.max_eval)
    return made


def _training(
    section: CurateSection, found: Found, task_sources: set[str], book: Book
) -> tuple[list[ChatExample], list[ChatExample], list[PreferencePair]]:
    """Training and further examples, and pairs; tasks in turn: whoever takes the first ones gets some of each."""
    train: list[list[ChatExample]] = []
    further: list[list[ChatExample]] = []
    pairs: list[list[PreferencePair]] = []
    for name, task in section.tasks.items():
        if task.source not in task_sources:
            continue
        rows = {c.document.id: c.row for c in found[task.source] if not c.heldout}
        open_to_training = (c for c in found[task.source] if not c.heldout)
        made = [e for c in open_to_training for e in examples_of(name, task, c, section.system_prompt, book)]
        kept, rest = shared_out(_capped(made, section, len(made)), section.tuning_documents, task.max_train)
        train.append(kept)
        further.append(rest)
        labels = closed_sets(kept)
        pairs.append([pair for e in kept for pair in pairs_of(e, task, rows[e.document_id], labels)])
    return in_turn(train), in_turn(further), in_turn(pairs)


def shared_out(
    examples: list[ChatExample], documents: int | None, most: int
) -> tuple[list[ChatExample], list[ChatExample]]:
    """A task's examples for tuning, at most ``most``, and all others, in the order given.

    Of the writer's documents the first ``documents`` are for tuning (None: all of them): more would drown the real
    ones. A student needs many more examples than its teacher did, and gets the rest as well.
    """
    written = list(dict.fromkeys(one.document_id for one in examples if one.synthetic))
    admitted = set(written if documents is None else written[:documents])
    tuning = [one for one in examples if not one.synthetic or one.document_id in admitted][:most]
    taken = {one.id for one in tuning}
    return tuning, [one for one in examples if one.id not in taken]


def in_turn(lists: list[list[T]]) -> list[T]:
    """One of each list in turn, until all are used up."""
    return [one for each in zip_longest(*lists) for one in each if one is not None]


def _capped(examples: list[ChatExample], section: CurateSection, most: int) -> list[ChatExample]:
    """Different examples, real before synthetic, in an order that looks random and never changes."""
    seed = section.curation.seed
    ordered = sorted(without_repeats(examples), key=lambda one: (one.synthetic, position(seed, one.id)))
    return ordered[:most]


def _shards(section: CurateSection, found: Found, use: str, held: set[str], index: Index, book: Book) -> Shards:
    of_use = {name: found[name] for name, source in section.sources.items() if source.use == use}
    return assemble(of_use, held, index, section.curation, book)


def _write(out_dir: Path, shards: dict[str, Shards], examples: Examples) -> None:
    for use, shard in shards.items():
        write_jsonl(out_dir / f"{use}.jsonl", shard.training)
        write_jsonl(out_dir / f"{use}_heldout.jsonl", shard.heldout)
    write_jsonl(out_dir / "train.jsonl", examples.train)
    write_jsonl(out_dir / "students.jsonl", examples.further)
    write_jsonl(out_dir / "eval.jsonl", examples.evaluation)
    write_jsonl(out_dir / "general.jsonl", examples.general)
    write_jsonl(out_dir / "pairs.jsonl", examples.pairs)


if __name__ == "__main__":
    stage_main(curate, CurateSection)
