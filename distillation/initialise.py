"""Where a student starts: which layers of the teacher it keeps."""

from __future__ import annotations

from contracts.errors import FitError


def layer_plan(total_layers: int, keep_first: int, keep_last: int) -> tuple[int, ...]:
    """Indices of the teacher's layers that a depth-pruned student keeps: both ends, the middle dropped.

    Block-wise pruning starts far closer to the teacher than layers kept at even spacing (loss 3.8 against 8.8 for
    20 of 30 layers). Raises FitError where the teacher has not enough layers or none would stay.
    """
    if keep_first < 0 or keep_last < 0 or keep_first + keep_last < 1:
        raise FitError(
            "student layers",
            "at least one layer must be kept",
            got=f"keep_first {keep_first}, keep_last {keep_last}",
            hint="keep a few of the first and most of the last layers, e.g. 3 and 7 of 30",
        )
    if keep_first + keep_last > total_layers:
        raise FitError(
            "student layers",
            f"keep_first + keep_last must not exceed the teacher's {total_layers} layers",
            got=keep_first + keep_last,
            hint="lower keep_first or keep_last, or name a smaller model of the family instead",
        )
    return (*range(keep_first), *range(total_layers - keep_last, total_layers))
