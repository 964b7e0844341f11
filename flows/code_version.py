"""The stages' declared code versions, read as text: planning imports no torch and no Prefect."""

from __future__ import annotations

import ast
from functools import cache

from contracts.errors import InputError
from flows.settings import CHECKOUT


@cache
def code_version(module: str) -> str:
    """The stage's declared ``CODE_VERSION``, read without importing the module (and its torch)."""
    tree = ast.parse(CHECKOUT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "CODE_VERSION" for t in node.targets
        ):
            return str(ast.literal_eval(node.value))
    raise InputError(module, "declares no CODE_VERSION", hint='add CODE_VERSION = "1" to the stage\'s module')
