"""Documents outside of memory: read as written; any number of workers and any batch size gives the same."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.documents import Document, Origin, write_jsonl
from contracts.errors import StageError
from data_curation import shaping, text_pool
from data_curation.arrivals import Identities
from data_curation.curate import curate
from data_curation.first_seen import NEW, REFUSED, FirstSeen
from data_curation.lineage import placed
from data_curation.shaping import Raw, Shaper, batched, content_of, facts_of
from data_curation.spool import BODY, Spool
from data_curation.text_pool import TextPool
from recipes.stage_sections import CurateSection
from tests.data_curation.corpus_sample import corpus, lease, section, story, write_rows, written

CHECKOUT = Path(__file__).parents[2]
ODD = 'Zeile\u2028 mit \u00a0 \x85 "Zeichen" \\ und \U0001f600 \u4e2d\u6587\n\n\tEnde '


def raws(count: int) -> list[Raw]:
    """Stories with every kind of origin and metadata."""
    made = []
    for number in range(count):
        text = story(number) + ODD * (number % 3)
        fields: dict[str, Any] = {"id": str(number), "text": text, "n": number, "share": 0.1 * number, "ok": True}
        row = placed(fields, f"drop/{number % 2}.jsonl", number, number + 1) if number % 2 else fields
        date = f"20{number % 30:02}" if number % 5 else None
        made.append(Raw(f"stories/{number}", text, "Ann" if number % 7 == 0 else "", date, row, "CC0-1.0", False))
    return made


def spooled(folder: Path, count: int) -> Spool:
    shaper, spool = Shaper(section(None, languages=())), Spool(folder / "stories.arrow", "stories")
    for batch in batched(raws(count)):
        shaped, _ = shaper.shaped("stories", batch)
        spool.seen.add(content_of(shaped), np.ones(len(shaped), np.bool_))
        spool.append(shaped.select(BODY.names), facts_of(shaped))
    spool.close()
    return spool


def test_a_document_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shaping, "BATCH_DOCUMENTS", 7)
    spool = spooled(tmp_path, 50)
    first = next(iter(spool.documents()))[1]
    assert first.id == "stories/0" and first.entity == "Ann" and first.origin is None
    written_lines = [json.loads(line) for line in b"".join(spool.lines()).splitlines()]
    documents = [Document.model_validate(one) for one in written_lines]
    assert write_jsonl(tmp_path / "again.jsonl", documents) == 50
    assert (tmp_path / "again.jsonl").read_bytes() == b"".join(spool.lines())
    for number, (document, (at, read)) in enumerate(zip(documents, spool.documents(), strict=True)):
        assert at == number and read == document.model_copy(update={"metadata": {}})
        assert spool.identity(number) == document.id and spool.facts["chars"][number] == len(document.text)
        assert spool.facts["tokens"][number] == len(document.text.split())
    assert documents[1].origin == Origin(file="drop/1.jsonl", start=1, end=2)
    assert documents[3].metadata == {"id": "3", "n": 3, "share": 0.30000000000000004, "ok": True}


def test_only_what_stays_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shaping, "BATCH_DOCUMENTS", 7)
    spool = spooled(tmp_path, 40)
    chance = random.Random(1)
    kept = sorted(chance.sample(range(40), 11))
    spool.stays[:] = False
    spool.stays[kept] = True
    assert [number for number, _ in spool.documents()] == kept == spool.numbers.tolist()
    for numbers, batch in spool.batches("id", "date"):
        assert batch.schema.names == ["id", "date"]
        assert batch["id"].to_pylist() == [f"stories/{number}" for number in numbers]
    told = spool.labels(np.array(kept[::-1]))
    assert told["id"].to_pylist() == [f"stories/{number}" for number in kept[::-1]]
    assert told["date"].to_pylist() == [f"20{number % 30:02}" if number % 5 else None for number in kept[::-1]]
    assert list(spool.texts(np.zeros(40, np.bool_))) == []


def test_memory_is_under_two_hundred_bytes_a_document(tmp_path: Path) -> None:
    spool = spooled(tmp_path, 3_000)
    labels = sum(batch.nbytes for batch in spool._labels)
    held = spool.facts.nbytes + spool.stays.nbytes + spool.heldout.nbytes + labels
    assert held < 200 * len(spool)


def test_first_seen_is_what_a_dictionary_says() -> None:
    chance = random.Random(2)
    table, known = FirstSeen(), dict[int, int]()
    for size in (1, 700, 3, 5_000, 40):
        keys = [chance.randrange(4_000) for _ in range(size)]
        may = [chance.random() < 0.7 for _ in keys]
        found = table.add(np.array([(key, key % 3) for key in keys], np.uint64), np.array(may), most=2_000)
        for key, allowed, told in zip(keys, may, found.tolist(), strict=True):
            if key in known:
                assert told == known[key]
            else:
                enters = allowed and len(known) < 2_000
                assert told == (NEW if enters else REFUSED)
                known |= {key: len(known)} if enters else {}
    assert [int(key[0]) for key in table.keys] == list(known) and table.count == 2_000


def test_an_id_that_comes_a_million_times_costs_no_square() -> None:
    identities = Identities()
    taken = [identities.take("same", "a")[0] for _ in range(3_000)]
    assert taken[:3] == ["same", "same#2", "same#3"] and len(set(taken)) == 3_000
    assert identities.take("same#2", "b") == ("same#2#2", None)
    assert identities.take("same", "b") == ("same#3001", None)


def large_section(folder: Path) -> CurateSection:
    rows = [lease(n, entity=f"Party {n % 12}") for n in range(60)]
    place = corpus(folder, rows + rows[:5])
    stories = [{"id": f"s{n}", "text": story(n % 90) + " end" * (n // 90)} for n in range(130)]
    write_rows(place / "stories.jsonl", [*stories, {"id": "short", "text": "Too short"}])
    made = section(place, augment=True)
    return made.model_copy(update={"removals": ("stories/s7",)})


@pytest.mark.parametrize(("workers", "documents", "chars"), [(2, 1_024, 1 << 22), (3, 9, 1 << 22), (1, 50, 5_000)])
def test_the_outcome_is_the_same_for_any_workers_and_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, documents: int, chars: int
) -> None:
    made = large_section(tmp_path / "corpus")
    inputs = {"written": written(tmp_path / "written", 20)}
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    expected = curate(made.model_copy(update={"workers": 1}), inputs, tmp_path / "one")[0]
    monkeypatch.setattr(text_pool, "WORTH_BYTES", 0)
    monkeypatch.setattr(shaping, "BATCH_DOCUMENTS", documents)
    monkeypatch.setattr(shaping, "BATCH_CHARS", chars)
    found = curate(made.model_copy(update={"workers": workers}), inputs, tmp_path / "other")[0]
    assert found.files == expected.files and found.metrics == expected.metrics
    assert found.metrics["rejected"] > 10, "every way out was taken"
    assert not list((tmp_path / "other").glob(".*")), "the scratch is gone"


def test_a_dead_worker_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pool, "WORTH_BYTES", 0)
    batches = list(batched(raws(30)))
    with TextPool(section(None, languages=()), 2) as pool:
        assert len(list(pool.shaped("stories", batches))) == 1
        pool._processes[0].kill()
        pool._processes[0].join()
        with pytest.raises(StageError, match="a worker process has died, got code -9"):
            list(pool.shaped("stories", batches * 8))


def test_little_is_shaped_without_a_process() -> None:
    with TextPool(section(None, languages=()), 2) as pool:
        assert len(list(pool.shaped("stories", batched(raws(30))))) == 1
        assert not pool._processes


KILLED_POOL = """
import os, signal
from data_curation import text_pool
from data_curation.shaping import batched
from tests.data_curation.corpus_sample import section
from tests.data_curation.test_spool import raws
text_pool.WORTH_BYTES = 0
with text_pool.TextPool(section(None, languages=()), 2) as pool:
    list(pool.shaped("stories", batched(raws(30))))
    print(*(process.pid for process in pool._processes), flush=True)
    input()
"""


def test_workers_end_with_a_killed_stage() -> None:
    stage = subprocess.Popen(
        [sys.executable, "-c", KILLED_POOL], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert stage.stdin is not None and stage.stdout is not None
    workers = [os.pidfd_open(int(pid)) for pid in stage.stdout.readline().split()]
    assert len(workers) == 2
    stage.kill()
    for worker in workers:
        assert select.select([worker], [], [], 30)[0], "a process descriptor is readable once its process has ended"
        os.close(worker)
    stage.communicate()
