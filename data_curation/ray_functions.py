"""What Daft's workers run on Ray: the house's kernel over Arrow batches, and the comparison of candidates.

The functions that are sent carry their parameters and name this module's imports, so a worker must be able to import
``data_curation`` (``ray_driver`` sees to it). Lives in the Ray environment: nothing else imports it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from daft import DataType, Series, func

from data_curation.kernel import Wanted, scan
from data_curation.near_pairs import Facts, Sets, sets_of
from data_curation.prints import U64, Ints, near_edges

PRINT_NAMES = ("content_low", "content_high", "words", "keys")
"""``keys``: the bits of the band keys that candidates must agree in."""
EDGE_NAMES = ("later", "earlier", "jaccard", "band", "key")
"""A verified pair, and where it stands in the order in which one machine would have found it."""
U64_TYPE, I64_TYPE = DataType.uint64(), DataType.int64()
PRINT = DataType.struct(
    dict(zip(PRINT_NAMES, (U64_TYPE, U64_TYPE, I64_TYPE, DataType.list(U64_TYPE)), strict=True))
)  # fmt: skip
EDGE = DataType.struct(
    dict(zip(EDGE_NAMES, (I64_TYPE, I64_TYPE, DataType.float64(), I64_TYPE, U64_TYPE), strict=True))
)  # fmt: skip


def prints(what: Wanted, low: np.uint64, batch_documents: int) -> Any:
    """A batch function: texts to ``PRINT``."""

    @func.batch(return_dtype=PRINT, unnest=True, use_process=False, batch_size=batch_documents)  # type: ignore[untyped-decorator]
    def made(texts: Series) -> Any:
        found = scan(texts.to_arrow(), what)
        ends = pa.array(np.arange(0, found.bands.size + 1, what.bands), pa.int64())
        keys = pa.LargeListArray.from_arrays(ends, pa.array((found.bands & ~low).ravel()))
        low_half, high_half = (pa.array(np.ascontiguousarray(half)) for half in found.content.T)
        return pa.StructArray.from_arrays([low_half, high_half, pa.array(found.words), keys], names=PRINT_NAMES)

    return made


def verified(what: Wanted, low: np.uint64, threshold: float, tell_apart: bool) -> Any:
    """A function of a group of documents that holds all candidates of each: to ``EDGE``, compared as on one machine."""

    @func.batch(return_dtype=EDGE, use_process=False)  # type: ignore[untyped-decorator]
    def made(rows: Series, texts: Series, entities: Series, heldout: Series) -> Any:
        numbers = rows.to_arrow().to_numpy()
        order = np.argsort(numbers)
        found = scan(texts.to_arrow().take(pa.array(order)), what)
        numbers = numbers[order]

        def read(compared: Ints) -> Sets:
            pieces = [found.shingles_of(one) for one in compared.tolist()]
            ends = np.cumsum(np.fromiter(map(len, pieces), np.int64))
            return sets_of(np.concatenate([np.zeros(0, np.uint32), *pieces]), ends, what.common)

        entity, side = (one.to_arrow().to_numpy(zero_copy_only=False)[order] for one in (entities, heldout))
        facts = Facts(entity, found.figures, side) if tell_apart else None
        edges, likeness, band = near_edges(found.bands, np.ones(len(numbers), np.bool_), low, read, facts, threshold)
        keys: U64 = found.bands[edges[:, 0], band] & ~low
        columns = [numbers[edges[:, 0]], numbers[edges[:, 1]], likeness, band, keys]
        return pa.StructArray.from_arrays(list(map(pa.array, columns)), names=EDGE_NAMES)

    return made
