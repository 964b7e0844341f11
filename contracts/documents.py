"""Documents and what is made of them: chat examples, preference pairs, and the answers models give."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Record = TypeVar("Record", bound=BaseModel)


class Origin(BaseModel):
    """Where a document came from: bytes ``[start, end)`` of a file of the corpus.

    Of a compressed file the bytes count after decompression. ``part`` names what a byte range cannot: a row of a
    Parquet file, a member of an archive, a page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """Relative to the corpus."""
    start: int | None = Field(None, ge=0)
    end: int | None = Field(None, ge=0)
    part: str = ""


class Document(BaseModel):
    """One text of a corpus. ``entity`` is what a split must not cut through (a filer, a property)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    source: str
    licence: str
    entity: str = ""
    date: str | None = None
    synthetic: bool = False
    origin: Origin | None = None
    """None: written by the house, or it stood in no file."""
    metadata: dict[str, Any] = Field(default_factory=dict)


class ChatExample(BaseModel):
    """A question over a document with its gold answer. ``gold`` is None where only text is wanted (general replay)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    task: str
    source: str
    document_id: str
    entity: str = ""
    synthetic: bool = False
    prompt: list[dict[str, str]]
    """Chat messages before the answer: ``[{"role": ..., "content": ...}, ...]``."""
    completion: str
    """The assistant's answer as text; for extraction tasks, the gold fields as compact JSON."""
    gold: dict[str, Any] | None = None
    context: str = ""
    """The document's text the answer must be grounded in; numbers of an answer are looked up here."""


class PreferencePair(BaseModel):
    """Two answers to one prompt. ``fault`` names what is wrong with the rejected one (``swapped_digit``, ...)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    task: str
    prompt: list[dict[str, str]]
    chosen: str
    rejected: str
    fault: str


class ModelAnswer(BaseModel):
    """What one model answered to one example. ``finish`` is ``stop`` or ``length``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    example_id: str
    sample: int = 0
    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int


def read_jsonl(path: Path, kind: type[Record]) -> Iterator[Record]:
    """Read records that this house wrote; a line that does not validate raises pydantic's ``ValidationError``."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield kind.model_validate_json(line)


def write_jsonl(path: Path, records: Iterable[BaseModel | dict[str, Any]]) -> int:
    """Write one JSON object a line, UTF-8; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for record in records:
            plain = record.model_dump(mode="json") if isinstance(record, BaseModel) else record
            out.write(json.dumps(plain, ensure_ascii=False) + "\n")
            count += 1
    return count
