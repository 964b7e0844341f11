"""From a served model back to its first document: which artifacts it is made of, by the store's own records."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.artifacts import Artifact, load
from flows.store import Store


@dataclass(frozen=True)
class Node:
    """One artifact. ``metrics`` are empty where only its identity is left in the store."""

    stage: str
    fingerprint: str
    inputs: dict[str, str]
    metrics: dict[str, Any]


class Lineage:
    """Every artifact whose record or identity the store has."""

    def __init__(self, store: Store) -> None:
        self.nodes: dict[str, Node] = {}
        self.artifacts: dict[str, Artifact] = {}
        for file in (store.home / "identities").glob("*/*.json"):
            parts = _json(file)
            self._add(Node(str(parts.get("stage", file.parent.name)), file.stem, dict(parts.get("inputs") or {}), {}))
        for record in (store.home / "store").glob("*/*/artifact.json"):
            one = load(record.parent)
            if one is not None:
                self.artifacts[one.fingerprint] = one
                self._add(Node(one.stage, one.fingerprint, one.inputs, one.metrics))

    def _add(self, node: Node) -> None:
        self.nodes[node.fingerprint] = node

    def behind(self, fingerprints: Iterable[str]) -> list[Node]:
        """These artifacts and all they were made from, each once; unknown ones end the way."""
        found: dict[str, Node] = {}
        waiting = list(fingerprints)
        while waiting:
            node = self.nodes.get(waiting.pop())
            if node is not None and node.fingerprint not in found:
                found[node.fingerprint] = node
                waiting += node.inputs.values()
        return list(found.values())


def _json(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
