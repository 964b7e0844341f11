"""datasketch: python by_datasketch.py CORPUS.parquet REMOVED.npy."""

from __future__ import annotations

import re
import sys

import numpy as np
import pyarrow.parquet as pq
from datasketch import MinHash, MinHashLSH

BANDS, ROWS, SIZE = 14, 8, 5


def main() -> None:
    """The first of every group of candidates stays."""
    texts = pq.read_table(sys.argv[1], columns=["text"])["text"]
    index = MinHashLSH(params=(BANDS, ROWS), num_perm=BANDS * ROWS)
    removed = np.zeros(len(texts), bool)
    for number, text in enumerate(texts):
        words = re.findall(r"\w+", text.as_py().lower())
        sketch = MinHash(num_perm=BANDS * ROWS)
        sketch.update_batch([" ".join(words[at : at + SIZE]).encode() for at in range(len(words) - SIZE + 1)])
        removed[number] = bool(index.query(sketch))
        index.insert(number, sketch, check_duplication=False)
    np.save(sys.argv[2], removed)


main()
