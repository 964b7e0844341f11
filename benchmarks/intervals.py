"""How often 95 % intervals over few items hold the truth: plain percentiles of resamples, and the house's wider ones.

    .venv/bin/python -m benchmarks.intervals [--items 12] [--trials 2000]

Items are drawn from a population of evaluation items, so the truth is known: items of a built student (``--items-of
EVALUATION/items.jsonl``, resampled) or, without, made ones of eleven fields of which a share is answered right.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from evaluation.intervals import Floats, bootstrap, micro_f1
from evaluation.scoring import ItemScore, columns

FIELDS = 11
RESAMPLES = 500


def main() -> None:
    """Print one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--items", type=int, default=12)
    arguments.add_argument("--trials", type=int, default=2000)
    arguments.add_argument("--items-of", type=Path)
    arguments.add_argument("--task", default="cover_page")
    told = arguments.parse_args()
    population = _read(told.items_of, told.task) if told.items_of else _made()
    truth = float(micro_f1(population.sum(0, keepdims=True))[0])
    rng, held = np.random.default_rng(1), {"plain": 0, "ours": 0}
    for trial in range(told.trials):
        drawn = population[rng.integers(len(population), size=told.items)]
        found = bootstrap(drawn, micro_f1, RESAMPLES, trial)
        held["ours"] += found.low <= truth <= found.high
        low, high = _plain(drawn, np.random.default_rng(trial))
        held["plain"] += low <= truth <= high
    shares = {name: round(count / told.trials, 3) for name, count in held.items()}
    print(json.dumps({"items": told.items, "trials": told.trials, "field_f1": round(truth, 3)} | shares))


def _plain(drawn_N_C: Floats, rng: np.random.Generator) -> tuple[float, float]:
    picked = rng.integers(len(drawn_N_C), size=(RESAMPLES, len(drawn_N_C)))
    low, high = np.quantile(micro_f1(drawn_N_C[picked].sum(1)), [0.025, 0.975])
    return float(low), float(high)


def _made() -> Floats:
    """10,000 items: nine in ten have most fields right, one in ten hardly any, as students' answers that run astray."""
    rng = np.random.default_rng(0)
    share = np.where(rng.random(10_000) < 0.9, rng.beta(12, 1.5, 10_000), rng.beta(1, 6, 10_000))
    right = rng.binomial(FIELDS, share).astype(np.float64)
    return np.stack([right, FIELDS - right, FIELDS - right], axis=1)


def _read(path: Path, task: str) -> Floats:
    lines = path.read_text(encoding="utf-8").split("\n")
    items = [ItemScore.model_validate_json(line) for line in lines if line]
    return columns([one for one in items if one.task == task], "field_f1")[0]


if __name__ == "__main__":
    main()
