"""A decoder as the planner's formulas need it: how many parameters do what, and how wide the layers are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recipes.catalogue_rows import PublicModel

TIED_BELOW_B = 5
"""Models of fewer billion parameters use one matrix for both embeddings; the catalogue's larger ones use two."""


@dataclass(frozen=True)
class Shape:
    """Counts of parameters (not billions), widths in numbers a token."""

    params: float
    active: float
    """Of a mixture of experts, those that one token is multiplied with; else ``params``."""
    layers: int
    width: int
    vocab: int
    kv_width: float
    embeddings: float
    """Input and output embedding together; one matrix where they are tied."""
    tied: bool

    @property
    def matmul(self) -> float:
        """N of the formulas: what a token is multiplied with, the head among them, the look-up of its id not."""
        return self.active - (self.embeddings - self.head)

    @property
    def head(self) -> float:
        """The output embedding's parameters."""
        return self.embeddings if self.tied else self.embeddings / 2

    @property
    def linear(self) -> float:
        """Parameters outside of the embeddings: those that QLoRA keeps in four bits."""
        return self.params - self.embeddings

    @property
    def kv_bytes_per_token(self) -> float:
        """Keys and values of all layers, two bytes each."""
        return 2 * 2 * self.layers * self.kv_width

    def adapter(self, rank: int) -> float:
        """Parameters of LoRA on every linear layer: the widths in and out of a layer's seven come to about 18.5 h."""
        return 18.5 * rank * self.width * self.layers

    def with_layers(self, layers: int) -> Shape:
        """The same model with fewer layers: a pruned student."""
        kept = layers / self.layers
        gone = (self.params - self.embeddings) * (1 - kept)
        return replace(self, params=self.params - gone, active=self.active - gone, layers=layers)


def shape(row: PublicModel) -> Shape:
    """A catalogue row's shape. Where it states none: the usual one of its size, as wide as 128 times its layers."""
    params = row.params_b * 1e9
    layers = row.layers or max(1, round((params / (12 * 128**2)) ** (1 / 3)))
    width, vocab, tied = row.hidden or 128 * layers, row.vocab or 128_000, row.params_b < TIED_BELOW_B
    return Shape(
        params=params,
        active=(row.active_b or row.params_b) * 1e9,
        layers=layers,
        width=width,
        vocab=vocab,
        kv_width=row.kv_width or width / 4,
        embeddings=min(params / 2, float(vocab * width * (1 if tied else 2))),
        tied=tied,
    )
