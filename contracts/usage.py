"""Usage: what a stage took. It knows no prices; the ledger does."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Usage(BaseModel):
    """What one stage, or a sum of stages, took.

    ``device`` is ``"cpu"`` or the accelerator's name; sums over different devices carry ``"mixed"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall_seconds: float = Field(default=0.0, ge=0)
    device: str = "cpu"
    device_count: int = Field(default=1, ge=0)
    device_seconds: float = Field(default=0.0, ge=0)
    cpu_seconds: float = Field(default=0.0, ge=0)
    tokens_in: int = Field(default=0, ge=0)
    tokens_out: int = Field(default=0, ge=0)
    peak_memory_bytes: int = Field(default=0, ge=0)
    energy_joules: float | None = Field(default=None, ge=0)

    def __add__(self, other: Usage) -> Usage:
        energies = [u.energy_joules for u in (self, other) if u.energy_joules is not None]
        return Usage(
            wall_seconds=self.wall_seconds + other.wall_seconds,
            device=self.device if self.device == other.device else "mixed",
            device_count=max(self.device_count, other.device_count),
            device_seconds=self.device_seconds + other.device_seconds,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            peak_memory_bytes=max(self.peak_memory_bytes, other.peak_memory_bytes),
            energy_joules=sum(energies) if energies else None,
        )
