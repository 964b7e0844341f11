"""Fingerprints: what an artifact *is*. Section, inputs, code version, digests of data; never where or how it ran."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def identity(section: BaseModel) -> dict[str, Any]:
    """The section's fields that decide what is made, at every depth; ``not_identity`` fields are left out."""
    kept: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("identity") is False:
            continue
        kept[name] = _plain(getattr(section, name))
    return kept


def components(
    stage: str, section: BaseModel, inputs: dict[str, str], code_version: str, data: dict[str, str] | None = None
) -> dict[str, Any]:
    """What the fingerprint is made of, for people who ask *why* a stage runs again."""
    return {
        "stage": stage,
        "section": identity(section),
        "inputs": dict(sorted(inputs.items())),
        "code_version": code_version,
        "data": dict(sorted((data or {}).items())),
    }


def fingerprint(parts: dict[str, Any]) -> str:
    """SHA-256 (first 16 hex digits) of the canonical JSON of ``components``."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def changes(before: Any, after: Any, path: str = "") -> list[str]:
    """Every leaf that differs, as ``path: before -> after``."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for key in sorted(set(before) | set(after))
            for line in changes(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if before == after else [f"{path}: {json.dumps(before)} -> {json.dumps(after)}"]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
