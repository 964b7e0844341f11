"""The steps of the chain one by one, in one thread: CPU microseconds a document, and the floor of each."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.artifacts import digest
from contracts.documents import ChatExample
from data_curation.candidates import Book
from data_curation.content_loop import content_hashes
from data_curation.coverage import READ, seen
from data_curation.dataset import Part, write_shards
from data_curation.decontamination import Index
from data_curation.duplicates import compared_by, find_clusters, members_of
from data_curation.english_loop import YES, plainly_english
from data_curation.guard import check_split
from data_curation.kernel import Wanted, buffers_of, counts_of, scan
from data_curation.language import _model, _sample, language_of
from data_curation.loading import rows_of_corpus, spooled
from data_curation.normal_loop import normalised_texts
from data_curation.personal_signs import RUN
from data_curation.shaping import Shaper, batched
from data_curation.spool import BODY, Spool
from data_curation.text_pool import TextPool
from data_curation.text_steps import TextTally, text_steps
from data_curation.trace import write_trace
from recipes.corpus import Inbox
from recipes.stage_sections import CurateSection

NOTHING = Wanted(shingle_words=0, bands=0, figures=False)
Work = Callable[[], object]


def steps(section: CurateSection, scratch: Path, runs: int) -> dict[str, dict[str, Any]]:
    """Step to its cost, its floor, and what the floor is."""
    source, corpus = section.sources["texts"], section.corpus
    assert corpus is not None
    book = Book(io.StringIO(), io.StringIO())
    raws = list(rows_of_corpus("texts", source, corpus, book))
    lines = (corpus / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [raw.text for raw in raws]
    arrived = list(batched(raws))
    with TextPool(section, 1) as pool:
        spool = spooled("texts", source, raws, section.curation, book, pool, scratch)
    parts = _parts(spool)
    measured = _Measured(len(raws), runs)
    bytes_once = "the bytes read once", lambda: [buffers_of(one)[0].sum() for one in spool.texts()]
    measured("read and parsed", lambda: list(rows_of_corpus("texts", source, corpus, book)),
             "the lines parsed", lambda: [json.loads(line) for line in lines])  # fmt: skip
    measured("into Arrow", lambda: list(batched(raws)), *bytes_once)
    before = measured.total
    _texts(measured, texts, section)
    inside = measured.total - before
    shaper = Shaper(section)
    measured("records, parts, Arrow (shaping, less the four above)",
             lambda: [shaper.shaped("texts", one) for one in arrived], *bytes_once, less=inside)  # fmt: skip
    measured("spool written", lambda: _spool(spool, scratch), *bytes_once)
    _comparing(measured, spool, section)
    _writing(measured, spool, parts, section, scratch)
    return measured.found


class _Measured:
    """Costs as they are measured."""

    def __init__(self, documents: int, runs: int) -> None:
        self.documents, self.runs = documents, runs
        self.found: dict[str, dict[str, Any]] = {}

    @property
    def total(self) -> float:
        return float(sum(one["us"] for one in self.found.values()))

    def __call__(self, name: str, work: Work, floor: str, least: Work, less: float = 0) -> None:
        us = max(0.0, self._cost(work) - less)
        self.found[name] = {"us": round(us, 1), "floor_us": round(self._cost(least), 1), "floor": floor}

    def _cost(self, work: Work) -> float:
        taken: list[float] = []
        for _ in range(self.runs + 1):
            start = time.process_time()
            work()
            taken.append(time.process_time() - start)
        return statistics.median(taken[1:]) / self.documents * 1e6


def _texts(measured: _Measured, texts: list[str], section: CurateSection) -> None:
    arrived = [pa.array(texts[start : start + 1_024], pa.large_string()) for start in range(0, len(texts), 1_024)]
    samples, finding = [_sample(text) for text in texts], text_steps("texts", section)
    nothing: list[dict[str, Any]] = [{}] * 1_024
    bytes_once = "the bytes read once", lambda: [buffers_of(one)[0].sum() for one in arrived]
    measured("normalised", lambda: [normalised_texts(one) for one in arrived], *bytes_once)
    batches = [normalised_texts(one) for one in arrived]
    measured("personal data", lambda: [finding.without_personal_data(one, nothing, TextTally()) for one in batches],
             "a run of digits searched by a pattern", lambda: [RUN.search(text) for text in texts])  # fmt: skip
    measured("language", lambda: [_languages(one, finding.languages) for one in batches],
             "the model alone", lambda: [_model().predict(one, 1) for one in samples])  # fmt: skip
    measured("counts for quality rules", lambda: [counts_of(one) for one in batches],
             "words found and hashed", lambda: [scan(one, NOTHING) for one in batches])  # fmt: skip
    measured("content hash", lambda: [content_hashes(one) for one in batches],
             "sha256 alone", lambda: [hashlib.sha256(text.encode()).digest() for text in texts])  # fmt: skip


def _languages(texts: pa.Array, wanted: frozenset[str]) -> list[object]:
    unsure = np.flatnonzero(plainly_english(texts) != YES).tolist()
    return [language_of(texts[number].as_py(), wanted, False) for number in unsure]


def _comparing(measured: _Measured, spool: Spool, section: CurateSection) -> None:
    curation = section.curation
    words_once = "words found and hashed", lambda: [scan(one, NOTHING) for one in spool.texts()]

    def near_duplicates() -> object:
        return find_clusters(
            spool.texts(), members_of(spool), compared_by(spool, curation, False, "pretraining"), curation
        )

    index = Index(_questions(section), curation)
    measured("near-duplicates", near_duplicates, *words_once)
    measured("decontamination", lambda: list(index.find_in(spool.texts())), *words_once)


def _writing(measured: _Measured, spool: Spool, parts: list[Part], section: CurateSection, scratch: Path) -> None:
    out = scratch / "steps"
    out.mkdir()
    for name in ("eval", "general", "train", "students", "rejected"):
        (out / f"{name}.jsonl").write_text("")
    compared = {"texts": compared_by(spool, section.curation, False, "pretraining")}
    raw = b"".join(spool.lines())

    def lines() -> None:
        with (out / "pretraining.jsonl").open("wb") as file:
            file.writelines(spool.lines())

    def coverage() -> object:
        return seen((batch for part in parts for _, _, batch in part.batches(*READ)), section.ontology, Inbox())

    bytes_once = "the bytes read once", lambda: [buffers_of(one)[0].sum() for one in spool.texts()]
    measured("JSON lines", lines, "the bytes written", lambda: (out / "pretraining.jsonl").write_bytes(raw))
    measured("Parquet shards", lambda: write_shards(out, parts, Inbox()),
             "compressed alone", lambda: pa.compress(raw, "zstd"))  # fmt: skip
    shards = write_shards(out, parts, Inbox())
    measured("table of every document", lambda: write_trace(out, parts, shards), "nothing", lambda: None)
    measured("coverage", coverage, *bytes_once)
    measured("the split looked at again", lambda: check_split(out, section.curation, compared), *bytes_once)
    measured("digests", lambda: [digest(file) for file in out.rglob("*.*")],
             "the bytes written", lambda: (out / "pretraining.jsonl").write_bytes(raw))  # fmt: skip
    shutil.rmtree(out)


def _spool(spool: Spool, scratch: Path) -> None:
    copy = Spool(scratch / "copy.arrow", "texts")
    for numbers, batch in spool.batches(*BODY.names):
        copy.append(batch, spool.facts[numbers])
    copy.close()


def _parts(spool: Spool) -> list[Part]:
    """One document of twenty on the held-out side."""
    spool.heldout = np.arange(len(spool)) % 20 == 0
    return [
        Part("pretraining", "train", [(spool, ~spool.heldout & spool.stays)]),
        Part("pretraining", "heldout", [(spool, spool.heldout & spool.stays)]),
    ]


def _questions(section: CurateSection) -> list[ChatExample]:
    assert section.corpus is not None
    told = map(json.loads, (section.corpus / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    return [
        ChatExample(
            id=row["id"],
            task="asked",
            source="questions",
            document_id=row["id"],
            prompt=[],
            completion="",
            context=row["question"],
        )
        for row in told
    ]
