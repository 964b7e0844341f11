"""The house's kernel by Daft on a Ray of its own: python by_ray.py CORPUS.parquet REMOVED.npy [workers]."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parent))

from by_kernel import ALIKE, BANDS, ROWS, SIZE, texts_of_file

from data_curation.kernel import Wanted
from data_curation.ray_runner import CHECKOUT, Ray


def main() -> None:
    """The same rows removed as by_kernel.py."""
    corpus, removed, workers = sys.argv[1], sys.argv[2], int((*sys.argv, "1")[3])
    what = Wanted(SIZE, BANDS, ROWS, figures=False)
    with Ray(CHECKOUT / ".venv-ray/bin/python", "", Path(removed).with_suffix(".ray"), workers) as ray:
        _, (firsts, _, _) = ray.cluster(texts_of_file(corpus), what, ALIKE, None)
    np.save(removed, firsts != np.arange(len(firsts)))


main()
