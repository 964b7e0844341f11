"""What happens to one text, whatever the others are: normalised, personal data out, cut, judged, hashed.

A batch of rows in Arrow goes in, a batch of documents in Arrow comes out, with why each falls that falls. What becomes
of a row depends on the row and the section alone, so any process may do it, in batches of any size.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as as_json
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import RecipeError
from data_curation.arrivals import Fault
from data_curation.content_loop import HASH_BYTES, content_hashes
from data_curation.kernel import texts_of
from data_curation.lineage import origin_of
from data_curation.normal_loop import normalised_texts
from data_curation.normalising import cut, parts, without_boilerplate
from data_curation.personal_data import Cleaned, allow_list
from data_curation.splitting import entity_key, is_late, name_hash, place
from data_curation.spool import AS_JSON, BODY, FACTS
from data_curation.text_steps import Reason, TextSteps, TextTally, text_steps
from recipes.schema import Source
from recipes.stage_sections import CurateSection

BATCH_DOCUMENTS = 1_024
BATCH_CHARS = 4 << 20
"""A batch ends with the document that brings it to either."""
ARRIVED = pa.schema(
    [
        ("identity", pa.string()), ("text", pa.large_string()), ("entity", pa.string()), ("date", pa.string()),
        ("row", pa.large_string()), ("text_key", pa.string()), ("licence", pa.string()), ("synthetic", pa.bool_()),
        ("file", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("part", pa.string()),
        ("fault", pa.string()), ("fault_detail", pa.string()),
    ]
)  # fmt: skip
"""``row`` as JSON; where ``text_key`` is not empty, without that key, whose value is the text."""
SHAPED = pa.schema(
    [
        *BODY, ("facts", pa.binary(FACTS.itemsize)), ("content", pa.binary(HASH_BYTES)),
        ("step", pa.string()), ("reason", pa.string()), ("detail", pa.string()),
    ]
)  # fmt: skip
"""BODY, a row of FACTS, the hash that exact duplicates share, and why the document falls (null: it may stay)."""
RECORDED = ("licence", "entity", "date", "synthetic", "file", "start", "end", "part")
LONG_TEXT = 1_000
"""A shorter text may be metadata, too, whose order counts: it stays in its row."""
ROW_AS_JSON = json.JSONEncoder(default=str).encode


class Raw(NamedTuple):
    """What a source gave, before anything was done to it."""

    identity: str
    text: str
    entity: str
    date: str | None
    row: dict[str, Any]
    licence: str
    synthetic: bool
    fault: Fault | None = None
    """Why it falls as it arrives, whatever its text."""


def batched(raws: Iterable[Raw]) -> Iterator[pa.RecordBatch]:
    """Batches of ARRIVED."""
    rows: list[tuple[Any, ...]] = []
    chars = 0
    for raw in raws:
        rows.append(_arrived(raw))
        chars += len(raw.text)
        if len(rows) == BATCH_DOCUMENTS or chars >= BATCH_CHARS:
            yield _batch(rows, ARRIVED)
            rows, chars = [], 0
    if rows:
        yield _batch(rows, ARRIVED)


class Shaper:
    """Shapes batches of any source of a section."""

    def __init__(self, section: CurateSection) -> None:
        self._section = section
        self._allowed = allow_list(section.identifiers)
        self._shapes: dict[str, _Shape] = {}

    def shaped(self, name: str, arrived: pa.RecordBatch) -> tuple[pa.RecordBatch, TextTally]:
        """The documents (SHAPED) of a batch of a source's rows (ARRIVED), and what their texts held.

        Raises RecipeError where one of the source's ``drop_lines`` is no regular expression.
        """
        if name not in self._shapes:
            source = self._section.sources[name]
            steps = text_steps(name, self._section, self._allowed)
            self._shapes[name] = _Shape(name, source, self._section, steps, compiled(name, source))
        return self._shapes[name].shaped(arrived)


@dataclass(frozen=True)
class _Shape:
    """How one source's rows are shaped."""

    name: str
    source: Source
    section: CurateSection
    steps: TextSteps
    drop_lines: tuple[re.Pattern[str], ...]

    def shaped(self, arrived: pa.RecordBatch) -> tuple[pa.RecordBatch, TextTally]:
        tally = TextTally()
        rows = self._rows(arrived)
        texts, found = self.steps.without_personal_data(self._plain(arrived["text"]), rows, tally)
        early = self._early(arrived, found)
        about, facts = self._about(arrived, rows), self._facts(arrived)
        pieces, lengths, whole = self._pieces(texts)
        if whole is not None:
            about, facts, early = about.take(pa.array(whole)), facts[whole], [early[number] for number in whole]
            about = about.set_column(0, "id", _numbered(about["id"], whole))
        reasons, facts["tokens"] = self.steps.judged(pieces, early, tally)
        facts["chars"] = lengths
        return _shaped(about.add_column(1, BODY.field("text"), pieces), facts, content_hashes(pieces), reasons), tally

    def _rows(self, arrived: pa.RecordBatch) -> list[dict[str, Any]]:
        """The rows; those that only their metadata are needed of without a long text."""
        rows: list[dict[str, Any]] = [json.loads(row) for row in arrived["row"].to_pylist()]
        if is_whole(self.source) or self.steps.tasks or self.steps.person_fields:
            for row, key, text in zip(rows, arrived["text_key"].to_pylist(), arrived["text"].to_pylist(), strict=True):
                if key:
                    row[key] = text
        return rows

    def _plain(self, texts: pa.Array) -> pa.Array:
        """Normalised, and without the source's boilerplate."""
        plain = normalised_texts(texts)
        if not (self.source.cut_before or self.drop_lines):
            return plain
        return texts_of(
            [without_boilerplate(text, self.source.cut_before, self.drop_lines) for text in plain.to_pylist()]
        )

    def _early(self, arrived: pa.RecordBatch, found: dict[int, Cleaned]) -> list[Reason | None]:
        """Why a row falls whatever its text's quality."""
        early: list[Reason | None] = [None] * len(arrived)
        if self.steps.personal_data == "reject":
            for number, clean in found.items():
                counts = ", ".join(f"{kind} {count}" for kind, count in sorted(clean.found.items()))
                early[number] = "personal_data", "personal_data", counts
        if arrived["fault"].null_count < len(arrived):
            told = zip(arrived["fault"].to_pylist(), arrived["fault_detail"].to_pylist(), strict=True)
            for number, (fault, detail) in enumerate(told):
                if fault:
                    early[number] = "reading", fault, detail
        return early

    def _about(self, arrived: pa.RecordBatch, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        """Columns of BODY but for the text."""
        entity = pc.if_else(pc.equal(arrived["entity"], ""), arrived["identity"], arrived["entity"])
        columns = {name: arrived[name] for name in ("licence", "date", "synthetic", "file", "start", "end", "part")}
        columns |= {"id": arrived["identity"], "entity": entity}
        told = zip(*(columns[name].to_pylist() for name in RECORDED), rows, strict=True)
        columns["record"] = _strings([self._record(*one) for one in told], pa.large_string())
        kept = [ROW_AS_JSON(row) for row in rows] if is_whole(self.source) else ["{}"] * len(rows)
        columns["row"] = _strings(kept, pa.large_string())
        names = [name for name in BODY.names if name != "text"]
        return pa.RecordBatch.from_arrays([columns[name] for name in names], names)

    def _record(
        self, licence: str, entity: str, date: str | None, synthetic: bool, file: str | None, start: int | None,
        end: int | None, part: str | None, row: dict[str, Any],
    ) -> str:  # fmt: skip
        """All of a document's JSON line behind its text."""
        origin = "null"
        if file is not None:
            span = f'"start": {_scalar(start)}, "end": {_scalar(end)}, "part": {_scalar(part)}'
            origin = f'{{"file": {as_json(file)}, {span}}}'
        metadata = ", ".join(f"{as_json(key)}: {_scalar(value)}" for key, value in self.steps.metadata(row).items())
        return (
            f'"source": {as_json(self.name)}, "licence": {as_json(licence)}, "entity": {as_json(entity)}, '
            f'"date": {_scalar(date)}, "synthetic": {_scalar(synthetic)}, "origin": {origin}, '
            f'"metadata": {{{metadata}}}}}'
        )

    def _facts(self, arrived: pa.RecordBatch) -> NDArray[Any]:
        """Rows of FACTS; characters and tokens come later."""
        curation, whole = self.section.curation, is_whole(self.source)
        facts = np.zeros(len(arrived), FACTS)
        identities, named = arrived["identity"].to_pylist(), arrived["entity"].to_pylist()
        if whole or self.steps.tasks or any(named):
            alone = whole or bool(self.steps.tasks)
            told = zip(named, identities, strict=True)
            facts["entity"] = [
                place(curation.seed, entity_key(one or other)) if one or alone else 0 for one, other in told
            ]
            facts["named"] = [name_hash(one) for one in named]
        if not whole:
            facts["origin"] = [place(curation.seed, one.partition("@")[0]) for one in identities]
        facts["synthetic"] = arrived["synthetic"].to_numpy(zero_copy_only=False)
        if curation.holdout_from:
            facts["late"] = [is_late(date, curation) for date in arrived["date"].to_pylist()]
        return facts

    def _pieces(self, texts: pa.Array) -> tuple[pa.Array, NDArray[np.int64], list[int] | None]:
        """The texts in parts, the characters of each, and the number of its text; None where all are whole."""
        most, lengths = self.source.max_chars, pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        if lengths.max(initial=0) <= most:
            return texts, lengths, None
        whole = is_whole(self.source)
        cuts = [[cut(text, most)] if whole else list(parts(text, most)) or [""] for text in texts.to_pylist()]
        numbers = [number for number, those in enumerate(cuts) for _ in those]
        pieces = texts_of([piece for those in cuts for piece in those])
        return pieces, pc.utf8_length(pieces).to_numpy(zero_copy_only=False), numbers


def is_whole(source: Source) -> bool:
    """Whether a source's documents are never cut into parts: tasks read them."""
    return source.use not in ("pretraining", "replay")


def compiled(name: str, source: Source) -> tuple[re.Pattern[str], ...]:
    """A source's ``drop_lines``; raises RecipeError for one that is no regular expression."""
    try:
        return tuple(re.compile(rule, re.IGNORECASE) for rule in source.drop_lines)
    except re.error as error:
        raise RecipeError(
            f"sources.{name}.drop_lines", "is no regular expression", got=error, hint="escape ( ) [ ] . with \\"
        ) from None


def _arrived(raw: Raw) -> tuple[Any, ...]:
    row, key, origin = raw.row, "", origin_of(raw.row)
    if len(raw.text) >= LONG_TEXT:
        key = next((name for name, value in row.items() if value is raw.text), "")
        row = {name: value for name, value in row.items() if name != key} if key else row
    read_from = origin or (None, None, None, None)
    return (
        raw.identity, raw.text, raw.entity, raw.date, _row_as_json(row), key, raw.licence, raw.synthetic,
        *read_from, *(raw.fault or (None, None)),
    )  # fmt: skip


def _row_as_json(row: dict[str, Any]) -> str:
    told = []
    for key, value in row.items():
        if not isinstance(key, str) or not (value is None or isinstance(value, (str, int, float))):
            return ROW_AS_JSON(row)
        told.append(f"{as_json(key)}: {_scalar(value)}")
    return f"{{{', '.join(told)}}}"


def _numbered(identities: pa.Array, whole: list[int]) -> pa.Array:
    """The ids of parts: that of the whole and their number in it, where it has several."""
    several, parts_before = Counter(whole), Counter[int]()
    names = []
    for identity, number in zip(identities.to_pylist(), whole, strict=True):
        names.append(identity if several[number] == 1 else f"{identity}@{parts_before[number]}")
        parts_before[number] += 1
    return pa.array(names, pa.string())


def _scalar(value: str | float | None) -> str:
    """As JSON; what a JSON encoder does, without its preparations."""
    if isinstance(value, str) or value is None:
        return "null" if value is None else as_json(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return int.__repr__(value) if isinstance(value, int) else AS_JSON(value)


def _shaped(body: pa.RecordBatch, facts: NDArray[Any], content: bytes, reasons: list[Reason | None]) -> pa.RecordBatch:
    """A batch of SHAPED."""
    verdicts = [reason or (None, None, None) for reason in reasons]
    columns = [
        *body.columns, _fixed(facts.tobytes(), FACTS.itemsize), _fixed(content, HASH_BYTES),
        *(pa.array(column, pa.string()) for column in zip(*verdicts, strict=True)),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, schema=SHAPED)


def _fixed(data: bytes, size: int) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(size), len(data) // size, [None, pa.py_buffer(data)])


def _batch(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [_strings(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _strings(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """An array; half a surrogate pair, which UTF-8 cannot say, becomes ``?``."""
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([one and one.encode(errors="replace").decode() for one in values], kind)


def facts_of(shaped: pa.RecordBatch) -> NDArray[Any]:
    """The rows of FACTS of a batch of SHAPED."""
    column = shaped["facts"]
    return np.frombuffer(column.buffers()[1], FACTS, len(column), column.offset * FACTS.itemsize)


def content_of(shaped: pa.RecordBatch) -> NDArray[np.uint64]:
    """The hashes of a batch of SHAPED, (documents, 2)."""
    column = shaped["content"]
    return np.frombuffer(column.buffers()[1], np.uint64, 2 * len(column), column.offset * 16).reshape(-1, 2)
