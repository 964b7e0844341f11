"""YAML as people write it: what ``yaml.safe_load`` reads, but a key that stands twice in a mapping is a fault.

``safe_load`` takes the last of them without a word: of two concepts of one name the first would be gone.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

SHOWN_CHARS = 200


class NotYaml(ValueError):
    """Text that is no YAML, or that says two things at once; the message says where."""


def read(path: Path) -> Any:
    """What a file says; None where it is empty. Raises NotYaml, and OSError.

    A recipe is read at every scale, and its catalogues with it: an unchanged file is parsed once a process.
    """
    seen = path.stat()
    return copy.deepcopy(_read(path, seen.st_mtime_ns, seen.st_size))


@lru_cache(maxsize=128)
def _read(path: Path, changed_ns: int, size: int) -> Any:
    try:
        return parsed(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise NotYaml(str(error)) from None


def parsed(text: str) -> Any:
    """What a text says; None where it is empty. Raises NotYaml."""
    try:
        loader = yaml.SafeLoader(text)  # safe_load step by step, to look at the nodes between parsing and building
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_twice(node)
        return loader.construct_document(node)
    except NotYaml:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise NotYaml(_short(f"{where}{error.problem or error.context}")) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise NotYaml(_short(str(error))) from None


def _refuse_twice(root: Any) -> None:
    """Raises NotYaml for a key that its mapping holds already. Node after node, as an alias may lead in a circle."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                waiting += [key, value]
                if isinstance(key, yaml.ScalarNode):
                    line = key.start_mark.line + 1
                    before = lines.get((key.tag, key.value))
                    if before is not None:
                        raise NotYaml(_short(f"line {line}: {key.value} stands in line {before} already"))
                    lines[key.tag, key.value] = line


def _short(text: str) -> str:
    return " ".join(text.split())[:SHOWN_CHARS]
