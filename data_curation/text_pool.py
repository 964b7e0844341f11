"""Shaping on every core: processes that get batches of rows and give back batches of documents, in order.

A worker is forked once this process has shaped some batches itself: it inherits the loops and models that those
loaded, which would take it a second and a half. Batches come and go as Arrow streams through a pipe.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from queue import SimpleQueue
from types import TracebackType

import pyarrow as pa

from contracts.errors import StageError
from contracts.lifeline import die_with
from data_curation.shaping import Shaper
from data_curation.text_steps import TextTally
from recipes.stage_sections import CurateSection

WORTH_BYTES = 1 << 20
"""Of batches: so much is shaped here before there are workers."""
Shaped = tuple[pa.RecordBatch, TextTally]
Worker = tuple[ForkProcess, Connection]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


class TextPool:
    """Shapes the batches of one section's sources. With one worker it is done here, without a process."""

    def __init__(self, section: CurateSection, workers: int) -> None:
        self._shaper, self._workers = Shaper(section), workers
        self._shaped_bytes = 0
        self._threads: ThreadPoolExecutor | None = None
        self._processes: list[ForkProcess] = []
        self._free: SimpleQueue[Worker] = SimpleQueue()

    def __enter__(self) -> TextPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()  # nothing of theirs is on a disk
            process.join()
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def shaped(self, name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[Shaped]:
        """Each batch of a source shaped, in order; at most two batches a worker are held at a time."""
        under_way: deque[Future[Shaped]] = deque()
        for batch in batches:
            if self._workers <= 1 or self._shaped_bytes < WORTH_BYTES:
                self._shaped_bytes += batch.nbytes
                yield self._shaper.shaped(name, batch)
                continue
            under_way.append(self._pool().submit(self._asked, name, batch))
            if len(under_way) >= 2 * self._workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def _pool(self) -> ThreadPoolExecutor:
        """One thread a process, which writes to it and waits for it."""
        if self._threads is None:
            forking = multiprocessing.get_context("fork")
            for _ in range(self._workers):
                here, there = forking.Pipe()
                process = forking.Process(target=_serve, args=(there, self._shaper, os.getpid()), daemon=True)
                process.start()
                there.close()
                self._processes.append(process)
                self._free.put((process, here))
            self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="shape")  # after the last fork
        return self._threads

    def _asked(self, name: str, batch: pa.RecordBatch) -> Shaped:
        process, pipe = worker = self._free.get()
        try:
            pipe.send_bytes(_packed(batch, {"source": name}))
            shaped, told = _unpacked(pipe.recv_bytes())
        except (EOFError, ConnectionError):
            process.join()
            raise StageError(
                "curate", "a worker process has died", got=f"code {process.exitcode}", hint="run it again"
            ) from None
        finally:
            self._free.put(worker)  # a dead one, too: nobody may wait for it
        return shaped, TextTally.from_json(told["tally"])


def _serve(pipe: Connection, shaper: Shaper, parent_pid: int) -> None:
    """Shape every batch that comes, until this process is killed."""
    die_with(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it goes to the whole group; the stage ends its workers
    while True:
        batch, about = _unpacked(pipe.recv_bytes())
        shaped, tally = shaper.shaped(about["source"], batch)
        pipe.send_bytes(_packed(shaped, {"tally": json.dumps(vars(tally))}))


def _packed(batch: pa.RecordBatch, told: dict[str, str]) -> pa.Buffer:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema.with_metadata(told)) as stream:
        stream.write_batch(batch)
    return out.getvalue()


def _unpacked(data: bytes) -> tuple[pa.RecordBatch, dict[str, str]]:
    with pa.ipc.open_stream(data) as stream:
        told = {name.decode(): value.decode() for name, value in (stream.schema.metadata or {}).items()}
        return stream.read_next_batch(), told
