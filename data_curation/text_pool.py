"""Shaping on every core: worker processes that get batches of rows and give back batches of documents, in order.

A worker is ``python -m data_curation.text_pool``: a frame on its stdin is eight bytes of length and so much content;
the first is the section as JSON, every other an Arrow stream of one batch, and so is each answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO

import pyarrow as pa

from contracts.errors import StageError
from data_curation.reading import find_files
from data_curation.shaping import Shaper
from data_curation.text_steps import TextTally
from recipes.stage_sections import CurateSection

CHECKOUT = Path(__file__).parent.parent
WORTH_BYTES = 16 << 20
"""Of files: 4 s of one core; a worker takes near one to start."""
Shaped = tuple[pa.RecordBatch, TextTally]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def workers_for(section: CurateSection) -> int:
    """The section's workers, or one where a corpus is too small for their start-up to pay."""
    if section.corpus is None:
        return 1
    files = {file for source in section.sources.values() for file in find_files(section.corpus, source.path)}
    return section.workers if sum(file.lstat().st_size for file in files) >= WORTH_BYTES else 1


class TextPool:
    """Shapes the batches of one section's sources. With one worker it is done here, without a process."""

    def __init__(self, section: CurateSection, workers: int) -> None:
        self._section, self._workers = section, workers
        self._here = Shaper(section)
        self._threads: ThreadPoolExecutor | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def __enter__(self) -> TextPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()  # nothing of theirs is on a disk
            process.communicate()
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def shaped(self, name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[Shaped]:
        """Each batch of a source shaped, in order; at most two batches a worker are held at a time."""
        if self._workers <= 1:
            yield from (self._here.shaped(name, batch) for batch in batches)
            return
        under_way: deque[Future[Shaped]] = deque()
        for batch in batches:
            under_way.append(self._pool().submit(self._asked, name, batch))
            if len(under_way) >= 2 * self._workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def _pool(self) -> ThreadPoolExecutor:
        """One thread a process, which writes to it and waits for it."""
        if self._threads is None:
            told = self._section.model_dump_json().encode()
            for _ in range(self._workers):
                process = subprocess.Popen(
                    [sys.executable, "-m", "data_curation.text_pool"], cwd=CHECKOUT, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )  # fmt: skip
                self._processes.append(process)
                assert process.stdin is not None
                _send(process.stdin, told)
                self._free.put(process)
            self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="shape")
        return self._threads

    def _asked(self, name: str, batch: pa.RecordBatch) -> Shaped:
        process = self._free.get()
        assert process.stdin is not None and process.stdout is not None
        try:
            _send(process.stdin, _packed(batch, {"source": name}))
            answer = _received(process.stdout)
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise StageError("curate", "a worker process has died", got=f"code {process.wait()}", hint="run it again")
        self._free.put(process)
        shaped, told = _unpacked(answer)
        return shaped, TextTally.from_json(told["tally"])


def _packed(batch: pa.RecordBatch, told: dict[str, str]) -> pa.Buffer:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema.with_metadata(told)) as stream:
        stream.write_batch(batch)
    return out.getvalue()


def _unpacked(data: bytes) -> tuple[pa.RecordBatch, dict[str, str]]:
    with pa.ipc.open_stream(data) as stream:
        told = {name.decode(): value.decode() for name, value in (stream.schema.metadata or {}).items()}
        return stream.read_next_batch(), told


def _send(to: IO[bytes], content: bytes | pa.Buffer) -> None:
    to.write(len(content).to_bytes(8, "little"))
    to.write(content)
    to.flush()


def _received(source: IO[bytes]) -> bytes | None:
    head = source.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    content: bytes = source.read(size)
    return content if len(content) == size else None


def main() -> None:
    """Shape every batch on stdin, until it ends."""
    told = _received(sys.stdin.buffer)
    shaper = Shaper(CurateSection.model_validate_json(told or b""))
    while (asked := _received(sys.stdin.buffer)) is not None:
        batch, about = _unpacked(asked)
        shaped, tally = shaper.shaped(about["source"], batch)
        _send(sys.stdout.buffer, _packed(shaped, {"tally": json.dumps(vars(tally))}))


if __name__ == "__main__":
    main()
