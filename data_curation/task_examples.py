"""What the tasks make of the documents: the general suite, evaluation items, training examples and pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from contracts.documents import ChatExample, PreferencePair
from data_curation.candidates import Book
from data_curation.example_file import ExampleFile
from data_curation.examples import examples_of
from data_curation.preferences import closed_sets, pairs_of
from data_curation.spool import Found, Mask, Spool
from recipes.schema import Task
from recipes.stage_sections import CurateSection

T = TypeVar("T")
Training = tuple[list[ChatExample], Counter[str], list[PreferencePair]]
"""Examples to tune on, how many more each task gave, and pairs."""


class TaskExamples:
    """Makes the examples of a section; ``scratch`` takes them until it is known which are wanted."""

    def __init__(
        self, section: CurateSection, found: Found, scratch: Path, book: Book, examined: Container[str] = ()
    ) -> None:
        self._section, self._found, self._scratch, self._book = section, found, scratch, book
        self._examined = examined
        """Tasks whose evaluation items are there already, of earlier layers of an inbox."""

    def general(self) -> list[ChatExample]:
        """The whole general suite, in an order whose beginning is a fair sample: evaluation asks the first ones."""
        general = {name: task for name, task in self._section.tasks.items() if task.suite == "general"}
        tasks = {name: task for name, task in general.items() if name not in self._examined}
        made = self._made(tasks, heldout=None)
        return [example for example, _ in made.read(made.ordered())]

    def evaluation(self, task_sources: set[str]) -> list[ChatExample]:
        """Items from held-out documents; where a corpus is given, from real ones only."""
        chosen: list[ChatExample] = []
        for name, task in self._section.tasks.items():
            if task.source in task_sources and name not in self._examined:
                made = self._made({name: task}, heldout=True)
                chosen += [one for one, _ in made.read(made.ordered()[: self._section.curation.max_eval])]
        return chosen

    def training(self, task_sources: set[str], students: Path) -> Training:
        """Tasks in turn: whoever takes the first ones gets some of each. Further ones go to the file ``students``."""
        train: list[list[ChatExample]] = []
        pairs: list[list[PreferencePair]] = []
        further: list[Iterator[str]] = []
        counts: Counter[str] = Counter()
        for name, task in self._section.tasks.items():
            if task.source not in task_sources:
                continue
            made = self._made({name: task}, heldout=False)
            tuning, rest = made.shared_out(made.ordered(), self._section.tuning_documents, task.max_train)
            kept = list(made.read(tuning))
            labels = closed_sets([one for one, _ in kept])
            train.append([one for one, _ in kept])
            pairs.append([pair for one, wrong in kept for pair in pairs_of(one, task, {"wrong": wrong}, labels)])
            further.append(made.lines(rest))
            counts.update({name: len(rest)} if len(rest) else {})
        with students.open("w", encoding="utf-8") as out:
            out.writelines(in_turn(further))
        return list(in_turn(train)), counts, list(in_turn(pairs))

    def _made(self, tasks: dict[str, Task], heldout: bool | None) -> ExampleFile:
        """The examples of documents of one side of the split (None: of both)."""
        made = ExampleFile(self._scratch / f"{'-'.join(tasks)}-{heldout}.jsonl", self._section.curation.seed)
        for name, task in tasks.items():
            spool = self._found.get(task.source)
            for candidate in spool.candidates(_side(spool, heldout)) if spool is not None else ():
                examples = examples_of(name, task, candidate, self._section.system_prompt, self._book)
                made.add(examples, candidate.row.get("wrong"))
        made.close()
        return made


def in_turn(lists: Iterable[Iterable[T]]) -> Iterator[T]:
    """One of each list in turn, until all are used up."""
    return (one for each in zip_longest(*lists) for one in each if one is not None)


def _side(spool: Spool, heldout: bool | None) -> Mask:
    return spool.stays if heldout is None else spool.stays & (spool.heldout == heldout)
