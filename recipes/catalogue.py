"""The catalogues as data: public models and devices, dated in their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import yaml

from contracts.tokenizers import Verdict
from recipes.catalogue_rows import Device, PublicModel

FOLDER = Path(__file__).parent
AS_OF = "2026-05-01T00:00:00+00:00"
"""Since when the catalogue's prices hold, for the ledger."""


@cache
def models() -> dict[str, PublicModel]:
    """Every catalogue model by name."""
    rows = yaml.safe_load((FOLDER / "models.yaml").read_text(encoding="utf-8"))
    return {name: PublicModel.model_validate(row) for name, row in rows.items()}


@cache
def served_architectures() -> tuple[str, frozenset[str]]:
    """Version of the pinned vLLM and the architectures its registry lists (made by ``serving.architectures``)."""
    listed = json.loads((FOLDER / "vllm_architectures.json").read_text(encoding="utf-8"))
    return str(listed["vllm"]), frozenset(listed["architectures"])


def stated_verdict(teacher: PublicModel, student: PublicModel) -> Verdict:
    """Whether two models share token ids as far as the catalogue states it; the files decide where they are on disk."""
    if teacher.family != student.family:
        return "cross_tokenizer"
    both_known = teacher.vocab is not None and student.vocab is not None
    return "pad_tail_safe" if both_known and teacher.vocab != student.vocab else "identical"


def rows_digest(names: Iterable[str]) -> str:
    """SHA-256 over what the catalogue says of these models and whether vLLM serves each.

    Notes are left out, and so is what only plans use: neither changes a choice.
    """
    served = served_architectures()[1]
    rows = {name: models()[name] for name in sorted(set(names)) if name in models()}
    said = [
        (name, row.model_dump(exclude={"note", "kv_width"}), row.architecture in served) for name, row in rows.items()
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


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
