"""The files of a corpus: every entry under it, in one order, no link followed and no path out of it."""

from __future__ import annotations

import os
from pathlib import Path

from contracts.errors import InputError

LEFT_BY_SYSTEMS = (".complete", ".DS_Store", ".gitkeep")
"""Markers, which hold nothing. Other hidden files are not read either, but named."""


def find_files(corpus: Path, path: str) -> list[Path]:
    """The entries of one source: ``corpus/path``, or the corpus itself where it is a single file of that name.

    Links, pipes and folders that may not be opened are among them: the reader puts them into quarantine by name. Raises
    InputError for a path that leads out of the corpus.
    """
    if corpus.is_file():
        return [corpus] if Path(path).name == corpus.name or not Path(path).suffix else []
    wanted = Path(path)
    if wanted.is_absolute() or ".." in wanted.parts:
        raise InputError("sources.*.path", "leads out of the corpus", got=path, hint="give a path below the corpus")
    place = corpus
    for name in wanted.parts:
        place = place / name
        if place.is_symlink():
            return [place]
    if not place.is_dir():
        return [place] if os.path.lexists(place) else []
    return _entries(place)


def require_corpus(corpus: Path) -> None:
    """Raises InputError where there is no corpus to read."""
    if not corpus.exists():
        raise InputError(str(corpus), "no such corpus", hint="give a folder or a file: --corpus PATH")
    if corpus.is_dir() and all(entry.name.startswith(".") for entry in _entries(corpus)):
        hint = "put jsonl, parquet, csv, txt, md, html or pdf files there"
        raise InputError(str(corpus), "holds no files", hint=hint)
    if corpus.is_file() and corpus.stat().st_size == 0:
        raise InputError(str(corpus), "is empty", hint="give a file with documents")


def shown_name(file: Path, corpus: Path) -> str:
    """A file's path in the corpus as it may be written down: bytes that are no UTF-8 and control characters escaped."""
    relative = str(file.relative_to(corpus)) if file != corpus else file.name
    readable = os.fsencode(relative).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in readable)


def _entries(folder: Path) -> list[Path]:
    """Everything below a folder but folders, sorted; of a hidden folder only its name.

    A stack and no recursion: a drop may be thousands of folders deep.
    """
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            entries = list(os.scandir(place))
        except OSError:
            found.append(place)
            continue
        for entry in entries:
            if entry.name not in LEFT_BY_SYSTEMS:
                further = entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
                (waiting if further else found).append(Path(entry.path))
    return sorted(found)
