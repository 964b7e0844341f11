"""The catalogues as data: public models and devices, dated in their files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from recipes.schema import Device, PublicModel

FOLDER = Path(__file__).parent
AS_OF = "2026-05-01T00:00:00+00:00"
"""Since when the catalogue's prices hold, for the ledger."""


@cache
def models() -> dict[str, PublicModel]:
    """Every catalogue model by name."""
    rows = yaml.safe_load((FOLDER / "models.yaml").read_text(encoding="utf-8"))
    return {name: PublicModel.model_validate(row) for name, row in rows.items()}


@cache
def devices() -> dict[str, Device]:
    """Every catalogue device by name; ``cpu`` is one."""
    rows = yaml.safe_load((FOLDER / "devices.yaml").read_text(encoding="utf-8"))
    return {name: Device.model_validate(row) for name, row in rows.items()}


def device_row(name: str) -> tuple[str, Device] | None:
    """The catalogue's row for a device as its driver names it (``NVIDIA H100 80GB HBM3`` is ``H100-SXM``), or None."""
    folded = name.upper()
    for row, device in devices().items():
        if row.upper() == folded or row.split("-")[0].upper() in folded.split():
            return row, device
    return None
