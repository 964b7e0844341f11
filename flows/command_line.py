"""What the commands share: the two streams, and options that several have."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer.core import TyperGroup

from recipes.load import verticals

PIPE_COLUMNS = 160
"""Width of tables that go into a file or a pipe, where no terminal says its own."""
stdout = Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
stderr = Console(stderr=True)

Vertical = Annotated[str, typer.Argument(help=f"One of: {', '.join(verticals())}.", metavar="VERTICAL")]
Scale = Annotated[str, typer.Option(help="Sizes and models: smoke, local, local-long, single-gpu or production.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a recipe key, e.g. sft.max_tokens=20000.")]
Corpus = Annotated[Path | None, typer.Option(help="Folder or file of documents; else the recipe's writer makes them.")]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class DefaultRun(TyperGroup):
    """A group whose first word may be left out: ``curate finance`` is ``curate run finance``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put ``run`` in front of what names no command; ``--help`` alone stays the group's."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)
