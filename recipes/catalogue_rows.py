"""A row of the model catalogue, and one of the device catalogue."""

from __future__ import annotations

from pydantic import Field

from recipes.section import Section


class PublicModel(Section):
    """A row of the model catalogue."""

    licence: str
    params_b: float = Field(gt=0)
    active_b: float | None = None
    layers: int | None = None
    hidden: int | None = None
    kv_width: int | None = None
    """Key heads times their size: what the cache holds of a token and layer, once for keys and once for values."""
    context: int | None = None
    vocab: int | None = None
    """Rows of the embedding, ids that no text produces among them."""
    family: str
    """Tokenizer family: the publisher states that models of one family write the same token ids."""
    architecture: str = ""
    """As its config.json names it under ``architectures``; empty: not stated."""
    hub: str = ""
    package: str = ""
    """A Python package that carries the weights, with ``file`` inside it."""
    file: str = ""
    base_weights: bool = True
    note: str = ""


class Device(Section):
    """A row of the device catalogue: dense figures, memory in GB, prices a device-hour."""

    bf16_tflops: float = Field(gt=0)
    fp8_tflops: float | None = None
    memory_gb: float = Field(gt=0)
    memory_mib: int | None = None
    """As the driver reports it; None: not stated, and ``memory_gb`` is taken for 1e9 bytes each."""
    bandwidth_tb_s: float = Field(gt=0)
    tdp_w: float = Field(gt=0)
    usd_per_hour: tuple[float, float, float] | None = None

    @property
    def memory_bytes(self) -> float:
        """What a process may use at most."""
        return self.memory_mib * 2.0**20 if self.memory_mib else self.memory_gb * 1e9
