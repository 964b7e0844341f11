"""Clusters of near-duplicates by Daft on Ray, the same as ``prints.cluster`` finds on one machine.

Texts are read by the workers, which make the prints; band keys are grouped on Ray. To this process come content hashes,
word counts and the row numbers of documents that share a key. It cuts those into parts that share none, the workers
compare each part's documents by true Jaccard, and the duplicate edges come back. A part holds every candidate of each
of its documents and is compared in the order of one machine, so the result is that machine's.
"""

from __future__ import annotations

from typing import Any

import daft
import numpy as np
import pyarrow as pa
from daft import col

from data_curation.kernel import Wanted
from data_curation.near_pairs import join_groups, low_bits, roots
from data_curation.prints import Ints, distinct, exact_copies
from data_curation.ray_functions import EDGE_NAMES, prints, verified
from data_curation.ray_order import Order


def carried_out(order: Order) -> dict[str, Any]:
    """``words``, exact ``copies`` (later, earlier), verified ``edges`` and their ``likeness``, as in ``prints``."""
    frame = daft.read_parquet(str(order.texts / "*.parquet"))
    common = np.load(order.texts / "common.npy", allow_pickle=False)
    what = Wanted(order.shingle_words, order.bands, order.rows, common, figures=order.tell_apart)
    low = low_bits(order.documents)
    light = Wanted(order.shingle_words, order.bands, order.rows, common, figures=False)
    made = frame.select("row", prints(light, low, order.batch_documents)(col("text"))).collect()
    columns = made.select("row", "content_low", "content_high", "words").to_arrow()
    order_of_rows = np.argsort(columns["row"].to_numpy())
    content = np.stack([columns[name].to_numpy()[order_of_rows] for name in ("content_low", "content_high")], axis=1)
    words = columns["words"].to_numpy()[order_of_rows]
    copies = exact_copies(content)
    first = _candidates(made, distinct(copies, words), copies)
    compare = verified(what, low, order.jaccard, order.tell_apart)
    found = _compared(frame, first, compare, order.part_documents)
    edges = np.stack([found["later"], found["earlier"]], axis=1)
    return {"words": words, "copies": copies, "edges": edges, "likeness": found["jaccard"]}


def _candidates(made: Any, usable: Any, copies: Ints) -> Ints:
    """For every document the first one of those it shares keys with, directly or through others."""
    keyed = made.where(col("words") > 0)
    if len(copies):
        gone = daft.from_arrow(pa.table({"row": copies[:, 0]}))
        keyed = keyed.join(gone, on="row", how="anti")
    grouped = keyed.select("row", "keys").explode("keys").groupby("keys").agg(col("row").list_agg().alias("rows"))
    parent = np.arange(len(usable))
    for batch in grouped.where(col("rows").list_count() > 1).select("rows").to_arrow_iter():
        lists = batch.column(0)
        members, ends = lists.flatten().to_numpy(), np.cumsum(lists.value_lengths().to_numpy())
        join_groups(parent, members.astype(np.int64), ends.astype(np.int64))
    return roots(len(parent), np.stack([np.arange(len(parent)), parent], axis=1))


def _compared(frame: Any, first: Ints, compare: Any, part_documents: int) -> dict[str, Any]:
    """The verified edges of documents that share keys, in the order of one machine."""
    size = np.bincount(first, minlength=len(first))
    rows = np.flatnonzero(size[first] > 1)
    if not len(rows):
        return {name: np.zeros(0, np.float64 if name == "jaccard" else np.int64) for name in EDGE_NAMES}
    before = np.cumsum(np.where(size > 1, size, 0)) - size
    parts = daft.from_arrow(pa.table({"row": rows, "part": before[first[rows]] // part_documents}))
    edges = frame.join(parts, on="row").groupby("part").map_groups(
        compare(col("row"), col("text"), col("entity"), col("heldout")).alias("edge")
    )  # fmt: skip
    found = edges.select("edge").to_arrow().column(0).combine_chunks()
    columns = {name: found.field(name).to_numpy(zero_copy_only=False) for name in EDGE_NAMES}
    order = np.lexsort([columns[name] for name in ("earlier", "later", "key", "band")])
    return {name: column[order] for name, column in columns.items()}
