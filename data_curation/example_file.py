"""The examples of a task as they are made, in a file: a source larger than memory gives examples larger than memory."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.documents import ChatExample
from data_curation.first_seen import NEW, FirstSeen, Ints
from data_curation.splitting import name_hash, place
from data_curation.spool import AS_JSON

ONE = np.ones(1, np.bool_)


class ExampleFile:
    """Different examples of one list, the first of each prompt; some 70 bytes of each in memory."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path, self._seed = path, seed
        self._seen = FirstSeen()
        self._ends = array("q", [0])
        self._places, self._documents = array("Q"), array("Q")
        self._synthetic = array("b")
        self._out = path.open("wb")

    def __len__(self) -> int:
        return self._seen.count

    def add(self, examples: Iterable[ChatExample], wrong: Any = None) -> None:
        """Put down those that are new, with the wrong answers that their row holds."""
        for one in examples:
            asked = f"{one.task}\0{one.prompt[-1]['content']}".encode(errors="replace")
            key = np.frombuffer(hashlib.blake2b(asked, digest_size=16).digest(), np.uint64)
            if self._seen.add(key.reshape(1, 2), ONE)[0] == NEW:
                line = f"{AS_JSON(one.model_dump(mode='json'))}\n{json.dumps(wrong)}\n".encode()
                self._ends.append(self._ends[-1] + self._out.write(line))
                self._places.append(place(self._seed, one.id))
                self._documents.append(name_hash(one.document_id))
                self._synthetic.append(one.synthetic)

    def close(self) -> None:
        """End the writing."""
        self._out.close()

    def ordered(self) -> Ints:
        """All of them, real before synthetic, in an order that looks random and never changes."""
        return np.lexsort((np.array(self._places, np.uint64), np.array(self._synthetic, np.int8)))

    def shared_out(self, ordered: Ints, documents: int | None, most: int) -> tuple[Ints, Ints]:
        """Those for tuning, at most ``most``, and all others, in the order given.

        Of the writer's documents the first ``documents`` are for tuning (None: all of them): more would drown the real
        ones. A student needs many more examples than its teacher did, and gets the rest as well.
        """
        synthetic = np.array(self._synthetic, np.bool_)[ordered]
        told = np.array(self._documents, np.uint64)[ordered]
        written, firsts = np.unique(told[synthetic], return_index=True)
        admitted = written[np.argsort(firsts)][:documents]
        chosen = np.flatnonzero(~synthetic | np.isin(told, admitted))[:most]
        tuning: NDArray[np.bool_] = np.zeros(len(ordered), np.bool_)
        tuning[chosen] = True
        return ordered[tuning], ordered[~tuning]

    def read(self, numbers: Iterable[int]) -> Iterator[tuple[ChatExample, Any]]:
        """Examples and their rows' wrong answers."""
        for example, wrong in self._lines(numbers):
            yield ChatExample.model_validate_json(example), json.loads(wrong)

    def lines(self, numbers: Iterable[int]) -> Iterator[str]:
        """Examples as the JSON lines that ``contracts.documents.write_jsonl`` writes."""
        return (f"{example.decode()}\n" for example, _ in self._lines(numbers))

    def _lines(self, numbers: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
        with self._path.open("rb") as file:
            for number in numbers:
                file.seek(self._ends[number])
                example, wrong, _ = file.read(self._ends[number + 1] - self._ends[number]).split(b"\n")
                yield example, wrong
