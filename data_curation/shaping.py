"""What happens to one text, whatever the others are: normalised, personal data out, cut, judged, hashed.

A batch of rows in Arrow goes in, a batch of documents in Arrow comes out, with why each falls that falls. What becomes
of a row depends on the row and the section alone, so any process may do it, in batches of any size.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.documents import Origin
from contracts.errors import RecipeError
from data_curation.arrivals import Fault
from data_curation.lineage import origin_of
from data_curation.normalising import cut, normalised, parts, without_boilerplate
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
        *BODY, ("facts", pa.binary(FACTS.itemsize)), ("content", pa.binary(16)),
        ("step", pa.string()), ("reason", pa.string()), ("detail", pa.string()),
    ]
)  # fmt: skip
"""BODY, a row of FACTS, the hash that exact duplicates share, and why the document falls (null: it may stay)."""
LONG_TEXT = 1_000
"""A shorter text may be metadata, too, whose order counts: it stays in its row."""
ROW_AS_JSON = json.JSONEncoder(default=str).encode


@dataclass(frozen=True)
class Raw:
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
        told = arrived.to_pylist()
        rows = [_row(one) for one in told]
        plain = [without_boilerplate(normalised(one["text"]), self.source.cut_before, self.drop_lines) for one in told]
        bodies: list[tuple[Any, ...]] = []
        facts: list[tuple[Any, ...]] = []
        early: list[Reason | None] = []
        for one, row, clean in zip(told, rows, self.steps.without_personal_data(plain, rows), strict=True):
            tally.add(clean)
            reason = self._early(one, clean)
            for body in self._documents(one, row, clean.text):
                bodies.append(body)
                facts.append(self._facts(one, body[0]))
                early.append(reason)
        judged = self.steps.judged([body[1] for body in bodies], early, tally)
        return _shaped(bodies, facts, judged), tally

    def _early(self, told: dict[str, Any], clean: Cleaned) -> Reason | None:
        """Why a row falls whatever its text's quality."""
        if told["fault"]:
            return "reading", told["fault"], told["fault_detail"]
        if clean.found and self.steps.personal_data == "reject":
            counts = ", ".join(f"{kind} {count}" for kind, count in sorted(clean.found.items()))
            return "personal_data", "personal_data", counts
        return None

    def _documents(self, told: dict[str, Any], row: dict[str, Any], text: str) -> Iterator[tuple[Any, ...]]:
        """Rows of BODY."""
        whole = is_whole(self.source)
        pieces = [cut(text, self.source.max_chars)] if whole else list(parts(text, self.source.max_chars)) or [""]
        entity = told["entity"] or told["identity"]
        about = (told["licence"], entity, told["date"], told["synthetic"])
        origin = (told["file"], told["start"], told["end"], told["part"])
        record = self._record(about, origin, row)
        kept = ROW_AS_JSON(row) if whole else "{}"
        for number, piece in enumerate(pieces):
            identity = told["identity"] if len(pieces) == 1 else f"{told['identity']}@{number}"
            yield identity, piece, *about, *origin, record, kept

    def _record(self, about: tuple[Any, ...], origin: tuple[Any, ...], row: dict[str, Any]) -> str:
        """All of a document's JSON line behind its text."""
        licence, entity, date, synthetic = about
        read_from = None if origin[0] is None else dict(zip(Origin.model_fields, origin, strict=True))
        rest = {
            "source": self.name, "licence": licence, "entity": entity, "date": date, "synthetic": synthetic,
            "origin": read_from, "metadata": self.steps.metadata(row),
        }  # fmt: skip
        return AS_JSON(rest)[1:]

    def _facts(self, told: dict[str, Any], identity: str) -> tuple[Any, ...]:
        """A row of FACTS; characters and tokens come later."""
        seed, named = self.section.curation.seed, told["entity"]
        whole = is_whole(self.source)
        key = place(seed, entity_key(named or told["identity"])) if named or whole or self.steps.tasks else 0
        origin = 0 if whole else place(seed, identity.partition("@")[0])
        late = is_late(told["date"], self.section.curation)
        return key, name_hash(named), origin, 0, 0, told["synthetic"], late


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
    read_from = (origin.file, origin.start, origin.end, origin.part) if origin else (None, None, None, None)
    return (
        raw.identity, raw.text, raw.entity, raw.date, ROW_AS_JSON(row), key, raw.licence, raw.synthetic,
        *read_from, *(raw.fault or (None, None)),
    )  # fmt: skip


def _row(told: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(told["row"])
    return row | {told["text_key"]: told["text"]} if told["text_key"] else row


def _shaped(
    bodies: list[tuple[Any, ...]],
    facts: list[tuple[Any, ...]],
    judged: tuple[list[Reason | None], Any],
) -> pa.RecordBatch:
    """A batch of SHAPED."""
    reasons, tokens = judged
    figures = np.array(facts, FACTS)
    figures["chars"] = [len(body[1]) for body in bodies]
    figures["tokens"] = tokens
    body = _batch(bodies, BODY)
    content = b"".join(hashlib.sha256(one.casefold().encode()).digest()[:16] for _, one, *_ in bodies)
    verdicts = [reason or (None, None, None) for reason in reasons]
    columns = [
        *body.columns, _fixed(figures.tobytes(), FACTS.itemsize), _fixed(content, 16),
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
