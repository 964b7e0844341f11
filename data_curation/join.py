"""The layers of an inbox as one corpus: what training, ``curate show`` and other people read.

Files are put one after the other in the order of the layers, shards are linked where they need no change. Two things
are judged anew, as a layer could not know them: training text that holds an evaluation item of a later layer goes, and
so does what is over ``max_pretraining_chars`` in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds

from contracts.artifacts import Artifact, broken_files, describe
from contracts.documents import ChatExample, read_jsonl
from contracts.errors import InputError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from data_curation.candidates import close_book, open_book
from data_curation.card_page import write_card
from data_curation.card_samples import samples_of
from data_curation.card_sum import card_of_layers, metrics_of
from data_curation.coverage import refuse_gaps
from data_curation.dataset import Shards, describe_dataset
from data_curation.decontamination import Index
from data_curation.earlier import EXAM, FOLDER
from data_curation.guard import check_split
from data_curation.joined_card import Gone, without
from data_curation.joined_files import Verdict, fallen, join_lines, join_shards, join_trace
from data_curation.layer_inputs import layers_of
from data_curation.reasons import explained
from data_curation.shard_files import batches_of
from data_curation.shards import told_of
from data_curation.splitting import position
from data_curation.trace import FILE
from recipes.schema import Curation
from recipes.stage_sections import JoinSection

CODE_VERSION = "2"
Verdicts = list[dict[str, Verdict]]
"""A layer each: document id to why it does not enter the whole."""


def join(section: JoinSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Inputs: the layers, ``layer-...`` in order. Writes what ``curate`` writes.

    Raises InputError for a damaged layer and GateError where the whole covers less than is required.
    """
    layers = layers_of(inputs)
    progress(0, 3, "checking the layers")
    for layer in layers:
        broken = broken_files(layer)
        if broken:
            hint = "the next curation makes the layer again"
            raise InputError(str(layer.path), "is damaged", got=", ".join(broken[:5]), hint=hint)
    progress(1, 3, "decontaminating")
    verdicts = contaminated(layers, section.curation)
    for use in ("pretraining", "replay"):
        _over_budget(layers, use, section.curation, verdicts)
    progress(2, 3, "joining")
    names, files = join_shards(layers, verdicts, out_dir)
    gone = Gone()
    book = open_book(out_dir)
    try:
        join_lines(layers, verdicts, out_dir, book, gone)
        gone.look(fallen(layers, verdicts, book), section.ontology, section.inbox)
    finally:
        close_book(book)
    join_trace(layers, verdicts, names, out_dir)
    card = without(card_of_layers(layers), gone)
    fell = explained((reason for one in card.sources for reason in one.rejected), section.curation, {})
    card = card.model_copy(update={"explanations": card.explanations | fell})
    shards = Shards(files, {use: sorted({name.split("-")[1] for name in found}) for use, found in files.items()}, {})
    describe_dataset(out_dir, section.vertical, shards, card, section.inbox, section.curated_on)
    check_split(out_dir, section.curation, {})
    refuse_gaps(card.coverage)
    write_card(out_dir, card, samples_of(out_dir, card))
    return describe(out_dir, "corpus", metrics_of(card)), Usage()


def contaminated(layers: Sequence[Artifact], curation: Curation) -> Verdicts:
    """Training documents that hold an evaluation item younger than they are; most layers have none to look for."""
    exams = [list(read_jsonl(layer.file(f"{FOLDER}/{EXAM}"), ChatExample)) for layer in layers]
    index = Index(exams[-1], curation)
    found: Verdicts = [{} for _ in layers]
    for number, layer in enumerate(layers):
        if len(exams[number]) == len(exams[-1]):
            break  # the exam only grows: this layer and all after it were compared with the whole of it
        for batch in batches_of(layer.path, "*-train", ["id", "text"]):
            matches = index.find_all(batch["text"].to_pylist())
            for identity, match in zip(batch["id"].to_pylist(), matches, strict=True):
                if match is not None:
                    found[number][identity] = "decontamination", "contaminated", told_of(match)
    return found


def _over_budget(layers: Sequence[Artifact], use: str, curation: Curation, verdicts: Verdicts) -> None:
    """A sample of every source within its share, as ``shards.within_budget`` takes it of one corpus."""
    sources: dict[str, list[tuple[str, int, int]]] = {}
    for number, layer in enumerate(layers):
        for identity, source, chars in _accepted(layer, use):
            if identity not in verdicts[number]:
                sources.setdefault(source, []).append((identity, chars, number))
    share = curation.max_pretraining_chars // max(1, len(sources))
    for documents in sources.values():
        room = share
        for identity, chars, number in sorted(documents, key=lambda one: position(curation.seed, f"room/{one[0]}")):
            if chars <= room:
                room -= chars
            else:
                told = f"this source's share is {share}"
                verdicts[number][identity] = "size", "over_max_pretraining_chars", told


def _accepted(layer: Artifact, use: str) -> Iterator[tuple[str, str, int]]:
    """Id, source and characters of the accepted documents of one use, written ones too."""
    of_use = (pc.field("outcome") == "accepted") & pc.match_substring(pc.field("shard"), f"/{use}-")
    table = ds.dataset(layer.file(FILE)).to_table(["id", "source", "chars"], filter=of_use)
    yield from zip(*(table[name].to_pylist() for name in table.column_names), strict=True)


if __name__ == "__main__":
    stage_main(join, JoinSection)
