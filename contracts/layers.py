"""Which of a teacher's layers a pruned student keeps, as stage ``prune`` writes it and the student reads it."""

from __future__ import annotations

from contracts.reports import Report


class DroppedLayers(Report):
    """One round of pruning: which layers went, how many are left, and the loss then, nats a token."""

    dropped: tuple[int, ...]
    left: int
    loss: float


class PrunedLayers(Report):
    """Which of a teacher's layers are kept, by how many are kept."""

    kept: dict[int, tuple[int, ...]]
    loss_whole: float
    rounds: list[DroppedLayers]
