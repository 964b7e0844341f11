"""The corpus that near-duplicate removal is measured on, and the scores that are given for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.curation.corpus import sentences, write_corpus
from benchmarks.curation.near_duplicates import CHECKOUT, Truth, scores
from benchmarks.curation.ray_overhead import pays_from


def test_copies_are_what_the_corpus_says(tmp_path: Path) -> None:
    write_corpus(tmp_path / "c.parquet", 600, sentences(None))
    rows = pq.read_table(tmp_path / "c.parquet").to_pylist()
    assert len(rows) == 600
    for number, row in enumerate(rows):
        if row["kind"] == "original":
            assert row["copy_of"] == -1 and 150 <= len(row["text"].split()) < 650
            continue
        assert 0 <= row["copy_of"] < number and rows[row["copy_of"]]["kind"] == "original"
        pair = zip(row["text"].split(" "), rows[row["copy_of"]]["text"].split(" "), strict=True)
        different = sum(one != other for one, other in pair) / len(row["text"].split(" "))
        assert different == 0 if row["kind"] == "exact" else 0 < different < 0.03
        assert row["jaccard"] == 1 if row["kind"] == "exact" else 0.6 < row["jaccard"] < 1
    kinds = [row["kind"] for row in rows]
    assert 10 < kinds.count("exact") < 60 and 10 < kinds.count("edited") < 60


def test_scores_of_a_method_that_errs_in_every_way() -> None:
    copy_of = np.array([-1, 0, -1, 2, -1, -1, 5])
    kind = np.array(["original", "exact", "original", "edited", "original", "original", "edited"])
    removed = np.array([False, True, True, False, True, False, False])
    jaccard = np.array([1, 1, 1, 0.9, 1, 1, 0.7])
    assert scores(removed, Truth(copy_of, kind, jaccard)) == {
        "removed": 3, "precision": round(2 / 3, 5), "recall_exact": 1.0, "recall_edited": 0.5, "recall_alike": 1.0,
    }  # fmt: skip


def test_the_kernel_finds_the_copies_of_a_small_corpus(tmp_path: Path) -> None:
    options = ["--documents", "400", "--runs", "1", "--methods", "kernel", "--scratch", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.curation.near_duplicates", *options]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    [result] = json.loads(done.stdout.splitlines()[-1])["results"]
    assert result["recall_exact"] == 1.0 and result["precision"] == 1.0 and result["recall_edited"] > 0.85
    assert not list(tmp_path.iterdir())


def test_ray_pays_where_the_machines_make_up_for_its_start() -> None:
    threads, ray = {"start_seconds": 1.0, "us_a_document": 20.0}, {"start_seconds": 10.0, "us_a_document": 80.0}
    assert pays_from(threads, ray, 4) is None, "four machines are as fast as one without Ray"
    assert pays_from(threads, ray, 16) == 600_000
    assert pays_from(threads, {}, 16) is None, "one size makes no line"
