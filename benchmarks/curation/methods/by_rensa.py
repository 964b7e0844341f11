"""rensa: python by_rensa.py CORPUS.parquet REMOVED.npy."""

from __future__ import annotations

import re
import sys

import numpy as np
import pyarrow.parquet as pq
from rensa import RMinHash, RMinHashLSH

BANDS, ROWS, SIZE = 14, 8, 5


def main() -> None:
    """The first of every group of candidates stays."""
    texts = pq.read_table(sys.argv[1], columns=["text"])["text"]
    index = RMinHashLSH(threshold=0.8, num_perm=BANDS * ROWS, num_bands=BANDS)
    removed = np.zeros(len(texts), bool)
    for number, text in enumerate(texts):
        words = re.findall(r"\w+", text.as_py().lower())
        sketch = RMinHash(num_perm=BANDS * ROWS, seed=42)
        sketch.update([" ".join(words[at : at + SIZE]) for at in range(len(words) - SIZE + 1)])
        removed[number] = bool(index.query(sketch))
        index.insert(number, sketch)
    np.save(sys.argv[2], removed)


main()
