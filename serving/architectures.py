"""Which model architectures the pinned engine serves, read from vLLM's own registry as text: vLLM is not imported.

    .venv/bin/python -m serving.architectures > served.json && mv served.json recipes/vllm_architectures.json

makes the list that recipes and selection read anew, after a change of the engine's pin. It holds what the registry
lists as generating text: its own implementations, the multimodal ones, and those it hands to transformers by name.
What vLLM would only try by its general fallback onto transformers is left out: nobody has tested it there.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from contracts.errors import ServeError, StillroomError
from serving.engine import vllm_engine

PYTHON = Path(".venv-vllm/bin/python")
REGISTRY = Path("model_executor/models/registry.py")
TABLES = ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS", "_TRANSFORMERS_SUPPORTED_MODELS")
WHERE = "import importlib.util; print(importlib.util.find_spec('vllm').origin)"
"""Finds the package without running it."""


def served_by(python: Path) -> tuple[str, list[str]]:
    """Version of the vLLM beside the interpreter ``python``, and the architectures it lists, sorted.

    Raises ServeError where vLLM is not installed there or its registry has another form.
    """
    version = vllm_engine(python).version.split()[0]
    asked = subprocess.run([str(python), "-P", "-c", WHERE], capture_output=True, text=True, timeout=60, check=False)
    registry = Path(asked.stdout.strip()).parent / REGISTRY
    if asked.returncode or not registry.is_file():
        raise ServeError("serving engine", "has no registry of models", got=registry, hint="see serving/architectures")
    return version, listed(registry.read_text(encoding="utf-8"))


def listed(source: str) -> list[str]:
    """The keys of the registry's tables of text-generating models, from the module's source, sorted."""
    found: dict[str, list[str]] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id in TABLES:
                found[target.id] = [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]
    missing = [table for table in TABLES if not found.get(table)]
    if missing:
        hint = "this vLLM keeps its registry in another form: see serving/architectures.py"
        raise ServeError("vLLM's registry", "lacks tables of models", got=", ".join(missing), hint=hint)
    return sorted({name for names in found.values() for name in names})


def main() -> None:
    """Write the list to stdout as JSON."""
    python = Path(sys.argv[1]) if len(sys.argv) > 1 else PYTHON
    try:
        version, names = served_by(python)
    except StillroomError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(json.dumps({"vllm": version, "architectures": names}, indent=1) + "\n")


if __name__ == "__main__":
    main()
