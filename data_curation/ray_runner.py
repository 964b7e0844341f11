"""The second runner of the kernel: near-duplicates by Daft on Ray, for corpora past one machine.

Daft's pins and those of the main environment exclude each other, so both live in an environment of their own and are
only ever a child process (``ray_driver``), as vLLM is for serving. Texts go through files, since a cluster's workers
read them; what comes back is what ``prints.cluster`` returns, document by document. A small source is not worth a
cluster's start: one machine does it meanwhile, with the same result.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.errors import InputError, StageError
from data_curation.kernel import Wanted
from data_curation.prints import BATCH_DOCUMENTS, U64, Ints, joined
from data_curation.ray_order import DONE, Order, Session
from recipes.stage_sections import CurateSection

LEAST_DOCUMENTS = 100_000
"""Of a source, to be worth sending: threads take some seconds for them, a cluster its start alone."""
FILE_DOCUMENTS = 65_536
PART_DOCUMENTS = 4_096
PATIENCE_SECONDS = 5.0
END_SECONDS = 60.0
TAIL_LINES = 15
CHECKOUT = Path(__file__).resolve().parents[1]
SCHEMA = pa.schema(
    [("row", pa.int64()), ("text", pa.large_string()), ("entity", pa.uint64()), ("heldout", pa.bool_())]
)  # fmt: skip
ENVIRONMENT_HINT = "infra/install.sh ray makes it, or give --engine threads: the result is the same"
ADDRESS_HINT = "host:6379 from a node of the cluster, ray://host:10001 from elsewhere; empty starts a Ray here"


class Sides(NamedTuple):
    """What tells documents apart beside their figures, one row each (``near_pairs.Facts``)."""

    entity: U64
    heldout: NDArray[np.bool_]


class Ray:
    """Daft on Ray in the environment of ``python``, for a ``with``; started by the first source that is worth it."""

    def __init__(self, python: Path, address: str, scratch: Path, workers: int = 0, least_documents: int = 0) -> None:
        """``scratch``: a folder to be made and removed again; where ``address`` names other machines, they see it too.

        Raises InputError where there is no such environment, or nobody at the address.
        """
        self.scratch, self.least_documents = scratch, least_documents
        self._python, self._address, self._workers = python, address, workers
        self._driver: subprocess.Popen[str] | None = None
        if not python.is_file():
            fact = "ray needs an environment of its own, and there is none"
            raise InputError("curation.engine", fact, got=str(python), hint=ENVIRONMENT_HINT)
        if address:
            _require_somebody(address)

    def __enter__(self) -> Ray:
        shutil.rmtree(self.scratch, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._driver is not None:
            self._end(self._driver)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def pays(self, documents: int) -> bool:
        """Whether so many documents are worth sending."""
        return documents >= max(1, self.least_documents)

    def cluster(
        self, batches: Iterable[pa.Array], what: Wanted, jaccard: float, sides: Sides | None,
        batch_documents: int = BATCH_DOCUMENTS, part_documents: int = PART_DOCUMENTS,
    ) -> tuple[Ints, tuple[Ints, Ints, NDArray[np.float64]]]:  # fmt: skip
        """Words of every document, and what ``prints.cluster`` finds for the same texts. Raises StageError."""
        texts, result = self.scratch / "texts", self.scratch / "result.npz"
        shutil.rmtree(texts, ignore_errors=True)
        texts.mkdir(parents=True)
        np.save(texts / "common.npy", what.common, allow_pickle=False)
        documents = _write(texts, batches, sides)
        order = Order(
            texts=texts.absolute(), result=result.absolute(), documents=documents, shingle_words=what.shingle_words,
            bands=what.bands, rows=what.rows, jaccard=jaccard, tell_apart=sides is not None,
            batch_documents=batch_documents, part_documents=part_documents,
        )  # fmt: skip
        self._carry_out(order)
        with np.load(result, allow_pickle=False) as found:
            edges = joined(documents, found["copies"], found["edges"], found["likeness"])
            return found["words"], edges

    def _carry_out(self, order: Order) -> None:
        driver = self._driver = self._driver or self._start()
        assert driver.stdin is not None and driver.stdout is not None
        try:
            driver.stdin.write(order.model_dump_json() + "\n")
            driver.stdin.flush()
        except BrokenPipeError:
            raise self._failed(driver) from None
        for line in driver.stdout:
            if line.rstrip() == DONE:
                return
        raise self._failed(driver)

    def _start(self) -> subprocess.Popen[str]:
        session = Session(address=self._address, workers=self._workers, parent_pid=os.getpid())
        with self._log.open("wb") as log:
            driver = subprocess.Popen(
                [str(self._python.absolute()), "-m", "data_curation.ray_driver"],
                cwd=CHECKOUT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                errors="replace",
            )
        assert driver.stdin is not None
        driver.stdin.write(session.model_dump_json() + "\n")
        return driver

    @property
    def _log(self) -> Path:
        return self.scratch / "driver.log"

    def _failed(self, driver: subprocess.Popen[str]) -> StageError:
        code = self._end(driver)
        tail = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        where = f"Ray at {self._address}" if self._address else "Ray"
        got = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = "--engine threads gives the same result on this machine; the log's end:\n  " + "\n  ".join(tail)
        return StageError(where, "its driver ended early", got=got, hint=hint)

    def _end(self, driver: subprocess.Popen[str]) -> int:
        """End the driver, and its Ray with it."""
        self._driver = None
        try:
            driver.communicate(timeout=END_SECONDS)  # the end of its orders
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.communicate()
        return driver.returncode


def ray_of(section: CurateSection, out_dir: Path) -> AbstractContextManager[Ray | None]:
    """The runner that the recipe asks for; None where one machine's threads are asked for."""
    if section.curation.engine == "threads":
        return nullcontext()
    address = section.curation.ray_address
    return Ray(section.ray_python, address, out_dir / ".ray", least_documents=LEAST_DOCUMENTS)


def _write(folder: Path, batches: Iterable[pa.Array], sides: Sides | None) -> int:
    """Texts as Parquet that many workers can share; returns how many there are."""
    row, file = 0, None
    writer: pq.ParquetWriter | None = None
    try:
        for texts in batches:
            if writer is None or row // FILE_DOCUMENTS != file:
                if writer is not None:
                    writer.close()
                file = row // FILE_DOCUMENTS
                writer = pq.ParquetWriter(folder / f"{file:06}.parquet", SCHEMA)
            rows = np.arange(row, row + len(texts))
            entity = np.zeros(len(rows), np.uint64) if sides is None else sides.entity[rows]
            heldout = np.zeros(len(rows), np.bool_) if sides is None else sides.heldout[rows]
            columns = [pa.array(rows), texts.cast(pa.large_string()), pa.array(entity), pa.array(heldout)]
            writer.write_table(pa.table(columns, schema=SCHEMA))
            row += len(rows)
    finally:
        if writer is not None:
            writer.close()
    return row


def _require_somebody(address: str) -> None:
    """Raises InputError where no server listens: Ray itself would wait for minutes, and end with a stack trace."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE_SECONDS).close()
    except (OSError, ValueError) as error:
        raise InputError("curation.ray_address", f"nobody answers at {address}", got=error, hint=ADDRESS_HINT) from None
