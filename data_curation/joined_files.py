"""The files of a joined corpus, from those of its layers. Whoever has nothing to take out is copied or linked whole."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.artifacts import Artifact
from contracts.documents import Document, Origin
from data_curation.candidates import Book, Candidate
from data_curation.dataset import COLUMNS, FOLDER, ROW_GROUP
from data_curation.joined_card import Fallen, Gone
from data_curation.shard_files import PARTS, batches_of, files_of
from data_curation.trace import COLUMNS as TRACE
from data_curation.trace import FILE

Verdict = tuple[str, str, str]
"""Step, reason, detail of a document that does not enter the whole."""
TEXTS = ("pretraining", "pretraining_heldout", "replay", "replay_heldout")
EXAMPLES = ("train", "students", "eval", "general")
Verdicts = Sequence[Mapping[str, Verdict]]
Row = dict[str, Any]


def join_lines(layers: Sequence[Artifact], verdicts: Verdicts, out_dir: Path, book: Book, gone: Gone) -> None:
    """The jsonl files; ``gone`` hears of examples and pairs that went with their documents."""
    for name in TEXTS:
        _join(layers, verdicts, out_dir / f"{name}.jsonl", lambda row: str(row["id"]), lambda _: None)
    for name in EXAMPLES:
        tally = gone.examples.setdefault(name, Counter())
        _join(layers, verdicts, out_dir / f"{name}.jsonl", lambda row: str(row["document_id"]), _counted(tally))
    tally = gone.examples.setdefault("pairs", Counter())
    _join(layers, verdicts, out_dir / "pairs.jsonl", _document_of_pair, _counted(tally))
    for layer in layers:
        for name, out in (("rejected", book.rejected_out), ("quarantine", book.quarantine_out)):
            with layer.file(f"{name}.jsonl").open(encoding="utf-8") as lines:
                shutil.copyfileobj(lines, out)


def join_shards(layers: Sequence[Artifact], verdicts: Verdicts, out_dir: Path) -> tuple[list[dict[str, str]], Any]:
    """The Parquet shards; returns a layer each its shards' new names, and the new names by use."""
    shutil.rmtree(out_dir / FOLDER, ignore_errors=True)  # a killed attempt may have left shards
    (out_dir / FOLDER / "data").mkdir(parents=True)
    names: list[dict[str, str]] = [{} for _ in layers]
    files: dict[str, list[str]] = {}
    for part in PARTS:
        found = [
            (number, path)
            for number, layer in enumerate(layers)
            for path in files_of(layer.path, part)
            if _left(path, verdicts[number])
        ]
        for place, (number, path) in enumerate(found):
            name = f"data/{part}-{place:05d}-of-{len(found):05d}.parquet"
            _put(path, verdicts[number], out_dir / FOLDER / name)
            names[number][f"{FOLDER}/data/{path.name}"] = f"{FOLDER}/{name}"
            files.setdefault(part.partition("-")[0], []).append(name)
    return names, files


def join_trace(
    layers: Sequence[Artifact], verdicts: Verdicts, names: Sequence[Mapping[str, str]], out_dir: Path
) -> None:
    """``documents.parquet``: shards by their new names, and what went with its reason."""
    with pq.ParquetWriter(out_dir / FILE, TRACE, compression="zstd") as out:
        for layer, gone, renamed in zip(layers, verdicts, names, strict=True):
            rows: Counter[str] = Counter()
            for batch in pq.ParquetFile(layer.file(FILE)).iter_batches():
                table = pa.Table.from_batches([batch])
                out.write_table(_retold(table, gone, renamed, rows) if gone else _renamed(table, renamed))


def fallen(layers: Sequence[Artifact], verdicts: Verdicts, book: Book) -> Iterator[Fallen]:
    """Documents that went, each written into the book as it comes."""
    for layer, gone in zip(layers, verdicts, strict=True):
        wanted = pc.field("id").isin(pa.array(sorted(gone), pa.string()))
        for part in PARTS if gone else ():
            for batch in batches_of(layer.path, part, chosen=wanted):
                for row in batch.to_pylist():
                    document = _document(row)
                    book.reject(Candidate(document, {}), *gone[document.id])
                    yield Fallen(document, gone[document.id][1], part)


def _join(
    layers: Sequence[Artifact], verdicts: Verdicts, target: Path, key: Callable[[Row], str], lost: Callable[[Row], None]
) -> None:
    with target.open("wb") as out:
        for layer, gone in zip(layers, verdicts, strict=True):
            with layer.file(target.name).open("rb") as lines:
                if not gone:
                    shutil.copyfileobj(lines, out)
                    continue
                for line in lines:
                    row = json.loads(line)
                    if key(row) in gone:
                        lost(row)
                    else:
                        out.write(line)


def _counted(tally: Counter[str]) -> Callable[[Row], None]:
    return lambda row: tally.update([row["task"]])


def _document_of_pair(pair: Row) -> str:
    """A pair's id is task/document/number/fault/field, and the document's id may hold slashes."""
    return str(pair["id"]).removeprefix(f"{pair['task']}/").rsplit("/", 3)[0]


def _left(path: Path, gone: Mapping[str, Verdict]) -> bool:
    """Whether anything of a shard stays."""
    return not gone or any(one not in gone for one in pq.read_table(path, columns=["id"])["id"].to_pylist())


def _put(path: Path, gone: Mapping[str, Verdict], target: Path) -> None:
    """A shard as it is, or without some of its rows."""
    if gone and any(one in gone for one in pq.read_table(path, columns=["id"])["id"].to_pylist()):
        taken = pa.array(sorted(gone), pa.string())
        with pq.ParquetWriter(target, COLUMNS, compression="zstd") as out:
            table = pq.read_table(path, schema=COLUMNS)
            out.write_table(table.filter(pc.invert(pc.is_in(table["id"], taken))), row_group_size=ROW_GROUP)
        return
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, target)


def _renamed(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    shards = table["shard"].combine_chunks().dictionary_encode()
    told = pa.array([names.get(one) for one in shards.dictionary.to_pylist()], pa.string())
    column = table.schema.get_field_index("shard")
    return table.set_column(column, TRACE.field("shard"), told.take(shards.indices))


def _retold(table: pa.Table, gone: Mapping[str, Verdict], names: Mapping[str, str], rows: Counter[str]) -> pa.Table:
    told = []
    for row in table.to_pylist():
        if row["outcome"] == "accepted" and row["id"] in gone:
            stage, reason, detail = gone[row["id"]]
            row |= {
                "outcome": "rejected",
                "stage": stage,
                "reason": reason,
                "detail": detail,
                "shard": None,
                "row": None,
            }
        elif row["outcome"] == "accepted":
            row["shard"] = names[row["shard"]]
            row["row"] = rows[row["shard"]]
            rows[row["shard"]] += 1
        told.append(row)
    return pa.Table.from_pylist(told, schema=TRACE)


def _document(row: Row) -> Document:
    origin = row["file"] and Origin(file=row["file"], start=row["start"], end=row["end"], part=row["part"] or "")
    plain = ("id", "text", "source", "licence", "entity", "date", "synthetic")
    return Document(**{name: row[name] for name in plain}, origin=origin or None)
